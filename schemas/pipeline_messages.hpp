// What the parts of a pipeline tell each other across nodes. Plain structs; their bytes are made in
// frame_codec. Tensors are not in them: rows travel as the frame's payload, f32, row by row.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace troupe::schemas {

// The rows of one step: one per token to be computed, and whose they are.
struct step_rows {
  std::vector<int32_t> tokens;
  std::vector<uint32_t> positions;
  std::vector<uint32_t> slots;               // of the KV cache
  std::vector<uint32_t> sequence_of;         // index into tables
  std::vector<uint32_t> prompt_lengths;      // of each row's sequence
  std::vector<std::vector<uint32_t>> tables; // KV pages of each sequence
  std::vector<uint32_t> wanted_rows;         // whose hidden state comes back at the end, ascending
  friend bool operator==(const step_rows&, const step_rows&) = default;
};

// To attention_stage/stage. Payload: hidden rows (none for the first stage).
struct stage_forward {
  uint64_t step = 0;
  uint32_t stage = 0;
  step_rows rows;
  friend bool operator==(const stage_forward&, const stage_forward&) = default;
};
// To the sequencer. Payload: hidden rows of wanted_rows, in that order.
struct stage_done {
  uint64_t step = 0;
  friend bool operator==(const stage_done&, const stage_done&) = default;
};

// Rows of one expert within a payload: the next `count` ones.
struct expert_rows {
  uint32_t expert = 0; // in the model
  uint32_t count = 0;
  friend bool operator==(const expert_rows&, const expert_rows&) = default;
};
// To expert_shard/shard. Payload: the experts' input rows.
struct shard_forward {
  uint64_t step = 0;
  uint32_t layer = 0;
  uint32_t stage = 0; // whose router asks
  uint32_t shard = 0;
  uint32_t attempt = 0; // 0, then one more each time another copy is asked
  std::vector<expert_rows> experts;
  friend bool operator==(const shard_forward&, const shard_forward&) = default;
};
// To gating_router/stage. Payload: the experts' output rows.
struct shard_done {
  uint64_t step = 0;
  uint32_t layer = 0;
  uint32_t stage = 0;
  uint32_t shard = 0;
  friend bool operator==(const shard_done&, const shard_done&) = default;
};
// To the sequencer.
struct step_failure {
  uint64_t step = 0;
  uint8_t code = 0; // a status_code that is not ok
  std::string why;
  friend bool operator==(const step_failure&, const step_failure&) = default;
};

// A request as the sequencer needs it. Floats travel as their bits.
struct submission {
  uint64_t handle = 0;                // unique in the cluster's life
  int64_t age_ns = 0;                 // how long ago it arrived at its door
  std::optional<int64_t> deadline_ns; // from now
  std::string id;
  std::vector<int32_t> prompt;
  uint32_t choices = 1;
  uint32_t tokens_max = 0;
  uint32_t tokens_min = 0;
  std::vector<int32_t> stop_ids;
  bool ignore_eos = false;
  std::optional<uint32_t> top_logprobs;
  bool prompt_logprobs = false;
  int32_t priority = 0;
  std::string cache_salt;
  uint8_t constraint_kind = 0; // a model::constraint::kind
  std::string constraint;
  // sampling
  uint32_t temperature_bits = 0;
  uint32_t top_p_bits = 0;
  uint32_t min_p_bits = 0;
  uint32_t repetition_penalty_bits = 0;
  uint32_t presence_penalty_bits = 0;
  uint32_t frequency_penalty_bits = 0;
  uint32_t top_k = 0;
  uint64_t seed = 0;
  struct bias {
    int32_t token = 0;
    uint32_t value_bits = 0;
    friend bool operator==(const bias&, const bias&) = default;
  };
  std::vector<bias> biases;
  // per choice
  struct progress {
    std::vector<int32_t> drawn;
    bool finished = false;
    bool prompt_scored = false;
    friend bool operator==(const progress&, const progress&) = default;
  };
  std::vector<progress> choices_so_far;
  friend bool operator==(const submission&, const submission&) = default;
};
// To the sequencer: no more tokens of this choice are wanted.
struct choice_end {
  uint64_t handle = 0;
  uint32_t choice = 0;
  friend bool operator==(const choice_end&, const choice_end&) = default;
};

struct token_entry {
  int32_t token = 0;
  uint32_t logprob_bits = 0;
  struct alternative {
    int32_t token = 0;
    uint32_t logprob_bits = 0;
    friend bool operator==(const alternative&, const alternative&) = default;
  };
  std::vector<alternative> top;
  bool scored = false;
  friend bool operator==(const token_entry&, const token_entry&) = default;
};
// To the ingress of the door.
struct emission {
  struct entry {
    uint64_t handle = 0;
    uint32_t choice = 0;
    std::vector<token_entry> prompt;
    std::vector<token_entry> tokens;
    uint32_t begin = 0;
    bool finished = false;
    uint8_t reason = 0; // a dataflow::finish_reason
    bool ends_with_stop_id = false;
    uint32_t cached_tokens = 0;
    bool first = false;
    int64_t started_ago_ns = 0;
    friend bool operator==(const entry&, const entry&) = default;
  };
  std::vector<entry> entries;
  friend bool operator==(const emission&, const emission&) = default;
};
// To the ingress of the door.
struct request_failure {
  uint64_t handle = 0;
  uint8_t code = 0; // a status_code that is not ok
  std::string why;
  friend bool operator==(const request_failure&, const request_failure&) = default;
};

} // namespace troupe::schemas
