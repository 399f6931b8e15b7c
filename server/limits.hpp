// Every bound of the HTTP front end in one place.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace troupe::server {

// What one request may ask for.
struct request_limits {
  uint32_t choices_max = 128;    // n
  uint32_t prompts_max = 256;    // prompts of one completion request
  uint32_t sequences_max = 1024; // prompts times n
  uint32_t stop_texts_max = 16;
  uint32_t stop_text_bytes_max = 1024;
  uint32_t stop_ids_max = 1024;
  uint32_t logprobs_max = 20;
  uint32_t logit_bias_max = 1024; // entries
  uint32_t messages_max = 4096;
  uint32_t name_bytes_max = 256; // user, request_id, cache_salt
  uint32_t json_depth_max = 64;
  uint32_t json_members_max = 1024; // of one object
  uint32_t deadline_ms_max = 24 * 60 * 60 * 1000;
};

// What one connection may hold and how long it may take.
struct connection_limits {
  size_t body_bytes_max = 4 << 20;
  size_t header_bytes_max = 32 << 10;
  size_t bodies_bytes_max = size_t{512} << 20; // of all connections; small ones are not counted
  size_t body_bytes_small = 64 << 10;
  size_t pipelined_bytes_max = 64 << 10;  // read ahead while a request is being answered
  size_t write_queue_bytes_max = 8 << 20; // beyond: the client does not read, so it is cut off
  size_t linger_bytes_max = 16 << 20;     // read and thrown away so that a refusal arrives
  std::chrono::milliseconds header_timeout{15'000}; // from the first byte to the blank line
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds idle_timeout{60'000};  // between requests
  std::chrono::milliseconds write_timeout{60'000}; // without any progress
  std::chrono::milliseconds ping_interval{15'000}; // of silence in a stream
  std::chrono::milliseconds linger_timeout{2'000};
};

} // namespace troupe::server
