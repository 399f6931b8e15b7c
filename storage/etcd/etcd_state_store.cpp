// Each operation is one transaction (a campaign: a lease before it), whose answer says what both
// keys hold.
#include "storage/etcd/etcd_state_store.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "schemas/frame_codec.hpp"
#include "storage/etcd/etcd_client.hpp"
#include "storage/posix_io_worker.hpp"
#include "storage/sealed_file.hpp"

#include <nlohmann/json.hpp>

#include <atomic>
#include <span>
#include <utility>
#include <vector>

namespace troupe::storage {
namespace {

using json = nlohmann::json;

constexpr file_kind state_kind = {.magic = "TRPSTATE", .version = 1};
constexpr size_t layout_bytes = 8;
constexpr size_t value_bytes_max = size_t{1} << 20; // etcd takes requests up to 1.5 MiB
constexpr size_t calls_max = 16;                    // waiting

// -- one client, on the thread of its worker

class etcd_keys {
public:
  etcd_keys(const etcd_options& options, const clock& time)
      : client_(options, time),
        leader_key_(options.prefix + "/leader"),
        state_key_(options.prefix + "/state") {}

  result<store_answer> read() {
    auto now = ask({.compares = {}, .then = both(), .otherwise = {}});
    if (now) now->done = true;
    return now;
  }

  result<store_answer> campaign(const std::string& node, uint64_t incarnation, duration term) {
    const auto lease = client_.grant(term);
    if (!lease) return fail(lease.error());
    if (std::chrono::seconds(lease->seconds) > term && !std::exchange(told_of_term_, true))
      log::warn(text("etcd grants no leases shorter than ", lease->seconds,
                     " s; a leader that is lost unseen is replaced no sooner"));
    auto then = both();
    then.insert(then.begin(), {.kind = etcd_operation::what::put,
                               .key = leader_key_,
                               .value = write_leader(node, incarnation),
                               .lease = lease->id});
    auto now = ask({.compares = {{.key = leader_key_, .equals = 0}},
                    .then = std::move(then),
                    .otherwise = both()});
    // Asked twice, the second time finds what the first has done.
    if (now) now->done = now->now.leader && now->now.leader->lease == lease->id;
    return now;
  }

  result<store_answer> keep(uint64_t lease) {
    const auto kept = client_.keep(lease);
    if (!kept) return fail(kept.error());
    return store_answer{.done = kept->seconds > 0, .now = {}};
  }

  result<store_answer> replace(const store_leader& leader, const store_contents& next) {
    auto value = write_state(next.layout, next.state);
    if (!value) return fail(value.error());
    auto then = both();
    then.insert(then.begin(), {.kind = etcd_operation::what::put,
                               .key = state_key_,
                               .value = std::move(*value),
                               .lease = 0});
    auto now = ask({.compares = {{.key = leader_key_, .equals = leader.since},
                                 {.key = state_key_,
                                  .target = etcd_compare::what::mod_revision,
                                  .equals = next.revision}},
                    .then = std::move(then),
                    .otherwise = both()});
    if (now && !now->done) now->done = is_there(leader, next, now->now);
    return now;
  }

  result<store_answer> end(uint64_t lease) {
    const auto ended = client_.revoke(lease);
    if (!ended.ok() && ended.code() != status_code::not_found) return fail(ended);
    return store_answer{.done = true, .now = {}};
  }

private:
  // Asked twice, the second time finds what the first has done.
  static bool is_there(const store_leader& leader, const store_contents& next,
                       const store_contents& now) {
    return now.leader == leader && now.layout == next.layout && now.state == next.state;
  }

  std::vector<etcd_operation> both() const {
    return {{.kind = etcd_operation::what::range, .key = leader_key_, .value = {}, .lease = 0},
            {.kind = etcd_operation::what::range, .key = state_key_, .value = {}, .lease = 0}};
  }

  result<store_answer> ask(const etcd_transaction& transaction) {
    const auto outcome = client_.commit(transaction);
    if (!outcome) return fail(outcome.error());
    if (outcome->ranges.size() != 2 || outcome->ranges[0].size() > 1 ||
        outcome->ranges[1].size() > 1)
      return fail(status_code::corrupt, "etcd: an answer to another question");
    store_answer out{.done = outcome->succeeded, .now = {}};
    for (const auto& entry : outcome->ranges[0]) {
      auto leader = read_leader(entry);
      if (!leader) return fail(leader.error().within(leader_key_));
      out.now.leader = std::move(*leader);
    }
    for (const auto& entry : outcome->ranges[1])
      if (auto s = read_state(entry, out.now); !s.ok()) return fail(s.within(state_key_));
    return out;
  }

  etcd_client client_;
  std::string leader_key_;
  std::string state_key_;
  bool told_of_term_ = false;
};

class etcd_state_store final : public state_store {
public:
  etcd_state_store(const etcd_options& options, const clock& time)
      : keys_(options, time), worker_(calls_max) {}

