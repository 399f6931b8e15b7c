// From the engine's events to the answers of the OpenAI API, streamed or whole. Pure: no socket, no
// clock.
#pragma once

#include "dataflow/request.hpp"
#include "server/api_error.hpp"
#include "server/event_id.hpp"
#include "server/openai_request.hpp"
#include "server/text_codec.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::server {

// What all parts of one answer have in common.
struct answer_shape {
  std::string id;
  int64_t created = 0;
  std::string model;
  std::string fingerprint;
  bool chat = false;
  bool echo = false;
  tool_demand calls;
  bool logprobs = false;
  bool prompt_logprobs = false; // the echo waits for its scores
  bool include_usage = false;
  bool continuous_usage = false;
  std::optional<answer_identity> identity; // with it every event has an id
  uint32_t choices = 1;                    // per prompt
  std::vector<std::string> echoes;         // per prompt
  std::vector<uint32_t> prompt_tokens;     // per prompt
  const text_codec* codec = nullptr;       // outlives the answer
};

// The failure an event reports, if it does: of the request, or of a choice that did not end by
// itself.
std::optional<api_error> failure_of(const dataflow::stream_event& event);

// Counts what an answer cost and knows when it is complete.
class answer_progress {
public:
  explicit answer_progress(const answer_shape& shape);
  // Tokens the client has from before.
  void add_received(size_t prompt, uint64_t tokens) { completion_tokens_[prompt] += tokens; }
  void add(size_t prompt, const dataflow::stream_event& event);
  bool complete() const { return completed_ == prompts_; }
  // Tokens of text so far, before completion; the engine's own count after.
  uint64_t prompt_tokens() const { return prompt_tokens_; }
  uint64_t cached_tokens() const { return cached_tokens_; }
  uint64_t completion_tokens() const;

private:
  size_t prompts_ = 0;
  size_t completed_ = 0;
  uint64_t prompt_tokens_ = 0;
  uint64_t cached_tokens_ = 0;
  std::vector<uint64_t> completion_tokens_; // per prompt
};

// Bytes of server-sent events for each event. Concatenated text deltas equal the whole answer's
// text.
class stream_answer {
public:
  explicit stream_answer(answer_shape shape);
  // The rest of it, for a client that has got this far; the engine's events are those the client
  // has not heard. Together with what it has the bytes are those of the whole stream.
  stream_answer(answer_shape shape, const stream_position& from);
  // What comes before the first event: roles, echoed prompts.
  std::string begin();
  std::string add(size_t prompt, const dataflow::stream_event& event);
  // Usage when asked for, and the end mark.
  std::string end();
  // An error in place of the rest; no end mark follows.
  std::string fail(const api_error& error);
  bool complete() const { return progress_.complete(); }

private:
  std::string frame(std::string_view data) const;
  std::string chunk(std::string_view choice) const; // framed
  std::string echo_events(size_t prompt, const std::vector<dataflow::token_record>& scored);
  std::string text_event(size_t prompt, const dataflow::stream_event& event);
  std::string finish_event(size_t prompt, const dataflow::stream_event& event);
  choice_position& state_of(size_t prompt, uint32_t choice);
  bool holds() const { return shape_.calls.what != tool_demand::kind::none; }
  void hold(size_t prompt, const dataflow::stream_event& event);
  std::string calls_event(size_t prompt, const dataflow::stream_event& event);

  // The text of calls, which is told when it is complete. Until then the client has nothing: one
  // that comes back begins anew.
  struct held_call {
    std::string text;
    uint32_t tokens = 0;
  };

  answer_shape shape_;
  answer_progress progress_;
  std::string opening_;      // of every chunk
  stream_position position_; // of a client that has everything so far
  std::optional<event_id_writer> ids_;
  std::vector<held_call> held_; // per choice; empty unless tools have to be called
};

// Collects all events and says everything at once.
class whole_answer {
public:
  explicit whole_answer(answer_shape shape);
  void add(size_t prompt, const dataflow::stream_event& event);
  bool complete() const { return progress_.complete(); }
  std::string body() const;

private:
  struct choice_state {
    std::string text;
    std::vector<dataflow::token_record> tokens;
    dataflow::finish_reason reason = dataflow::finish_reason::stop;
    std::string stopped_by;
  };

  answer_shape shape_;
  answer_progress progress_;
  std::vector<choice_state> choices_;
  std::vector<std::vector<dataflow::token_record>> scored_; // per prompt
};

} // namespace troupe::server
