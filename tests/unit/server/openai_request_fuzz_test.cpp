// Seeded mutations of good requests: whatever comes out, it is taken or refused, and what is taken
// obeys the rules.
#include "base/clock.hpp"
#include "base/random.hpp"
#include "server/request_preparation.hpp"
#include "tests/unit/server/byte_codec.hpp"

#include <gtest/gtest.h>

#include <array>

namespace troupe::server {
namespace {

constexpr std::string_view completion_seed =
    R"({"model":"tiny","prompt":["Hi é","b"],"max_tokens":5,"min_tokens":1,"temperature":0.5,"top_p":0.5,
    "top_k":7,"min_p":0.1,"n":2,"best_of":2,"stop":["x","y"],"stop_token_ids":[3],"logit_bias":{"5":1.5},
    "seed":42,"logprobs":2,"echo":true,"stream":true,"stream_options":{"include_usage":true},
    "presence_penalty":0.5,"user":"u","priority":3,"truncate_prompt_tokens":4})";
constexpr std::string_view chat_seed =
    R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":[{"type":"text","text":"a"}]},
    {"role":"assistant","content":"tail"}],"add_generation_prompt":false,"continue_final_message":true,
    "max_completion_tokens":9,"logprobs":true,"top_logprobs":3,"tools":[{"type":"function"}],
    "chat_template_kwargs":{"a":1},"response_format":{"type":"text"},"temperature":1,"seed":-5})";

// Pieces that break parsers, inserted whole.
constexpr std::array<std::string_view, 18> pieces = {
    "null", "-1",   "1e999",     "[",       "{",    "]",
    "}",    "\"",   "\\u0000",   "\\ud800", "\xff", "18446744073709551616",
    "true", "[[]]", "{\"\":{}}", "0.5",     "\"\"", "1e-400"};

class mutator {
public:
  explicit mutator(uint64_t seed) : key_{seed, random_subsystem::workload, 0} {}
  uint64_t below(uint64_t bound) { return random_below(key_, n_++, bound); }

  std::string operator()(std::string text) {
    for (uint64_t i = 1 + below(5); i > 0 && !text.empty(); --i) {
      const size_t at = below(text.size());
      switch (below(5)) {
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text.erase(at, 1 + below(12));
          break;
        case 2:
          text.insert(at, pieces[below(pieces.size())]);
          break;
        case 3:
          text.insert(at, text.substr(below(text.size()), below(40)));
          break;
        default:
          replace_value(text, at);
          break;
      }
    }
    return text;
  }

private:
  // What stands between a colon and the next comma becomes something else: still JSON, mostly.
  void replace_value(std::string& text, size_t from) {
    const size_t colon = text.find(':', from);
    const size_t comma = text.find(',', colon);
    if (colon == std::string::npos || comma == std::string::npos) return;
    text.replace(colon + 1, comma - colon - 1, pieces[below(pieces.size())]);
  }

  random_key key_;
  uint64_t n_ = 0;
};

request_rules rules() {
  request_rules out;
  out.model_name = "tiny";
  out.positions_max = 64;
  out.vocabulary = byte_vocabulary;
  return out;
}

void expect_refusal_is_whole(const api_error& error) {
  EXPECT_GE(error.http_status, 400);
  EXPECT_LT(error.http_status, 500);
  EXPECT_FALSE(error.message.empty());
  EXPECT_FALSE(error_body(error).empty());
}

void expect_rules_hold(const prepared_request& prepared, const request_rules& by) {
  for (const auto& generation : prepared.generations) {
    EXPECT_FALSE(generation.prompt.empty());
    EXPECT_LE(generation.prompt.size() + generation.tokens_max, by.positions_max);
    EXPECT_LE(generation.tokens_min, generation.tokens_max);
    EXPECT_LE(generation.choices, by.limits.choices_max);
    EXPECT_LE(generation.stop_texts.size(), by.limits.stop_texts_max);
    EXPECT_TRUE(generation.sampling.temperature >= 0 && generation.sampling.temperature <= 2);
    EXPECT_TRUE(generation.sampling.top_p > 0 && generation.sampling.top_p <= 1);
    for (int32_t token : generation.prompt) EXPECT_TRUE(token >= 0 && token < int(by.vocabulary));
    for (const auto& [token, bias] : generation.sampling.logit_bias) {
      EXPECT_TRUE(bias >= -100 && bias <= 100) << token;
    }
  }
}

TEST(openai_request_fuzz, takes_or_refuses_every_mutation) {
  const request_rules by = rules();
  const byte_codec codec;
  const std::function<uint64_t()> seeds = [] { return uint64_t{1}; };
  const system_clock clock;
  const time_point end = clock.now() + std::chrono::seconds(2);
  size_t taken = 0;
  uint64_t round = 0;
  for (; round < 20000 && clock.now() < end; ++round) {
    mutator mutate(round);
    const bool chat = round % 2 == 0;
    const std::string body = mutate(std::string(chat ? chat_seed : completion_seed));
    SCOPED_TRACE(round);
    const auto request = chat ? parse_chat(body, by) : parse_completion(body, by);
    if (!request) {
      expect_refusal_is_whole(request.error());
      continue;
    }
    const auto prepared = prepare(*request, {by, codec, seeds});
    if (!prepared) {
      expect_refusal_is_whole(prepared.error());
      continue;
    }
    ++taken;
    expect_rules_hold(*prepared, by);
    if (HasFailure()) FAIL() << body;
  }
  EXPECT_GT(taken, round / 100) << "mutations that are all refused test little";
  EXPECT_LT(taken, round);
}

} // namespace
} // namespace troupe::server
