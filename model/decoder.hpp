// The whole model on one executor, without actors: for tests, measurements and tools. Blocks while
// computing; one thread at a time.
#pragma once

#include "model/layers.hpp"

#include <memory>

namespace troupe::model {

struct decoder_options {
  uint32_t positions_max = 2048; // of one sequence
  uint32_t sequences_max = 1;
  uint32_t rows_max = 256; // tokens of one step
  uint32_t page_tokens = 16;
};

class decoder {
public:
  // The first three must outlive the decoder.
  static result<decoder> make(const description& model, const model_weights& weights,
                              compute::executor& executor, const decoder_options& options);

  // More tokens of a sequence.
  struct input {
    uint32_t sequence = 0;
    std::span<const int32_t> tokens;
    uint32_t prompt_length = 0; // known length of the sequence, where rope depends on it
  };
  // Computes all inputs in one step (their tokens together at most rows_max) and returns the logits
  // of every row, input after input.
  result<std::vector<float>> step(std::span<const input> inputs);

  void forget(uint32_t sequence); // the next tokens stand at position 0 again
  uint32_t length(uint32_t sequence) const { return lengths_[sequence]; }

  // Logits of every position of a prompt in sequence 0, fed in chunks (0: as large as possible).
  result<std::vector<float>> logits_of(std::span<const int32_t> prompt, uint32_t chunk = 0);
  // The `count` most likely continuations, one after another; the lowest id on equal logits.
  result<std::vector<int32_t>> greedy(std::span<const int32_t> prompt, uint32_t count);

  const description& model() const { return *model_; }

private:
  decoder() = default;
  status check(std::span<const input> inputs) const;
  void lay_out(std::span<const input> inputs);
  status compute_layers();
  status run(const compute::executor::job& job);

  const description* model_ = nullptr;
  const model_weights* weights_ = nullptr;
  compute::executor* executor_ = nullptr;
  decoder_options options_;
  step_buffers buffers_;
  rotary_table rotary_;
  std::vector<compute::buffer> kv_memory_; // per layer
  std::vector<compute::kv_view> kv_;
  std::vector<uint32_t> pages_; // sequence s owns an equal run of them
  std::vector<std::span<const uint32_t>> page_tables_;
  std::vector<uint32_t> lengths_; // tokens stored per sequence

  // The rows of the current step.
  std::vector<int32_t> tokens_;
  std::vector<uint32_t> positions_, slots_, sequence_of_, prompt_lengths_, all_rows_;
};

// Sum of -log(probability) in nats of targets[i] after tokens[0, i], of those that are not below
// zero, in sequence 0.
result<double> nats_of(decoder& model, std::span<const int32_t> tokens,
                       std::span<const int32_t> targets);

struct perplexity_result {
  double perplexity = 0;
  double nats_per_token = 0;
  uint64_t tokens = 0; // predicted
};

// Cuts the stream into pieces of `context` tokens, each read on its own; predicts all but their
// first.
result<perplexity_result> perplexity(decoder& model, std::span<const int32_t> tokens,
                                     uint32_t context);

} // namespace troupe::model