  void read(answered then) override {
    ask([this] { return keys_.read(); }, std::move(then));
  }
  void campaign(const std::string& node, uint64_t incarnation, duration term,
                answered then) override {
    ask([this, node, incarnation, term] { return keys_.campaign(node, incarnation, term); },
        std::move(then));
  }
  void keep(uint64_t lease, answered then) override {
    ask([this, lease] { return keys_.keep(lease); }, std::move(then));
  }
  void replace(const store_leader& leader, const store_contents& next, answered then) override {
    ask([this, leader, next] { return keys_.replace(leader, next); }, std::move(then));
  }
  void end(uint64_t lease, answered then) override {
    ask([this, lease] { return keys_.end(lease); }, std::move(then));
  }

  store_counters counters() const override {
    return {.calls = calls_.load(std::memory_order_relaxed),
            .failures = failures_.load(std::memory_order_relaxed),
            .refusals = refusals_.load(std::memory_order_relaxed),
            .reachable = reachable_.load(std::memory_order_relaxed)};
  }

private:
  using question = std::function<result<store_answer>()>;

  void ask(question what, answered then) {
    auto job = [this, what = std::move(what), then] {
      auto answer = what();
      count(answer);
      then(std::move(answer));
      return status();
    };
    if (auto s = worker_.submit(std::move(job), [](const status&) {}); !s.ok())
      then(fail(status_code::exhausted, "etcd is too slow: too many calls wait for it"));
  }

  void count(const result<store_answer>& answer) {
    calls_.fetch_add(1, std::memory_order_relaxed);
    if (!answer) failures_.fetch_add(1, std::memory_order_relaxed);
    if (answer && !answer->done) refusals_.fetch_add(1, std::memory_order_relaxed);
    reachable_.store(answer.has_value(), std::memory_order_relaxed);
  }

  etcd_keys keys_; // of the worker's thread
  std::atomic<uint64_t> calls_{0};
  std::atomic<uint64_t> failures_{0};
  std::atomic<uint64_t> refusals_{0};
  std::atomic<bool> reachable_{false};
  posix_io_worker worker_; // last: its jobs use all of the above
};

} // namespace

result<std::unique_ptr<state_store>> open_etcd_store(const etcd_options& options,
                                                     const clock& time) {
  if (auto s = validate(options); !s.ok()) return fail(std::move(s));
  return std::make_unique<etcd_state_store>(options, time);
}

// Readable for whoever looks with etcdctl.
std::string write_leader(std::string_view node, uint64_t incarnation) {
  return json{{"node", node}, {"incarnation", incarnation}}.dump(-1, ' ', false,
                                                                 json::error_handler_t::replace);
}

result<store_leader> read_leader(const etcd_entry& entry) {
  const auto value = json::parse(entry.value, nullptr, false);
  const auto node = value.is_object() ? value.find("node") : value.end();
  const auto incarnation = value.is_object() ? value.find("incarnation") : value.end();
  if (!value.is_object() || node == value.end() || !node->is_string() ||
      incarnation == value.end() || !incarnation->is_number_unsigned())
    return fail(status_code::corrupt, "this is not what a leader writes");
  if (entry.lease == 0)
    return fail(status_code::corrupt, "a leader without a lease; delete the key");
  return store_leader{.node = node->get<std::string>(),
                      .incarnation = incarnation->get<uint64_t>(),
                      .lease = entry.lease,
                      .since = entry.create_revision};
}

result<std::string> write_state(uint64_t layout, const schemas::cluster_state& state) {
  const auto encoded = schemas::encode_cluster_state(state);
  if (!encoded) return fail(encoded.error());
  std::vector<std::byte> content;
  for (size_t i = 0; i < layout_bytes; ++i)
    content.push_back(static_cast<std::byte>(layout >> (8 * i)));
  content.insert(content.end(), encoded->begin(), encoded->end());
  const auto value = seal(state_kind, content);
  if (value.size() > value_bytes_max)
    return fail(status_code::exhausted,
                text("the state has ", value.size(), " bytes; etcd takes ", value_bytes_max));
  return std::string(reinterpret_cast<const char*>(value.data()), value.size());
}

status read_state(const etcd_entry& entry, store_contents& out) {
  const auto content = unseal(state_kind, std::as_bytes(std::span(entry.value)));
  if (!content) return content.error();
  if (content->size() < layout_bytes) return {status_code::corrupt, "it is cut short"};
  auto state = schemas::decode_cluster_state(content->subspan(layout_bytes));
  if (!state) return state.error();
  out.layout = 0;
  for (size_t i = 0; i < layout_bytes; ++i)
    out.layout |= std::to_integer<uint64_t>((*content)[i]) << (8 * i);
  out.state = std::move(*state);
  out.revision = entry.mod_revision;
  return {};
}

} // namespace troupe::storage
