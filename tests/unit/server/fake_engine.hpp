// An engine whose answers a test writes by hand, event by event.
#pragma once

#include "actors/engine.hpp"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace troupe::server {

// Any thread.
class fake_engine final : public actors::engine {
public:
  using handle = actors::request_handle;

  result<handle> submit(dataflow::generation_request request, event_sink sink,
                        received_so_far received) override;
  void cancel(handle id) override;
  actors::engine_metrics metrics() override;
  void begin_drain() override;
  bool draining() const override;
  bool healthy() override;
  bool serving() override { return serving_; }
  uint64_t streams_open() override { return streams_open_; }

  const model::tokenizer& tokenizer() const override;
  const model::chat_template* chat_template() const override { return nullptr; }
  const model::description& description() const override;
  const model::generation_defaults& generation_defaults() const override;
  uint32_t positions_max() const override { return 2048; }
  std::string fingerprint() const override { return "fp_test"; }

  // How requests are met from now on.
  void refuse_with(status why);
  void set_healthy(bool value);
  void set_serving(bool value) { serving_ = value; }
  void set_streams_open(uint64_t count) { streams_open_ = count; }
  // Answers each request at once, on the submitting thread: its prompt's length as text, one token
  // a digit, but for what the client has.
  void answer_at_once();

  // Waits, for a bounded time, until so many requests came in; their requests in order of arrival.
  std::vector<dataflow::generation_request> wait_for_requests(size_t count);
  // What came with them, each: what the client has already.
  std::vector<received_so_far> received();
  bool wait_for_cancel(handle id);
  size_t cancelled_count();
  handle handle_of(size_t index) { return index + 1; }

  // Events of a request, as the engine would send them.
  void text(handle id, std::string content, uint32_t choice = 0);
  void event(handle id, dataflow::stream_event what);
  void finish(handle id, dataflow::finish_reason reason = dataflow::finish_reason::stop,
              uint32_t choice = 0);
  void complete(handle id);
  void fail_request(handle id, status why);

private:
  struct request_state {
    dataflow::generation_request request;
    event_sink sink;
    uint64_t sequence_number = 0;
    uint32_t tokens = 0;
  };

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<dataflow::generation_request> requests_;
  std::vector<received_so_far> received_;
  std::map<handle, request_state> states_;
  std::set<handle> cancelled_;
  status refusal_;
  bool healthy_ = true;
  std::atomic<bool> serving_ = true;
  std::atomic<uint64_t> streams_open_ = 0;
  bool draining_ = false;
  bool at_once_ = false;
};

} // namespace troupe::server
