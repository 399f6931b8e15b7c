// Three nodes on their real threads whose state is in a real etcd: they form a cluster, and neither
// the loss of the one that leads nor the absence of etcd costs a stream anything.
#include "actors/cluster_node.hpp"

#include "actors/node.hpp"
#include "storage/etcd/etcd_state_store.hpp"
#include "tests/support/etcd_server.hpp"
#include "tests/unit/actors/cluster_process.hpp"
#include "tests/unit/actors/stream_reader.hpp"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <future>
#include <map>

namespace troupe::actors {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tests::cluster_process;
using tests::comes_true;
using tests::stream_reader;

constexpr uint32_t nodes = 3;
constexpr uint32_t tokens = 40;

dataflow::generation_request ask(uint64_t seed) {
  dataflow::generation_request request;
  request.prompt = tests::built_in_model()->tokenizer->encode("Once upon a time").value();
  request.sampling.temperature = 0.8f;
  request.sampling.seed = seed;
  request.tokens_max = tokens;
  request.ignore_eos = true;
  return request;
}

// A way to etcd that can be cut, as it is when a process is killed: nothing gets through any more,
// the good-bye of a leader included.
class cuttable_store final : public storage::state_store {
public:
  cuttable_store(std::unique_ptr<storage::state_store> inner, const std::atomic<bool>& cut)
      : inner_(std::move(inner)), cut_(cut) {}
  void read(answered then) override {
    if (!is_cut(then)) inner_->read(std::move(then));
  }
  void campaign(const std::string& node, uint64_t incarnation, duration term,
                answered then) override {
    if (!is_cut(then)) inner_->campaign(node, incarnation, term, std::move(then));
  }
  void keep(uint64_t lease, answered then) override {
    if (!is_cut(then)) inner_->keep(lease, std::move(then));
  }
  void replace(const storage::store_leader& leader, const storage::store_contents& next,
               answered then) override {
    if (!is_cut(then)) inner_->replace(leader, next, std::move(then));
  }
  void end(uint64_t lease, answered then) override {
    if (!is_cut(then)) inner_->end(lease, std::move(then));
  }
  storage::store_counters counters() const override { return inner_->counters(); }

private:
  bool is_cut(const answered& then) const {
    if (!cut_) return false;
    then(fail(status_code::unavailable, "the way to etcd is cut"));
    return true;
  }
  std::unique_ptr<storage::state_store> inner_;
  const std::atomic<bool>& cut_;
};

class cluster_etcd_test : public ::testing::Test {
protected:
  void SetUp() override {
    TROUPE_NEEDS_ETCD();
    server = std::make_unique<tests::etcd_server>();
    ASSERT_TRUE(server->running());
    plan.folder = testing::TempDir() + "troupe_etcd_cluster_XXXXXX";
    ASSERT_NE(mkdtemp(plan.folder.data()), nullptr);
    plan.layout.nodes = {"a", "b", "c"};
    plan.layout.voters = 1; // makes no difference
    plan.layout.stages = 2;
    plan.layout.shards = 4;
    plan.layout.shard_copies = 2;
    // A busy machine is no broken one.
    plan.timing.pause_allowed = milliseconds(700);
    plan.timing.step_max = seconds(10);
    plan.timing.formation_wait = milliseconds(200);
    plan.open_store = [this](uint32_t self, const clock& of) {
      return std::make_unique<cuttable_store>(open(of), cut[self]);
    };
    witness = open(time);
    ASSERT_TRUE(comes_true([this] { return contents().has_value(); }));
  }
  void TearDown() override {
    for (auto& each : processes) each.reset();
    if (!plan.folder.empty()) std::filesystem::remove_all(plan.folder);
  }

