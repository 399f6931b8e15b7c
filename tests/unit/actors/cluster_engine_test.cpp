// A clustered node behind the door that the HTTP server knows: real threads, and a network in
// memory.
#include "actors/cluster_engine.hpp"

#include "actors/node.hpp"
#include "compute/cpu_executor.hpp"
#include "storage/request_journal.hpp"
#include "tests/unit/actors/cluster_process.hpp"
#include "tests/unit/actors/stream_reader.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace troupe::actors {
namespace {

using tests::stream_reader;

dataflow::generation_request ask(uint64_t seed) {
  dataflow::generation_request request;
  request.prompt = tests::built_in_model()->tokenizer->encode("Once upon a time").value();
  request.sampling.temperature = 0.8f;
  request.sampling.seed = seed;
  request.tokens_max = 24;
  request.ignore_eos = true;
  return request;
}

class cluster_engine_test : public ::testing::Test {
protected:
  cluster_engine_test() {
    folder = testing::TempDir() + "troupe_engine_XXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
  }
  ~cluster_engine_test() override {
    for (auto& each : engines) each.reset();
    stores.clear();
    disks.clear();
    std::filesystem::remove_all(folder);
  }

  cluster_engine_options options_of(uint32_t self) {
    cluster_engine_options options;
    options.layout.nodes = {"a", "b", "c"};
    options.layout.voters = 3;
    options.layout.shards = 4;
    options.layout.shard_copies = 2;
    options.timing.pause_allowed = std::chrono::milliseconds(700);
    options.timing.step_max = std::chrono::seconds(10);
    options.timing.formation_wait = std::chrono::milliseconds(200);
    options.self = self;
    options.changed = [this] {
      const std::lock_guard lock(mutex);
      changed.notify_all();
    };
    return options;
  }

  cluster_engine_seams seams_of(uint32_t self) {
    const std::string name = options_of(self).layout.nodes[self];
    disks.push_back(storage::posix_disk::open(folder + "/" + name).value());
    stores.push_back(std::make_unique<storage::vote_store>(*disks.back()));
    cluster_engine_seams seams;
    seams.executor = &tests::shared_executor();
    seams.time = &time;
    seams.votes = stores.back().get();
    seams.worker = std::make_unique<storage::posix_io_worker>();
    if (auto* journal = journals[self].get())
      seams.keep_entry = [journal](std::span<const std::byte> entry) {
        return journal->absorb(entry);
      };
    seams.open_endpoint = [this, name](transport::endpoint_listener& listener)
        -> result<std::unique_ptr<transport::endpoint>> {
      return network.open({name, 1}, listener);
    };
    return seams;
  }

  void start(uint32_t node, std::shared_ptr<const model_bundle> model = tests::built_in_model()) {
    auto made = cluster_engine::start(std::move(model), seams_of(node), options_of(node));
    ASSERT_TRUE(made.has_value()) << made.error().why();
    engines[node] = std::move(*made);
  }
  void start_all() {
    for (uint32_t node = 0; node < 3; ++node) start(node);
    for (uint32_t node = 0; node < 3; ++node)
      ASSERT_TRUE(wait([&] { return engines[node]->serving() && all_serve(node); }));
  }
  static storage::journaled_request request(uint32_t number) {
    return {.response_id = "cmpl-" + std::to_string(number),
            .path = "/v1/completions",
            .body = std::string(1000, 'x'),
            .nonce = number + 1,
            .owner = 99,
            .created = 5};
  }
  storage::kept_in put(uint32_t node, storage::journaled_request entry) {
    std::optional<storage::kept_in> out;
    journals[node]->put(std::move(entry), [this, &out](storage::kept_in where) {
      const std::lock_guard lock(mutex);
      out = where;
      changed.notify_all();
    });
    EXPECT_TRUE(wait([&] {
      const std::lock_guard lock(mutex);
      return out.has_value();
    }));
    const std::lock_guard lock(mutex);
    return out.value_or(storage::kept_in::none);
  }

  bool all_serve(uint32_t node) {
    for (const auto& member : engines[node]->cluster().members)
      if (!member.serving) return false;
    return true;
  }

