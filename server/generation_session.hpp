// One answer in the making: from the engine's events to the client's bytes.
#pragma once

#include "actors/engine.hpp"
#include "server/http_exchange.hpp"
#include "server/openai_response.hpp"
#include "server/reply.hpp"
#include "storage/request_journal.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace troupe::server {

// Owned by the exchange; engine threads reach it through weak references and only ever leave events
// in its inbox. All else runs on the exchange's strand.
class generation_session final : public exchange_listener,
                                 public std::enable_shared_from_this<generation_session> {
public:
  struct args {
    std::shared_ptr<actors::engine> engine; // shared with all answers of its weights
    std::vector<dataflow::generation_request> generations;
    answer_shape shape;
    bool stream = false;
    class reply reply;
    // Of a stream. What the client has already; absent: nothing.
    std::optional<stream_position> from = std::nullopt;
    // Where the request is noted, and what of it; both or none.
    std::shared_ptr<storage::request_journal> journal = nullptr; // shared with the server
    std::optional<storage::journaled_request> entry = std::nullopt;
  };

  // Submits all generations, or answers why that cannot be.
  static void start(const std::shared_ptr<http_exchange>& exchange, args with);

  // For start() only.
  generation_session(const std::shared_ptr<http_exchange>& exchange, args with);

  void client_gone() override;
  void silent() override;

private:
  struct arrival {
    size_t prompt;
    dataflow::stream_event event;
  };

  void submit();
  void push(size_t prompt, dataflow::stream_event event); // any thread
  void drain();
  void journal();
  void journaled(storage::kept_in where);
  // False when the answer ended with this event.
  bool take(const arrival& from, std::string& bytes);
  void begin_stream(http_exchange& exchange, std::string& bytes);
  void end_in_failure(const api_error& why, std::string& bytes);
  void cancel_all();

  std::shared_ptr<actors::engine> engine_;
  std::weak_ptr<http_exchange> exchange_;
  std::vector<dataflow::generation_request> generations_; // until submitted
  uint32_t choices_;
  reply reply_;
  std::optional<stream_position> from_;
  std::shared_ptr<storage::request_journal> journal_;
  std::optional<storage::journaled_request> entry_; // its body until it has been handed over
  bool journaling_ = false; // no byte of the answer is sent until it is known what can be resumed
  storage::kept_in kept_in_ = storage::kept_in::none;
  std::optional<stream_answer> stream_; // one of the two
  std::optional<whole_answer> whole_;
  std::vector<actors::request_handle> handles_;
  bool begun_ = false; // the head of a stream has been sent
  bool over_ = false;

  std::mutex mutex_; // of what follows
  std::vector<arrival> inbox_;
  bool draining_ = false; // a drain() is on its way
  bool closed_ = false;   // nobody will look any more
};

} // namespace troupe::server
