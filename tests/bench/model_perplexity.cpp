// Perplexity of a model on a text, in each weight format: model_perplexity MODEL TEXT [CONTEXT
// [TOKENS]]. Prints one JSON line a format. The text is cut into pieces of CONTEXT tokens, each
// read on its own.
#include "actors/model_bundle.hpp"
#include "base/text.hpp"
#include "compute/cpu_executor.hpp"
#include "model/decoder.hpp"
#include "model/tokenizer.hpp"
#include "storage/posix_file_system.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <iterator>

namespace troupe {
namespace {

struct request {
  std::string directory;
  std::string text;
  uint32_t context = 512;
  uint32_t tokens_max = 20000;
};

uint64_t weight_bytes(const model::model_weights& weights) {
  uint64_t bytes = weights.embedding.bytes() + weights.head.matrix.bytes();
  const auto add = [&bytes](const auto&... matrices) { bytes += (matrices.bytes() + ...); };
  for (const auto& layer : weights.layers) {
    const auto& attention = layer.attention;
    add(attention.q, attention.k, attention.v, attention.q_down, attention.kv_down,
        attention.output);
    for (const auto& matrix : attention.absorb) add(matrix);
    for (const auto& matrix : attention.expand) add(matrix);
    for (const auto* mlp : {&layer.dense, &layer.router.shared}) add(mlp->gate, mlp->up, mlp->down);
    add(layer.router.gate, layer.router.shared_gate);
    for (const auto& expert : layer.experts) add(expert.gate, expert.up, expert.down);
  }
  return bytes;
}

status measure(const request& asked, std::optional<compute::weight_format> format) {
  const auto executor = compute::make_cpu_executor({});
  if (!executor) return executor.error();
  storage::posix_file_system files;
  actors::model_bundle_options options;
  options.directory = asked.directory;
  options.format = format;
  const auto bundle = actors::load_model_bundle(files, **executor, options);
  if (!bundle) return bundle.error();
  auto decoder = model::decoder::make(*(*bundle)->description, *(*bundle)->weights, **executor,
                                      {.positions_max = asked.context, .rows_max = asked.context});
  if (!decoder) return decoder.error();
  auto tokens = (*bundle)->tokenizer->encode(asked.text);
  if (!tokens) return tokens.error();
  tokens->resize(std::min<size_t>(tokens->size(), asked.tokens_max));
  const auto out = model::perplexity(*decoder, *tokens, asked.context);
  if (!out) return out.error();
  const std::string name(format ? compute::to_string(*format) : "as_stored");
  std::printf(
      "{\"name\": \"model_perplexity\", \"model\": \"%s\", \"format\": \"%s\", "
      "\"perplexity\": %.4f, \"nats_per_token\": %.5f, \"tokens\": %llu, \"context\": %u, "
      "\"weight_bytes\": %llu}\n",
      (*bundle)->name.c_str(), name.c_str(), out->perplexity, out->nats_per_token,
      static_cast<unsigned long long>(out->tokens), asked.context,
      static_cast<unsigned long long>(weight_bytes(*(*bundle)->weights)));
  std::fflush(stdout);
  return {};
}

bool parse(const char* argument, uint32_t& out) {
  const std::string_view digits = argument;
  const auto end = digits.data() + digits.size();
  return std::from_chars(digits.data(), end, out).ptr == end && out > 1;
}

int run(int count, char** arguments) {
  request asked;
  if (count < 3 || (count > 3 && !parse(arguments[3], asked.context)) ||
      (count > 4 && !parse(arguments[4], asked.tokens_max))) {
    std::fprintf(stderr, "usage: model_perplexity MODEL TEXT [CONTEXT [TOKENS]]\n");
    return 2;
  }
  asked.directory = arguments[1];
  std::ifstream file(arguments[2], std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", arguments[2]);
    return 1;
  }
  asked.text.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  using compute::weight_format;
  const std::optional<weight_format> formats[] = {std::nullopt, weight_format::f32,
                                                  weight_format::bf16, weight_format::int8,
                                                  weight_format::int4};
  for (const auto& format : formats) {
    if (const status done = measure(asked, format); !done.ok()) {
      std::fprintf(stderr, "%s\n", done.why().c_str());
      return 1;
    }
  }
  return 0;
}

} // namespace
} // namespace troupe

int main(int count, char** arguments) {
  return troupe::run(count, arguments);
}