  // Also looks when nothing was said: what an endpoint sees is told by nobody.
  template <class Condition>
  bool wait(Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::unique_lock lock(mutex);
      changed.wait_for(lock, std::chrono::milliseconds(20));
    }
    return true;
  }

  std::string folder;
  system_clock time;
  std::mutex mutex;
  std::condition_variable changed;
  tests::pumped_network network;
  std::vector<std::unique_ptr<storage::posix_disk>> disks;
  std::vector<std::unique_ptr<storage::vote_store>> stores;
  std::array<std::unique_ptr<storage::request_journal>, 3> journals; // null: none
  std::array<std::unique_ptr<cluster_engine>, 3> engines;
};

TEST_F(cluster_engine_test, serves_as_a_node_of_its_own_does_and_tells_who_plays_what) {
  start(0);
  EXPECT_FALSE(engines[0]->serving()); // one of three
  EXPECT_FALSE(engines[0]->cluster().majority);
  start(1);
  start(2);
  for (uint32_t node = 0; node < 3; ++node)
    ASSERT_TRUE(wait([&] { return engines[node]->serving() && all_serve(node); }));

  const auto lone = start_node(tests::built_in_model(), tests::shared_executor(), time, {}).value();
  stream_reader expected;
  ASSERT_TRUE(lone->submit(ask(5), expected.sink()).has_value());
  ASSERT_TRUE(expected.wait_for_end());
  for (auto& engine : engines) {
    stream_reader reader;
    ASSERT_TRUE(engine->submit(ask(5), reader.sink()).has_value());
    ASSERT_TRUE(reader.wait_for_end());
    EXPECT_EQ(reader.read().text, expected.read().text);
    EXPECT_TRUE(wait([&] { return engine->streams_open() == 0; })); // counted after the last word
    EXPECT_EQ(engine->fingerprint(), lone->fingerprint());
  }

  const auto seen = engines[1]->cluster();
  EXPECT_EQ(seen.self, "b");
  EXPECT_TRUE(seen.majority);
  EXPECT_GT(seen.epoch, 0u);
  EXPECT_FALSE(seen.sequencer.empty());
  EXPECT_EQ(seen.stages.size(), 1u);
  ASSERT_EQ(seen.shards.size(), 4u);
  for (const auto& copies : seen.shards) EXPECT_EQ(copies.size(), 2u);
  size_t roles = 0;
  for (const auto& member : seen.members) {
    EXPECT_TRUE(member.connected && member.present && member.voter) << member.name;
    roles += member.roles.size();
  }
  EXPECT_EQ(roles, 2u + 2u + 8u); // sequencer and cache manager, stage and router, copies of shards
}

TEST_F(cluster_engine_test, tells_of_a_recovery) {
  start_all();
  const uint32_t victim = engines[0]->cluster().sequencer == "c" ? 2 : 1;
  engines[victim].reset();
  ASSERT_TRUE(wait([&] {
    const auto now = engines[0]->cluster();
    return now.recoveries > 0 && engines[0]->serving();
  }));
  const auto seen = engines[0]->cluster();
  ASSERT_TRUE(seen.last_recovery.has_value());
  EXPECT_EQ(seen.last_recovery->lost, std::vector<std::string>{seen.members[victim].name});
  EXPECT_GT(seen.last_recovery->took.count(), 0);
  EXPECT_FALSE(seen.members[victim].present);
  EXPECT_TRUE(seen.members[victim].roles.empty());
}

TEST_F(cluster_engine_test, hands_its_roles_over_before_it_goes) {
  start_all();
  engines[1]->begin_drain();
  EXPECT_TRUE(engines[1]->draining());
  stream_reader refused;
  const auto asked = engines[1]->submit(ask(1), refused.sink());
  ASSERT_FALSE(asked.has_value());
  EXPECT_EQ(asked.error().code(), status_code::unavailable);
  ASSERT_TRUE(wait([&] { return engines[1]->cluster().drained; }));
  EXPECT_TRUE(engines[1]->cluster().members[1].roles.empty());
}

