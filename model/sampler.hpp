// Turns a row of logits into a token. Pure: the same logits, options, history, key and position
// give the same token whatever else runs.
#pragma once

#include "base/random.hpp"
#include "base/status.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace troupe::model {

// Applied in this order: logit_bias, repetition, presence and frequency penalty, temperature,
// top-k, top-p, min-p; then one keyed draw. temperature 0 is greedy (lowest id on equal logits).
struct sampling_options {
  float temperature = 1;
  uint32_t top_k = 0; // 0: no limit
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  std::vector<std::pair<int32_t, float>> logit_bias{};
  uint64_t seed = 0;

  friend bool operator==(const sampling_options&, const sampling_options&) = default;
};

// Checks ranges; the message names the field, its value and the range.
status validate(const sampling_options& options, uint32_t vocabulary);

// What a sequence has seen so far: repetition looks at prompt and output, the others at output
// only.
class token_history {
public:
  void add_prompt(std::span<const int32_t> tokens);
  void add_output(int32_t token);

  struct counts {
    uint32_t output = 0;
    bool in_prompt = false;
  };
  const std::unordered_map<int32_t, counts>& tokens() const { return tokens_; }

private:
  std::unordered_map<int32_t, counts> tokens_; // order not observed: applied entry by entry
};

struct token_logprob {
  int32_t token = 0;
  float logprob = 0;
};

// Natural logarithms of softmax(logits) before any of the options (as OpenAI and vLLM report them).
struct sampled_token {
  int32_t token = 0;
  float logprob = 0;              // filled when top_logprobs is set
  std::vector<token_logprob> top; // best first, ties by lower id
};

struct sample_args {
  std::span<const float> logits{}; // [vocabulary]
  const sampling_options* options = nullptr;
  const token_history* history = nullptr;
  uint32_t choice = 0;                    // which of the n answers
  uint32_t position = 0;                  // of the token to be drawn, in the whole sequence
  std::optional<uint32_t> top_logprobs{}; // absent: none; 0: the token's own only
  std::span<const int32_t> banned{};      // ids that may not be drawn (eos before min_tokens)
};

// `scratch` is reused between calls to avoid allocation. A row with a NaN fails with `corrupt`.
result<sampled_token> sample(const sample_args& args, std::vector<float>& scratch);

// Log-probability of `token` and the top ones in a row, as above: for prompt log-probabilities.
result<sampled_token> score(std::span<const float> logits, int32_t token, uint32_t top_logprobs);

} // namespace troupe::model