  std::unique_ptr<storage::state_store> open(const clock& of) const {
    storage::etcd_options options;
    options.endpoints = {server->endpoint()};
    return storage::open_etcd_store(options, of).value();
  }
  result<storage::store_contents> contents() {
    std::promise<result<storage::store_answer>> answer;
    witness->read([&answer](result<storage::store_answer> a) { answer.set_value(std::move(a)); });
    auto read = answer.get_future().get();
    if (!read) return fail(read.error());
    return read->now;
  }
  std::string leader_name() {
    const auto now = contents();
    return now && now->leader ? now->leader->node : "";
  }
  uint32_t leader() {
    EXPECT_TRUE(comes_true([this] { return !leader_name().empty(); }));
    return plan.layout.index_of(leader_name()).value_or(0);
  }

  void start(uint32_t node) {
    cut[node] = false;
    processes[node] = std::make_unique<cluster_process>(network, plan, node, ++incarnations[node]);
  }
  void start_all() {
    for (uint32_t node = 0; node < nodes; ++node) start(node);
    for (auto& each : processes) ASSERT_TRUE(each->wait_for_state(all_in));
  }
  // As SIGKILL: not a word to anybody.
  void kill(uint32_t node) {
    cut[node] = true;
    network.cut(plan.layout.nodes[node]);
    processes[node].reset();
    network.join(plan.layout.nodes[node]);
  }
  static bool all_in(const schemas::cluster_state& state) {
    return state.members.size() == nodes && state.members[0].serving && state.members[1].serving &&
           state.members[2].serving;
  }
  static auto without(uint32_t node) {
    return [node](const schemas::cluster_state& state) {
      return state.members.size() == nodes && !state.members[node].present;
    };
  }

  // Requests 0 to count - 1, one door after the other; the network stands still when all of them
  // are in the middle.
  void open_and_hold(uint32_t count) {
    begun = 0;
    for (uint64_t seed = 0; seed < count; ++seed) {
      readers[seed].at_tokens(5, [this, count] {
        if (begun.fetch_add(1) + 1 == count) network.hold();
      });
      open_stream(static_cast<uint32_t>(seed % nodes), seed);
    }
    for (uint64_t seed = 0; seed < count; ++seed) ASSERT_TRUE(readers[seed].wait_for_tokens(5));
  }
  void open_stream(uint32_t door, uint64_t seed) {
    ASSERT_TRUE(processes[door]->node().submit(ask(seed), readers[seed].sink(), {}).has_value());
  }

  static const std::string& expected(uint64_t seed) {
    static std::map<uint64_t, std::string> known;
    if (known.count(seed) == 0) {
      static const system_clock time;
      static const auto lone =
          start_node(tests::built_in_model(), tests::shared_executor(), time, {}).value();
      stream_reader reader;
      EXPECT_TRUE(lone->submit(ask(seed), reader.sink()).has_value());
      EXPECT_TRUE(reader.wait_for_end());
      known[seed] = reader.read().text;
    }
    return known[seed];
  }
  void expect_answer(uint64_t seed) {
    ASSERT_TRUE(readers[seed].wait_for_end()) << "request " << seed;
    const auto heard = readers[seed].read();
    EXPECT_FALSE(heard.failed) << heard.why.why();
    EXPECT_EQ(heard.text, expected(seed)) << "request " << seed;
    EXPECT_EQ(heard.tokens, tokens);
  }

  void note(const char* what, duration took) {
    RecordProperty(what, static_cast<int>(took / milliseconds(1)));
    std::printf("%s %d ms\n", what, static_cast<int>(took / milliseconds(1)));
  }

