// One answer in the making. The head of a stream waits for the first event, so that a request that
// fails before its first token still gets an honest status.
#include "server/generation_session.hpp"

#include "base/check.hpp"
#include "server/sse.hpp"

namespace troupe::server {

void generation_session::start(const std::shared_ptr<http_exchange>& exchange, args with) {
  auto session = std::make_shared<generation_session>(exchange, std::move(with));
  exchange->listen(session);
  session->submit();
}

generation_session::generation_session(const std::shared_ptr<http_exchange>& exchange, args with)
    : engine_(with.engine),
      exchange_(exchange),
      generations_(std::move(with.generations)),
      reply_(std::move(with.reply)) {
  TROUPE_CHECK(!generations_.empty());
  if (with.stream) {
    stream_.emplace(std::move(with.shape));
  } else {
    whole_.emplace(std::move(with.shape));
  }
}

void generation_session::submit() {
  handles_.reserve(generations_.size());
  for (size_t i = 0; i < generations_.size(); ++i) {
    auto handle = engine_.submit(std::move(generations_[i]),
                                 [weak = weak_from_this(), i](dataflow::stream_event event) {
                                   if (auto self = weak.lock()) self->push(i, std::move(event));
                                 });
    if (!handle) {
      std::string unused;
      return end_in_failure(error_of(handle.error()), unused);
    }
    handles_.push_back(*handle);
  }
  generations_.clear();
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
  if (auto exchange = exchange_.lock()) begin_stream(*exchange, bytes);
  bytes += stream_->add(from.prompt, from.event);
  if (!stream_->complete()) return true;
  bytes += stream_->end();
  over_ = true;
  return false;
}

void generation_session::begin_stream(http_exchange& exchange, std::string& bytes) {
  if (begun_) return;
  begun_ = true;
  exchange.begin_stream(reply_.stream_head());
  bytes += stream_->begin();
}

void generation_session::end_in_failure(const api_error& why, std::string& bytes) {
  over_ = true;
  cancel_all();
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
  for (const auto handle : handles_) engine_.cancel(handle);
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
  std::string bytes;
  begin_stream(*exchange, bytes);
  bytes += sse_ping;
  exchange->send(std::move(bytes));
}

} // namespace troupe::server