TEST_F(cluster_engine_test, a_node_with_another_model_takes_no_part_and_says_why) {
  auto other = std::make_shared<model_bundle>(*tests::built_in_model());
  other->fingerprint ^= 1;
  start(0);
  start(1);
  start(2, other);
  ASSERT_TRUE(wait([&] { return engines[2]->cluster().unfit; }));
  const auto why = engines[2]->cluster().gave_up;
  EXPECT_TRUE(why.find("nodes c and a") == 0 || why.find("nodes c and b") == 0) << why;
  EXPECT_NE(why.find("models differ"), std::string::npos) << why;
  for (const uint32_t node : {0, 1}) {
    ASSERT_TRUE(wait([&] { return engines[node]->serving(); }));
    const auto seen = engines[node]->cluster();
    EXPECT_EQ(seen.gave_up, "");
    EXPECT_FALSE(seen.members.at(2).present);
    EXPECT_TRUE(seen.members[0].present && seen.members[1].present);
  }
  EXPECT_FALSE(engines[2]->cluster().serving);
}

TEST_F(cluster_engine_test, what_one_keeps_the_others_keep_too) {
  for (auto& journal : journals) journal = std::make_unique<storage::request_journal>(time);
  start_all();
  for (uint32_t node = 0; node < 3; ++node)
    journals[node]->replicate_with(
        [this, node](std::span<const std::byte> entry, std::function<void(bool)> done) {
          engines[node]->replicate(entry, std::move(done));
        });
  for (uint32_t node = 0; node < 3; ++node) {
    const auto entry = request(node);
    EXPECT_EQ(put(node, entry), storage::kept_in::cluster);
    for (auto& journal : journals) {
      ASSERT_TRUE(wait([&] { return !journal->find(entry.response_id).entries.empty(); }));
      EXPECT_EQ(journal->find(entry.response_id).entries.front()->body, entry.body);
      EXPECT_EQ(journal->find(entry.response_id).entries.front()->owner, entry.owner);
    }
  }
}

TEST_F(cluster_engine_test, a_lost_peer_costs_a_put_a_bounded_wait_and_its_place_in_the_cluster) {
  for (auto& journal : journals) journal = std::make_unique<storage::request_journal>(time);
  start_all();
  journals[0]->replicate_with(
      [this](std::span<const std::byte> entry, std::function<void(bool)> done) {
        engines[0]->replicate(entry, std::move(done));
      });
  network.cut("b");
  EXPECT_EQ(put(0, request(1)), storage::kept_in::cluster) << "c has it";
  network.cut("c");
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(put(0, request(2)), storage::kept_in::memory);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  EXPECT_TRUE(journals[2]->find(request(2).response_id).entries.empty());
}

TEST_F(cluster_engine_test, where_nothing_is_kept_for_others_nothing_is_promised) {
  start_all();
  bool told = true;
  engines[0]->replicate({}, [&told](bool kept) { told = kept; });
  EXPECT_FALSE(told); // at once
}

TEST_F(cluster_engine_test, gives_up_when_a_later_start_of_it_is_there) {
  auto seams = seams_of(0);
  transport::endpoint_listener* told = nullptr;
  seams.open_endpoint = [&, open = seams.open_endpoint](transport::endpoint_listener& listener) {
    told = &listener;
    return open(listener);
  };
  engines[0] =
      cluster_engine::start(tests::built_in_model(), std::move(seams), options_of(0)).value();
  EXPECT_EQ(engines[0]->cluster().gave_up, "");
  told->outdated();
  told->outdated(); // every peer says so
  EXPECT_NE(engines[0]->cluster().gave_up.find("later start"), std::string::npos);
}

TEST_F(cluster_engine_test, says_why_it_cannot_start) {
  auto options = options_of(0);
  options.layout.voters = 5;
  auto made = cluster_engine::start(tests::built_in_model(), seams_of(0), std::move(options));
  ASSERT_FALSE(made.has_value());
  EXPECT_NE(made.error().why().find("voters is 5"), std::string::npos) << made.error().why();

  auto seams = seams_of(1);
  seams.open_endpoint =
      [](transport::endpoint_listener&) -> result<std::unique_ptr<transport::endpoint>> {
    return fail(status_code::unavailable, "the port is taken");
  };
  made = cluster_engine::start(tests::built_in_model(), std::move(seams), options_of(1));
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().why(), "the port is taken");
}

} // namespace
} // namespace troupe::actors
