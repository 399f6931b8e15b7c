// What a constraint costs per token: random answers are drawn from the masks of vocabularies of
// several sizes, and every token is checked against the grammar byte by byte.
#include "base/check.hpp"
#include "base/random.hpp"
#include "model/grammar/compile.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::model {
namespace {

using kind = constraint::kind;
using steady = std::chrono::steady_clock;

constexpr const char* invoice = R"({"type":"object","properties":{
  "id":{"type":"string","format":"uuid"},"customer":{"type":"object","properties":{
    "name":{"type":"string"},"email":{"type":"string"},"city":{"type":"string","maxLength":40}},
    "required":["name","email"],"additionalProperties":false},
  "items":{"type":"array","items":{"type":"object","properties":{"title":{"type":"string"},
    "count":{"type":"integer","minimum":1,"maximum":999},"price":{"type":"number"}},
    "required":["title","count","price"],"additionalProperties":false},"minItems":1},
  "paid":{"type":"boolean"},"note":{"type":["string","null"]}},
  "required":["id","customer","items","paid"],"additionalProperties":false})";

// Like the vocabulary of a byte-level tokenizer: bytes, words with and without a blank before them,
// runs of punctuation, digits, pieces of other scripts.
std::vector<std::string> make_words(size_t count) {
  const random_key key{1, random_subsystem::workload, 0};
  uint64_t n = 0;
  const auto below = [&](uint64_t bound) { return random_below(key, n++, bound); };
  std::vector<std::string> out;
  for (int byte = 0; byte < 256; ++byte) out.push_back(std::string(1, static_cast<char>(byte)));
  constexpr std::string_view marks = "\"':,.{}[]()-_/\\ \n!?=<>";
  while (out.size() < count) {
    std::string word;
    const uint64_t sort = below(20);
    const uint64_t length = 2 + below(9);
    if (sort < 13) {
      if (sort < 7) word += ' ';
      for (uint64_t i = 0; i < length; ++i) word += static_cast<char>('a' + below(26));
    } else if (sort < 15) {
      for (uint64_t i = 0; i < 1 + length / 3; ++i) word += marks[below(marks.size())];
    } else if (sort < 16) {
      for (uint64_t i = 0; i < 2 + below(2); ++i) word += static_cast<char>('0' + below(10));
    } else {
      for (uint64_t i = 0; i < 1 + below(4); ++i)
        append_utf8(word, static_cast<uint32_t>(0x4E00 + below(0x5000)));
    }
    out.push_back(std::move(word));
  }
  return out;
}

double micros_since(steady::time_point begin) {
  return std::chrono::duration<double, std::micro>(steady::now() - begin).count();
}

double at_share(const std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1,
                         static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

// Prefers letters, as a model does within a string: uniform draws would end it at once.
int32_t choose(const token_mask& mask, size_t words, const random_key& key, uint64_t& n) {
  for (;;) {
    const uint64_t begin = random_below(key, n++, words);
    for (uint64_t i = 0; i < words; ++i) {
      const uint64_t id = (begin + i) % words;
      if ((mask[id / 64] >> (id % 64) & 1) != 0) return static_cast<int32_t>(id);
    }
    TROUPE_CHECK(false); // a mask without a token
  }
}

void measure(const char* name, const constraint& asked, std::shared_ptr<const vocabulary> words) {
  const auto compile_begin = steady::now();
  auto grammar = compile(asked, words->single_bytes());
  TROUPE_CHECK(grammar.has_value());
  const double compile_us = micros_since(compile_begin);
  const auto of = std::make_shared<matcher>(std::move(*grammar), words);
  const random_key key{2, random_subsystem::sampling, 0};
  uint64_t n = 0;
  std::vector<double> all;
  std::vector<double> first; // tokens of the first answer: nothing is known yet
  double total = 0;
  for (int answer = 0; answer < 40; ++answer) {
    constrained_text text(of);
    for (int i = 0; i < 150 && !text.is_over(); ++i) {
      const auto begin = steady::now();
      const auto mask = text.mask();
      double spent = micros_since(begin);
      TROUPE_CHECK(mask.has_value());
      const int32_t token = choose(**mask, words->size(), key, n);
      const auto added = steady::now();
      TROUPE_CHECK(text.add(token));
      spent += micros_since(added);
      total += spent;
      all.push_back(spent);
      if (answer == 0) first.push_back(spent);
    }
  }
  const auto tokens = static_cast<double>(all.size());
  std::sort(all.begin(), all.end());
  double first_total = 0;
  for (const double each : first) first_total += each;
  std::printf(
      "{\"name\":\"grammar_%s\",\"vocabulary\":%zu,\"tokens\":%zu,\"compile_us\":%.0f,\"mean_us\":%"
      ".1f,"
      "\"median_us\":%.1f,\"p99_us\":%.1f,\"worst_us\":%.0f,\"first_answer_mean_us\":%.1f,"
      "\"masks_made\":%llu,\"cache_flushes\":%llu}\n",
      name, words->size(), all.size(), compile_us, total / tokens, at_share(all, 0.5),
      at_share(all, 0.99), all.back(), first_total / static_cast<double>(first.size()),
      static_cast<unsigned long long>(of->counters().masks_made),
      static_cast<unsigned long long>(of->counters().cache_flushes));
}

void run() {
  for (const size_t count : {4096, 50'000, 150'000}) {
    auto texts = make_words(count);
    const auto begin = steady::now();
    const auto words = std::make_shared<const vocabulary>(std::move(texts));
    std::printf("{\"name\":\"grammar_vocabulary\",\"vocabulary\":%zu,\"nodes\":%zu,\"us\":%.0f}\n",
                count, words->nodes(), micros_since(begin));
    measure("json_object", {kind::json_object, ""}, words);
    measure("json_schema", {kind::json_schema, invoice}, words);
    measure("regex", {kind::regex, "([A-Z]?[a-z]+[ ,.] ?){3,40}"}, words);
    measure("ebnf",
            {kind::grammar, "root ::= term ([-+*/] term)*\nterm ::= [0-9]+ | \"(\" root \")\""},
            words);
  }
}

} // namespace

void run_grammar_bench() {
  run();
}

} // namespace troupe::model

int main() {
  troupe::model::run_grammar_bench();
  return 0;
}
