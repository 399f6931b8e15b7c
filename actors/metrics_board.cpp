// Adding to and reading of the node's counters.
#include "actors/metrics_board.hpp"

#include "dataflow/latency.hpp"

#include <algorithm>

namespace troupe::actors {
namespace {

uint64_t load(const std::atomic<uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

} // namespace

shared_histogram::shared_histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), buckets_(bounds.size() + 1) {}

void shared_histogram::add(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  buckets_[static_cast<size_t>(bound - bounds_.begin())].fetch_add(1, std::memory_order_relaxed);
  double sum = sum_.load(std::memory_order_relaxed);
  while (!sum_.compare_exchange_weak(sum, sum + value, std::memory_order_relaxed)) {
  }
}

histogram shared_histogram::read() const {
  histogram out;
  out.bounds = bounds_;
  for (const auto& bucket : buckets_) {
    out.buckets.push_back(load(bucket));
    out.count += out.buckets.back();
  }
  out.sum = sum_.load(std::memory_order_relaxed);
  return out;
}

metrics_board::metrics_board(uint32_t layers, uint32_t experts)
    : time_to_first_token(dataflow::first_token_bounds()),
      inter_token_latency(dataflow::inter_token_bounds()),
      request_latency(dataflow::request_bounds()),
      queue_time(dataflow::request_bounds()),
      step_tokens(dataflow::step_token_bounds()),
      layers_(layers),
      experts_(experts),
      expert_tokens_(size_t{layers} * experts) {}

uint64_t metrics_board::expert_rows(uint32_t expert) const {
  uint64_t sum = 0;
  for (uint32_t layer = 0; layer < layers_; ++layer)
    sum += load(expert_tokens_[size_t{layer} * experts_ + expert]);
  return sum;
}

kv_archive_metrics metrics_board::read_archive() const {
  kv_archive_metrics out;
  out.present = archives;
  out.stopped = load(archive.stopped) != 0;
  out.pages = load(archive.pages);
  out.bytes = load(archive.bytes);
  out.bytes_max = load(archive.bytes_max);
  out.pages_written = load(archive.pages_written);
  out.bytes_written = load(archive.bytes_written);
  out.pages_skipped = load(archive.pages_skipped);
  out.write_failures = load(archive.write_failures);
  out.pages_restored = load(archive.pages_restored);
  out.restores_late = load(archive.restores_late);
  out.pages_unreadable = load(archive.pages_unreadable);
  out.pages_foreign = load(archive.pages_foreign);
  out.pages_evicted = load(archive.pages_evicted);
  return out;
}

engine_metrics metrics_board::read() const {
  engine_metrics out;
  out.requests_running = load(sequences_running);
  out.requests_waiting = load(sequences_waiting);
  out.requests_accepted = load(accepted);
  out.requests_rejected = load(rejected);
  for (size_t i = 0; i < out.requests_finished.size(); ++i)
    out.requests_finished[i] = load(finished[i]);
  out.prompt_tokens = load(prompt_tokens);
  out.generated_tokens = load(generated_tokens);
  out.cached_tokens = load(cached_tokens);
  out.prefix_queries = load(prefix_queries);
  out.preemptions = load(preemptions);
  out.draft_tokens = load(draft_tokens);
  out.draft_accepted = load(draft_accepted);
  out.steps = load(steps);
  out.pages_total = load(pages_total);
  out.pages_used = load(pages_used);
  out.pages_cached = load(pages_cached);
  out.pages_evicted = load(pages_evicted);
  out.pages_evicted_unused = load(pages_evicted_unused);
  out.pages_dropped = load(pages_dropped);
  out.eviction = eviction;
  out.kv_archive = read_archive();
  out.restarts = load(restarts);
  out.expert_tokens.resize(layers_);
  for (uint32_t layer = 0; layer < layers_; ++layer)
    for (uint32_t expert = 0; expert < experts_; ++expert)
      out.expert_tokens[layer].push_back(load(expert_tokens_[size_t{layer} * experts_ + expert]));
  out.time_to_first_token_s = time_to_first_token.read();
  out.inter_token_latency_s = inter_token_latency.read();
  out.request_latency_s = request_latency.read();
  out.queue_time_s = queue_time.read();
  out.step_tokens = step_tokens.read();
  return out;
}

} // namespace troupe::actors