  system_clock time;
  std::unique_ptr<tests::etcd_server> server;
  std::unique_ptr<storage::state_store> witness;
  tests::cluster_plan plan;
  tests::pumped_network network;
  std::array<std::atomic<bool>, nodes> cut{};
  std::array<uint64_t, nodes> incarnations{};
  std::array<std::unique_ptr<cluster_process>, nodes> processes;
  std::map<uint64_t, stream_reader> readers; // by seed
  std::atomic<uint32_t> begun{0};            // readers that have some tokens
};

TEST_F(cluster_etcd_test, three_nodes_form_a_cluster_and_every_door_answers) {
  start_all();
  for (uint32_t door = 0; door < nodes; ++door) open_stream(door, door);
  for (uint32_t door = 0; door < nodes; ++door) expect_answer(door);
  const auto now = contents();
  ASSERT_TRUE(now.has_value());
  EXPECT_TRUE(now->leader.has_value());
  EXPECT_EQ(now->state, processes[0]->learned());
}

TEST_F(cluster_etcd_test, streams_survive_the_node_that_leads) {
  start_all();
  const uint32_t victim = leader();
  open_and_hold(6);
  const auto killed_at = time.now();
  kill(victim);
  network.release();
  const uint32_t other = (victim + 1) % nodes;
  ASSERT_TRUE(processes[other]->wait_for_state(without(victim)));
  note("new_epoch_after_leader_killed", time.now() - killed_at);
  EXPECT_NE(leader(), victim);
  for (uint64_t seed = 0; seed < 6; ++seed)
    if (seed % nodes != victim) expect_answer(seed);
  start(victim);
  ASSERT_TRUE(processes[victim]->wait_for_state(all_in));
  open_stream(victim, 10);
  expect_answer(10);
}

TEST_F(cluster_etcd_test, a_leader_that_loses_etcd_is_followed_by_another_and_goes_on_serving) {
  start_all();
  const uint32_t first = leader();
  const auto epoch = processes[first]->learned().epoch;
  open_stream(first, 0);
  const auto cut_at = time.now();
  cut[first] = true;
  ASSERT_TRUE(comes_true([&] {
    const auto name = leader_name();
    return !name.empty() && name != plan.layout.nodes[first];
  }));
  note("hand_over_by_the_end_of_the_lease", time.now() - cut_at);
  expect_answer(0);
  EXPECT_EQ(processes[first]->learned().epoch, epoch); // nobody was lost
}

TEST_F(cluster_etcd_test, while_etcd_stands_still_the_epoch_goes_on_and_nobody_is_excluded) {
  start_all();
  const auto epoch = processes[0]->learned().epoch;
  server->pause();
  for (uint64_t seed = 0; seed < nodes; ++seed) open_stream(static_cast<uint32_t>(seed), seed);
  for (uint64_t seed = 0; seed < nodes; ++seed) expect_answer(seed);
  (void)comes_true([] { return false; }, seconds(4)); // longer than a term
  kill(2);
  (void)comes_true([] { return false; }, seconds(3)); // longer than a suspicion
  EXPECT_EQ(processes[0]->learned().epoch, epoch);
  const auto back_at = time.now();
  server->go_on();
  ASSERT_TRUE(processes[0]->wait_for_state(without(2)));
  note("new_epoch_after_etcd_is_back", time.now() - back_at);
  open_stream(0, 20);
  expect_answer(20);
}

TEST_F(cluster_etcd_test, an_etcd_that_restarts_with_its_data_costs_nothing) {
  start_all();
  const auto epoch = processes[0]->learned().epoch;
  open_stream(0, 0);
  server->kill();
  open_stream(1, 1);
  expect_answer(0);
  expect_answer(1);
  server->start();
  const uint32_t first = leader();
  kill(first);
  const uint32_t other = (first + 1) % nodes;
  ASSERT_TRUE(processes[other]->wait_for_state(without(first)));
  EXPECT_GT(processes[other]->learned().epoch, epoch);
}

TEST_F(cluster_etcd_test, all_nodes_begin_again_from_what_etcd_keeps) {
  start_all();
  const auto epoch = processes[0]->learned().epoch;
  for (uint32_t node = 0; node < nodes; ++node) kill(node);
  for (uint32_t node = 0; node < nodes; ++node) start(node);
  for (auto& each : processes)
    ASSERT_TRUE(each->wait_for_state([epoch](const auto& state) {
      return all_in(state) && state.epoch > epoch && state.members[0].incarnation == 2 &&
             state.members[1].incarnation == 2 && state.members[2].incarnation == 2;
    }));
  open_stream(1, 3);
  expect_answer(3);
}

} // namespace
} // namespace troupe::actors
