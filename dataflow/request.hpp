// What a client asks for and what comes back, once text has become tokens.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"
#include "model/grammar/constraint.hpp"
#include "model/sampler.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::dataflow {

// One request; it is answered by `choices` independent streams.
struct generation_request {
  std::string id; // the client's or ours; for people and logs
  std::vector<int32_t> prompt;
  model::sampling_options sampling;
  uint32_t choices = 1;
  uint32_t tokens_max = 16; // 0 is allowed: only the prompt is scored
  uint32_t tokens_min = 0;  // no end-of-sequence before
  std::vector<std::string> stop_texts;
  std::vector<int32_t> stop_ids; // besides the model's end-of-sequence ids
  bool include_stop_text = false;
  model::constraint constraint; // of each choice's text
  bool ignore_eos = false;
  bool skip_special_tokens = true;
  std::optional<uint32_t> top_logprobs; // for generated tokens
  bool prompt_logprobs = false;         // also for the prompt (echo together with logprobs)
  int32_t priority = 0;                 // lower goes first
  std::optional<time_point> deadline;   // work that cannot meet it is dropped
  std::string cache_salt;               // requests share cached prefixes only within one salt
};

enum class finish_reason : uint8_t { stop, length, cancelled, deadline, failed };
std::string_view to_string(finish_reason reason);

struct token_record {
  int32_t token = 0;
  float logprob = 0;
  std::vector<model::token_logprob> top;
  bool scored = false; // whether logprob and top are filled
};

// What reaches the client's side, in order per choice.
struct stream_event {
  enum class kind : uint8_t {
    prompt_scored, // `tokens` has one record per prompt token (the first one unscored)
    text,          // new text, complete UTF-8, and the tokens it came from (either may be empty)
    finished,      // this choice ends; `reason`, `stopped_by`
    completed,     // every choice ended; the last event of a request, with its usage
    failed,        // the request ends here; `why`
  };
  kind what = kind::text;
  uint32_t choice = 0;
  uint64_t sequence_number = 0; // counts this request's events from 1
  std::string text;
  std::vector<token_record> tokens;
  finish_reason reason = finish_reason::stop;
  std::string stopped_by; // the stop text that matched, if one did
  status why;
  uint32_t prompt_tokens = 0; // completed
  uint32_t cached_tokens = 0;
  uint32_t completion_tokens = 0;
};

} // namespace troupe::dataflow
