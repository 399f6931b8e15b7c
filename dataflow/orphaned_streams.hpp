// What streams had drawn whose door was lost. Their clients come back at other doors with the same
// request; what is known need not be drawn again, token by token, before they hear something new.
#pragma once

#include "dataflow/request.hpp"

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

namespace troupe::dataflow {

struct orphan_limits {
  size_t streams_max = 4096;
  size_t tokens_max = size_t{1} << 20; // prompts and drawn tokens together
  size_t drawn_max = size_t{1} << 16;  // of one stream: they travel in one message
  duration age_max = std::chrono::seconds(60);
};

// Whether the same choice of both draws the same tokens and goes on after the same ones. Who asks,
// how urgently and what is done with the text makes no difference.
bool draws_the_same(const generation_request& a, const generation_request& b);

// One thread. Of streams that want log-probabilities nothing is kept: they would have to be, too.
class orphaned_streams {
public:
  explicit orphaned_streams(const orphan_limits& limits = {}) : limits_(limits) {}

  // A stream that has not ended. The oldest go when room is needed.
  void keep(std::shared_ptr<const generation_request> request, uint32_t choice,
            std::vector<int32_t> drawn, time_point now);
  // What is known of this choice of such a request, and no longer kept; empty when nothing is.
  std::vector<int32_t> take(const generation_request& request, uint32_t choice, time_point now);

  size_t streams() const { return kept_.size(); }
  size_t tokens() const { return tokens_; }

private:
  struct orphan {
    std::shared_ptr<const generation_request> request; // shared with whoever else looks at it
    uint64_t prompt_hash = 0;
    uint32_t choice = 0;
    std::vector<int32_t> drawn;
    time_point since{};
    size_t size() const { return request->prompt.size() + drawn.size(); }
  };
  using position = std::list<orphan>::iterator;
  position drop(position at);
  void drop_old(time_point now);

  orphan_limits limits_;
  std::list<orphan> kept_; // oldest first
  size_t tokens_ = 0;
};

} // namespace troupe::dataflow
