// One lot is written at a time.
#include "storage/ingest_queue.hpp"

#include "base/text.hpp"

#include <utility>

namespace troupe::storage {
namespace {

constexpr uint64_t document_overhead = 256; // of what waits in memory

uint64_t bytes_of(const schemas::ingest_batch& batch) {
  uint64_t out = document_overhead;
  for (const auto& each : batch.documents) out += each.text.size() + document_overhead;
  return out;
}

} // namespace

ingest_queue::ingest_queue(std::unique_ptr<ingest_log> log, io_worker& worker, uint64_t bytes_max)
    : log_(std::move(log)), worker_(worker), bytes_max_(bytes_max), counters_(log_->counters()) {}

ingest_queue::~ingest_queue() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return !writing_; });
}

void ingest_queue::put(schemas::ingest_batch batch, put_done done) {
  const uint64_t bytes = bytes_of(batch);
  std::unique_lock lock(mutex_);
  if (waiting_bytes_ > 0 && waiting_bytes_ + bytes > bytes_max_) {
    ++turned_away_;
    const uint64_t before = waiting_bytes_;
    lock.unlock();
    return done(fail(status_code::exhausted,
                     text(before, " bytes of documents wait for the disk; at most ", bytes_max_)));
  }
  waiting_bytes_ += bytes;
  waiting_.push_back({std::move(batch), std::move(done), bytes});
  begin_lot(std::move(lock));
}

ingest_log_counters ingest_queue::counters() {
  const std::lock_guard lock(mutex_);
  auto out = counters_;
  out.full += turned_away_;
  return out;
}

void ingest_queue::begin_lot(std::unique_lock<std::mutex> lock) {
  if (writing_) return;
  if (waiting_.empty()) return idle_.notify_all();
  writing_ = true;
  // Shared by the job and its completion.
  const auto batches = std::make_shared<lot>(std::exchange(waiting_, {}));
  lock.unlock();
  const auto end = [this, batches] {
    std::unique_lock again(mutex_);
    for (const auto& each : *batches) waiting_bytes_ -= each.bytes;
    writing_ = false;
    begin_lot(std::move(again));
  };
  const auto taken =
      worker_.submit([this, batches] { return write(*batches); }, [end](const status&) { end(); });
  if (taken.ok()) return;
  for (const auto& each : *batches) each.done(fail(taken));
  end();
}

// Together; one by one when one of them may be the reason that all were refused.
status ingest_queue::write(lot& batches) {
  std::vector<schemas::ingest_batch> all;
  for (auto& each : batches) all.push_back(std::move(each.batch));
  const auto receipts = log_->append(all);
  const auto tell = [this](const put_done& done, const result<ingest_receipt>& outcome) {
    {
      const std::lock_guard lock(mutex_);
      counters_ = log_->counters();
    }
    done(outcome);
  };
  const bool apart = !receipts && receipts.error().code() != status_code::unavailable;
  for (size_t i = 0; i < batches.size(); ++i) {
    if (!apart || batches.size() == 1) {
      tell(batches[i].done, receipts ? result<ingest_receipt>((*receipts)[i])
                                     : result<ingest_receipt>(fail(receipts.error())));
      continue;
    }
    const auto alone = log_->append(std::span(&all[i], 1));
    tell(batches[i].done, alone ? result<ingest_receipt>(alone->front())
                                : result<ingest_receipt>(fail(alone.error())));
  }
  return {};
}

} // namespace troupe::storage
