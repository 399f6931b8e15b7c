// The `id:` of a streamed event: which answer it belongs to and what of it a client has that got
// this far. It says everything a node needs to give the rest, provided it is told the request, so a
// stream can go on at a node that has never heard of it.
//
// Text of base64url without padding; the bytes are
//   1 version; 1 flags (chat 1, own name 2, offsets 4, tail 8 and 16)
//   own name: 16 bytes, shown in the response's id as hexadecimal digits, which also give the nonce
//   otherwise: length and bytes of the name the client chose; 8 nonce
//   8 hash of the request; 4 hash of the model; created; number of choices
//   per choice: tokens * 4 + opened * 2 + finished; text bytes; with the flag offsets, the offset
//   4 checksum of all of this
// Numbers of a given size lowest byte first, the others 7 bits a byte, lowest first.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::server {

// What a client has of one choice.
struct choice_position {
  uint32_t tokens = 0;
  uint64_t text_bytes = 0;
  uint64_t text_offset = 0; // in characters, where the next token's log-probabilities say it starts
  bool opened = false;      // it has had what comes before the text: its role, or the echoed prompt
  bool finished = false;

  friend bool operator==(const choice_position&, const choice_position&) = default;
};

struct stream_position {
  enum class tail_part : uint8_t { none, usage, done }; // had of what follows the choices
  std::vector<choice_position> choices;                 // prompt by prompt
  tail_part tail = tail_part::none;

  friend bool operator==(const stream_position&, const stream_position&) = default;
};

// What stays the same through all events of an answer.
struct answer_identity {
  bool chat = false;
  std::string name;          // the response's id without the prefix
  uint64_t nonce = 0;        // seeds what the request gave no seed
  int64_t created = 0;       // seconds since 1970
  uint64_t request_hash = 0; // of route and body
  uint32_t model_hash = 0;   // of the engine's fingerprint
  bool offsets = false;      // positions have text offsets

  friend bool operator==(const answer_identity&, const answer_identity&) = default;
};

inline constexpr size_t event_id_choices_max = 4096;
inline constexpr size_t answer_name_bytes_max = 256;
inline constexpr uint64_t event_id_number_max = uint64_t{1} << 40;

// A name of 32 hexadecimal digits from 128 random bits, and the nonce that goes with it.
std::string own_name(uint64_t high, uint64_t low);
uint64_t nonce_of_own(std::string_view name);

// "cmpl-…" or "chatcmpl-…".
std::string response_id_of(const answer_identity& of);

// The seed of the n-th prompt of a request that gives none.
uint64_t seed_of(uint64_t nonce, uint64_t prompt);

// Writes the ids of one answer; what they have in common is rendered once.
class event_id_writer {
public:
  explicit event_id_writer(const answer_identity& of);
  std::string operator()(const stream_position& after) const;

private:
  std::vector<uint8_t> head_;
  bool offsets_;
};

struct event_id {
  answer_identity of;
  stream_position after;
};

// The text around the bytes of an id, checksum included, and back.
std::string seal_event_id(std::vector<uint8_t> content);
result<std::vector<uint8_t>> unseal_event_id(std::string_view text);

// invalid_argument unless the text is one that event_id_writer writes.
result<event_id> parse_event_id(std::string_view text);

} // namespace troupe::server
