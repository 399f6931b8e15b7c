// One answer in the making. The head of a stream waits for the first event, so that a request that
// fails before its first token still gets an honest status.
#include "server/generation_session.hpp"

#include "base/check.hpp"
#include "server/resumption.hpp"
#include "server/sse.hpp"

#include <utility>

namespace troupe::server {
namespace {

// What the client may rely on when its connection breaks: whether the response's id is enough, and
// what that outlives, or whether it has to repeat the request.
const char* name_of(storage::kept_in where) {
  switch (where) {
    case storage::kept_in::none:
      return "request";
    case storage::kept_in::memory:
      return "memory";
    case storage::kept_in::disk:
      return "disk";
    case storage::kept_in::cluster:
      return "cluster";
  }
  return "request";
}

} // namespace

void generation_session::start(const std::shared_ptr<http_exchange>& exchange, args with) {
  auto session = std::make_shared<generation_session>(exchange, std::move(with));
  exchange->listen(session);
  session->submit();
}

generation_session::generation_session(const std::shared_ptr<http_exchange>& exchange, args with)
    : engine_(std::move(with.engine)),
      exchange_(exchange),
      generations_(std::move(with.generations)),
      choices_(with.shape.choices),
      reply_(std::move(with.reply)),
      from_(std::move(with.from)),
      journal_(std::move(with.journal)),
      entry_(std::move(with.entry)) {
  TROUPE_CHECK(!generations_.empty());
  TROUPE_CHECK(with.stream || !from_);
  TROUPE_CHECK((journal_ != nullptr) == entry_.has_value());
  if (with.stream && from_) {
    stream_.emplace(std::move(with.shape), *from_);
  } else if (with.stream) {
    stream_.emplace(std::move(with.shape));
  } else {
    whole_.emplace(std::move(with.shape));
  }
}

void generation_session::submit() {
  handles_.reserve(generations_.size());
  for (size_t i = 0; i < generations_.size(); ++i) {
    actors::engine::received_so_far received;
    if (from_) received = received_of(*from_, i, choices_);
    auto handle = engine_->submit(
        std::move(generations_[i]),
        [weak = weak_from_this(), i](dataflow::stream_event event) {
          if (auto self = weak.lock()) self->push(i, std::move(event));
        },
        std::move(received));
    if (!handle) {
      std::string unused;
      return end_in_failure(error_of(handle.error()), unused);
    }
    handles_.push_back(*handle);
  }
  generations_.clear();
  if (entry_) journal();
}

// While the disk works the engine does too.
void generation_session::journal() {
  journaling_ = true;
  std::string body = std::exchange(entry_->body, {});
  storage::journaled_request entry = *entry_;
  entry.body = std::move(body);
  journal_->put(std::move(entry),
                [weak_self = weak_from_this(), weak = exchange_](storage::kept_in where) {
                  const auto exchange = weak.lock();
                  if (exchange == nullptr) return;
                  exchange->post([weak_self, where] {
                    if (auto self = weak_self.lock()) self->journaled(where);
                  });
                });
}

void generation_session::journaled(storage::kept_in where) {
  if (!journaling_) return; // too late: the client has been told
  journaling_ = false;
  kept_in_ = where;
  drain();
}

// The engine waits for nobody: the event is left here and looked at later, with those that came
// meanwhile.
void generation_session::push(size_t prompt, dataflow::stream_event event) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    inbox_.push_back({prompt, std::move(event)});
    if (draining_) return;
    draining_ = true;
  }
  if (auto exchange = exchange_.lock()) {
    exchange->post([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->drain();
    });
  }
}

void generation_session::drain() {
  if (journaling_) return; // journaled() comes back
  std::vector<arrival> arrivals;
  {
    const std::lock_guard lock(mutex_);
    arrivals.swap(inbox_);
    draining_ = false;
  }
  const auto exchange = exchange_.lock();
  if (over_ || exchange == nullptr || arrivals.empty()) return;
  std::string bytes;
  for (const arrival& next : arrivals) {
    if (!take(next, bytes)) break;
  }
  if (!bytes.empty()) exchange->send(std::move(bytes));
  if (over_ && stream_ && begun_) exchange->finish();
}

bool generation_session::take(const arrival& from, std::string& bytes) {
  if (auto failure = failure_of(from.event)) {
    end_in_failure(*failure, bytes);
    return false;
  }
  if (whole_) {
    whole_->add(from.prompt, from.event);
    if (!whole_->complete()) return true;
    over_ = true;
    if (auto exchange = exchange_.lock()) exchange->respond(reply_.json(whole_->body()));
    return false;
  }
  if (!begun_)
    if (auto exchange = exchange_.lock()) begin_stream(*exchange, bytes);
  bytes += stream_->add(from.prompt, from.event);
  if (!stream_->complete()) return true;
  bytes += stream_->end();
  if (entry_) journal_->finish(entry_->response_id, entry_->nonce);
  over_ = true;
  return false;
}

void generation_session::begin_stream(http_exchange& exchange, std::string& bytes) {
  if (begun_) return;
  begun_ = true;
  exchange.begin_stream(reply_.stream_head(name_of(kept_in_)));
  bytes += stream_->begin();
}

void generation_session::end_in_failure(const api_error& why, std::string& bytes) {
  over_ = true;
  cancel_all();
  // Where nothing was ever sent there is nothing to go on with.
  if (!begun_ && !from_ && entry_) journal_->finish(entry_->response_id, entry_->nonce);
  if (begun_) {
    bytes += stream_->fail(why);
  } else if (auto exchange = exchange_.lock()) {
    exchange->respond(reply_.error(why));
  }
}

void generation_session::cancel_all() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    inbox_.clear();
  }
  for (const auto handle : handles_) engine_->cancel(handle);
  handles_.clear();
}

void generation_session::client_gone() {
  if (!over_ && !begun_) reply_.client_gone();
  over_ = true;
  cancel_all();
}

void generation_session::silent() {
  const auto exchange = exchange_.lock();
  if (over_ || !stream_ || exchange == nullptr) return;
  // A disk that hangs holds nobody up for longer than this.
  if (journaling_) return journaled(storage::kept_in::none);
  std::string bytes;
  begin_stream(*exchange, bytes);
  bytes += sse_ping;
  exchange->send(std::move(bytes));
}

} // namespace troupe::server
