// A recovery lasts from the first state that tells of a loss to the first epoch after it that
// serves.
#include "actors/epoch_watch.hpp"

#include <algorithm>
#include <utility>

namespace troupe::actors {

void epoch_watch::hit(std::string_view probe, uint64_t value) {
  if (probe == "epoch.go") {
    begin(value);
    if (begun_) begun_();
  }
  if (probe == "node.suspected") note_suspicion(static_cast<schemas::node_index>(value));
  if (probe == "epoch.ready") note_ready(value);
  if (probe == "tokens.relayed") note_tokens(value >> 32);
  next_.hit(probe, value);
}

void epoch_watch::note_suspicion(schemas::node_index node) {
  const auto now = time_.now();
  const std::lock_guard lock(mutex_);
  suspected_at_[node] = now;
}

void epoch_watch::note_ready(uint64_t epoch) {
  const auto now = time_.now();
  const std::lock_guard lock(mutex_);
  ready_ = {epoch, now};
}

void epoch_watch::note_tokens(uint64_t epoch) {
  if (awaits_tokens_.load(std::memory_order_relaxed) != epoch) return;
  const auto now = time_.now();
  const std::lock_guard lock(mutex_);
  if (!now_.last || now_.last->epoch != epoch || now_.last->flowing) return;
  now_.last->flowing = now;
  awaits_tokens_.store(0, std::memory_order_relaxed);
}

void epoch_watch::learn(const schemas::cluster_state& state) {
  const auto now = time_.now();
  const std::lock_guard lock(mutex_);
  if (now_.state.epoch > 0) {
    auto loss = loss_between(now_.state, state);
    if (loss.any && !open_) open_ = {now, {}};
    if (loss.any) open_->lost.insert(open_->lost.end(), loss.nodes.begin(), loss.nodes.end());
  }
  now_.state = state;
  now_.known_at = now;
  now_.begun = false;
}

void epoch_watch::begin(uint64_t epoch) {
  const auto now = time_.now();
  const auto wall = time_.wall_seconds();
  const std::lock_guard lock(mutex_);
  if (epoch != now_.state.epoch || now_.state.where.sequencer == schemas::no_node) return;
  now_.begun = true;
  const auto suspected = std::exchange(suspected_at_, {});
  if (!open_) return;
  auto ended = std::exchange(open_, std::nullopt);
  std::sort(ended->lost.begin(), ended->lost.end());
  ended->lost.erase(std::unique(ended->lost.begin(), ended->lost.end()), ended->lost.end());
  ++now_.recoveries;
  recovery done{epoch, std::move(ended->lost), now - ended->known_at, wall};
  for (const auto node : done.lost) {
    const auto at = suspected.find(node);
    if (at == suspected.end() || at->second > ended->known_at) continue;
    done.suspected = done.suspected ? std::min(*done.suspected, at->second) : at->second;
  }
  done.known = ended->known_at;
  if (ready_ && ready_->first == epoch) done.ready = ready_->second;
  done.served = now;
  now_.last = std::move(done);
  awaits_tokens_.store(epoch, std::memory_order_relaxed);
}

epoch_watch::reading epoch_watch::read() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

epoch_loss loss_between(const schemas::cluster_state& before, const schemas::cluster_state& after) {
  epoch_loss out;
  const size_t count = std::min(before.members.size(), after.members.size());
  bool same = before.members.size() == after.members.size();
  for (size_t node = 0; node < count; ++node) {
    const auto& was = before.members[node];
    const auto& is = after.members[node];
    same = same && was == is;
    if (!was.present) continue;
    const bool restarted = is.present && is.incarnation != was.incarnation;
    const bool gone = !is.present && was.serving;
    const bool part_lost =
        is.present && is.incarnation == was.incarnation && is.generation != was.generation;
    out.any = out.any || restarted || gone || part_lost;
    if (restarted || gone) out.nodes.push_back(static_cast<schemas::node_index>(node));
  }
  // The same nodes in the same state, and yet another epoch: a step was stuck. A change of places
  // alone is balance.
  out.any = out.any || (same && before.where == after.where);
  return out;
}

} // namespace troupe::actors
