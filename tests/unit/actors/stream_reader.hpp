// A client of one request with one choice: collects its events and lets the test wait for them.
#pragma once

#include "actors/engine.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

namespace troupe::tests {

class stream_reader {
public:
  struct contents {
    std::string text;
    uint32_t tokens = 0;
    bool ended = false;
    bool failed = false;
    status why;
    dataflow::finish_reason reason = dataflow::finish_reason::failed;
  };

  // Before the request is made: called, on an actor's thread, when this many tokens are there.
  void at_tokens(uint32_t count, std::function<void()> then) {
    call_at_ = count;
    then_ = std::move(then);
  }

  actors::engine::event_sink sink() {
    return [this](dataflow::stream_event event) {
      using kind = dataflow::stream_event::kind;
      const std::lock_guard lock(mutex_);
      EXPECT_EQ(event.sequence_number, ++events_);
      EXPECT_FALSE(now_.ended);
      now_.text += event.text;
      now_.tokens += static_cast<uint32_t>(event.tokens.size());
      if (event.what == kind::finished) now_.reason = event.reason;
      if (event.what == kind::failed) now_.why = event.why;
      now_.failed = now_.failed || event.what == kind::failed;
      now_.ended = event.what == kind::completed || event.what == kind::failed;
      // Under the lock: whoever waits for these tokens sees what is done here.
      if (then_ && now_.tokens >= call_at_) std::exchange(then_, {})();
      changed_.notify_all();
    };
  }

  bool wait_for_tokens(uint32_t count) {
    return wait([this, count] { return now_.tokens >= count || now_.ended; });
  }
  bool wait_for_end() {
    return wait([this] { return now_.ended; });
  }
  contents read() {
    const std::lock_guard lock(mutex_);
    return now_;
  }

private:
  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), condition);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  contents now_;
  uint64_t events_ = 0;
  uint32_t call_at_ = 0;
  std::function<void()> then_;
};

} // namespace troupe::tests
