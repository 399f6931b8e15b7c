// Tries the changes that could relieve the busiest node, and takes the best one if it is worth an
// epoch.
#include "dataflow/load_balance.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <chrono>

namespace troupe::dataflow {
namespace {

constexpr duration window_step = std::chrono::seconds(1);
constexpr uint64_t forgotten_part = 16;
constexpr int64_t steps_max = 1024; // after which nothing is left

constexpr size_t shards_tried_max = 8;  // of the busiest node, those with most work
constexpr size_t targets_tried_max = 4; // the least busy nodes
constexpr uint64_t margin_part = 8;

bool is_in(const std::vector<node_index>& nodes, node_index node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

// Work of one shard, on the nodes where it is done.
void add_shard_work(const cluster_layout& layout, const placement& where, uint32_t shard,
                    uint64_t work, std::vector<uint64_t>& out) {
  const auto& copies = where.shards[shard];
  if (copies.size() > layout.shard_copies) {
    for (const node_index node : copies) out[node] += work / copies.size();
    return;
  }
  for (const node_index router : where.stages)
    out[is_in(copies, router) ? router : copies.front()] += work / where.stages.size();
}

class balancer {
public:
  balancer(const cluster_layout& layout, const placement& current, const std::vector<bool>& serving,
           const plan_figures& figures)
      : layout_(layout),
        current_(current),
        serving_(serving),
        figures_(figures),
        work_(work_of_roles(layout, figures)),
        busy_(busy_times(layout, current, serving, figures)) {}

  std::optional<placement> best() {
    const auto busiest =
        static_cast<node_index>(std::max_element(busy_.begin(), busy_.end()) - busy_.begin());
    before_ = busy_[busiest];
    best_after_ = before_;
    const auto targets = least_busy();
    // What costs nothing goes first, and what costs memory last, among equals.
    const auto shards = heaviest_on(busiest);
    for (const uint32_t shard : shards) try_other_copies(shard);
    for (const uint32_t shard : shards)
      for (const node_index to : targets) try_move(shard, busiest, to);
    for (const uint32_t shard : shards)
      for (const node_index to : targets) try_copy(shard, to);
    if (best_after_ > before_ - before_ / margin_part) return {};
    return best_;
  }

private:
  std::vector<uint32_t> heaviest_on(node_index node) const {
    std::vector<std::pair<uint64_t, uint32_t>> found;
    for (uint32_t n = 0; n < current_.shards.size(); ++n) {
      std::vector<uint64_t> each(serving_.size(), 0);
      add_shard_work(layout_, current_, n, work_.shards[n], each);
      if (each[node] > 0) found.emplace_back(each[node], n);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<uint32_t> out;
    for (size_t n = 0; n < std::min(found.size(), shards_tried_max); ++n)
      out.push_back(found[n].second);
    return out;
  }

  std::vector<node_index> least_busy() const {
    std::vector<node_index> out;
    for (node_index node = 0; node < serving_.size(); ++node)
      if (serving_[node]) out.push_back(node);
    std::stable_sort(out.begin(), out.end(),
                     [this](node_index a, node_index b) { return busy_[a] < busy_[b]; });
    if (out.size() > targets_tried_max) out.resize(targets_tried_max);
    return out;
  }

  void try_other_copies(uint32_t shard) {
    for (size_t c = 1; c < current_.shards[shard].size(); ++c) {
      placement next = current_;
      std::swap(next.shards[shard][0], next.shards[shard][c]);
      consider(std::move(next));
    }
  }

  void try_move(uint32_t shard, node_index from, node_index to) {
    if (is_in(current_.shards[shard], to)) return;
    placement next = current_;
    auto& copies = next.shards[shard];
    const auto at = std::find(copies.begin(), copies.end(), from);
    if (at == copies.end()) return;
    *at = to;
    consider(std::move(next));
  }

  void try_copy(uint32_t shard, node_index to) {
    const auto& copies = current_.shards[shard];
    if (copies.size() >= layout_.shard_copies_max || is_in(copies, to)) return;
    placement next = current_;
    next.shards[shard].push_back(to);
    consider(std::move(next));
  }

  void consider(placement next) {
    const auto times = busy_times(layout_, next, serving_, figures_);
    const uint64_t after = *std::max_element(times.begin(), times.end());
    if (after >= best_after_ || !validate_memory(next, layout_, figures_).ok()) return;
    best_after_ = after;
    best_ = std::move(next);
  }

  const cluster_layout& layout_;
  const placement& current_;
  const std::vector<bool>& serving_;
  const plan_figures& figures_;
  const role_work work_;
  const std::vector<uint64_t> busy_;
  uint64_t before_ = 0;
  uint64_t best_after_ = 0;
  std::optional<placement> best_;
};

} // namespace

bool row_window::due(time_point now) const {
  return !begun_ || now - *begun_ >= window_step;
}

void row_window::observe(std::span<const uint64_t> totals, time_point now) {
  TROUPE_CHECK(totals.size() == rows_.size());
  if (!due(now)) return;
  int64_t steps = begun_ ? std::min((now - *begun_) / window_step, steps_max) : 0;
  begun_ = now;
  for (size_t n = 0; n < rows_.size(); ++n) {
    for (int64_t step = 0; step < steps && rows_[n] > 0; ++step)
      rows_[n] -= (rows_[n] + forgotten_part - 1) / forgotten_part;
    rows_[n] += totals[n] >= totals_[n] ? totals[n] - totals_[n] : totals[n];
    totals_[n] = totals[n];
  }
}

std::vector<uint64_t> busy_times(const cluster_layout& layout, const placement& where,
                                 const std::vector<bool>& serving, const plan_figures& figures) {
  const auto work = work_of_roles(layout, figures);
  std::vector<uint64_t> out(serving.size(), 0);
  out[where.sequencer] += work.sequencer;
  for (uint32_t n = 0; n < where.stages.size(); ++n) out[where.stages[n]] += work.stages[n];
  for (uint32_t n = 0; n < where.shards.size(); ++n)
    add_shard_work(layout, where, n, work.shards[n], out);
  const auto time = time_of_unit(figures, serving);
  for (size_t n = 0; n < out.size(); ++n) out[n] *= time[n];
  return out;
}

std::optional<placement> balance_load(const cluster_layout& layout, const placement& current,
                                      const std::vector<bool>& serving,
                                      const plan_figures& figures) {
  if (!rows_count(layout, figures) || !complete(current, layout)) return {};
  return balancer(layout, current, serving, figures).best();
}

} // namespace troupe::dataflow
