// Clients that ask a server for streams at given moments and note when every token came: for
// whoever measures servers, this project's and others that speak the same API.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::server {

struct load_target {
  std::string address; // an IP address
  uint16_t port = 0;
  std::string path = "/v1/completions";
  std::string key; // sent as a bearer token; empty: none
};

struct load_request {
  duration at{};    // since the run began; when it is sent
  std::string body; // JSON, with "stream": true
};

struct load_answer {
  bool sent = false;     // else it was not its turn before the end of the run
  int status = 0;        // of HTTP; 0: nothing came
  bool complete = false; // the stream has come to its end
  std::string trouble;   // why not, for people
  uint64_t tokens = 0;   // as the server counts them, else events that bring text
  duration asked{};      // since the run began, like the rest
  duration first{};      // text; meaningless without tokens
  duration last{};
  std::vector<duration> gaps; // between events that bring text
};

struct load_run {
  // So many at a time, one after another, whatever `at` says; 0: every request at its time.
  uint32_t at_once = 0;
  duration begins_within{};                      // nothing is sent later; zero: everything is
  duration patience = std::chrono::seconds(120); // with each answer
  uint32_t open_max = 4096;                      // answers under way; what comes on top is not sent
};

// Blocks until every answer has ended; answers are in the order of the requests. Uses one thread,
// the caller's. invalid_argument: the address is none.
result<std::vector<load_answer>> run_load(const clock& time, const load_target& target,
                                          const std::vector<load_request>& requests,
                                          const load_run& run);

// What came of a stream so far, from the bytes of its events.
class token_events {
public:
  explicit token_events(load_answer& into) : into_(into) {}
  // More bytes, which came at `now`. Events may be cut anywhere.
  void take(std::string_view bytes, duration now);

private:
  void take_event(std::string_view data, duration now);
  load_answer& into_;
  std::string rest_; // of an event that has not come whole
};

} // namespace troupe::server
