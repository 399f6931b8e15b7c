// One copy, one flag: whoever has the flag has the copy and the store.
#include "storage/checkpoint_saver.hpp"

#include "base/text.hpp"

#include <utility>

namespace troupe::storage {

checkpoint_saver::checkpoint_saver(checkpoint_store& store, io_worker& worker,
                                   const saver_options& options)
    : store_(store), worker_(worker), options_(options), state_(std::make_shared<shared_state>()) {}

status checkpoint_saver::save(const checkpoint_info& info, std::span<const checkpoint_part> parts) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->busy) ++waits_;
  }
  TROUPE_RETURN_IF_ERROR(wait_until_idle());
  auto& copy = *state_;
  copy.info = info;
  copy.bytes.clear();
  copy.parts.clear();
  size_t total = 0;
  for (const auto& part : parts) total += part.bytes.size();
  copy.bytes.reserve(total); // so that what refers to it stays
  for (const auto& part : parts) {
    const size_t at = copy.bytes.size();
    copy.bytes.insert(copy.bytes.end(), part.bytes.begin(), part.bytes.end());
    copy.parts.push_back({part.name, std::span(copy.bytes).subspan(at, part.bytes.size())});
  }
  return submit();
}

status checkpoint_saver::submit() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->busy = true;
  }
  auto work = [state = state_, &store = store_, keep = options_.keep] {
    auto outcome = write(*state, store, keep);
    const std::lock_guard lock(state->mutex);
    state->outcomes.push_back(std::move(outcome));
    return status();
  };
  auto done = [state = state_](const status&) {
    {
      const std::lock_guard lock(state->mutex);
      state->busy = false;
    }
    state->ended.notify_all();
  };
  status accepted = worker_.submit(std::move(work), std::move(done));
  if (!accepted.ok()) {
    const std::lock_guard lock(state_->mutex);
    state_->busy = false;
  }
  return accepted;
}

checkpoint_outcome checkpoint_saver::write(const shared_state& copy, checkpoint_store& store,
                                           const checkpoint_retention& keep) {
  checkpoint_outcome out;
  out.step = copy.info.step;
  auto written = store.write(copy.info, copy.parts);
  if (!written && written.error().code() == status_code::exhausted) {
    // What is to go in any case may make room.
    const auto freed = store.prune(keep);
    if (freed && !freed->manifests.empty()) written = store.write(copy.info, copy.parts);
  }
  if (!written) {
    out.failure = written.error();
    return out;
  }
  out.written = std::move(*written);
  auto pruned = store.prune(keep);
  if (pruned)
    out.pruned = std::move(*pruned);
  else
    out.prune_failure = pruned.error();
  return out;
}

status checkpoint_saver::finish() {
  return wait_until_idle();
}

status checkpoint_saver::wait_until_idle() {
  std::unique_lock lock(state_->mutex);
  if (!state_->busy) return {};
  if (state_->ended.wait_for(lock, options_.patience, [this] { return !state_->busy; })) return {};
  return {status_code::timed_out,
          text("the disk has not taken the checkpoint of step ", state_->info.step, " in ",
               options_.patience.count(), " seconds")};
}

std::vector<checkpoint_outcome> checkpoint_saver::take_outcomes() {
  const std::lock_guard lock(state_->mutex);
  return std::exchange(state_->outcomes, {});
}

} // namespace troupe::storage
