// The store of a cluster's state against a real etcd: terms begin and end, late writes are refused,
// and an etcd that stands still or comes back changes none of that.
#include "storage/etcd/etcd_state_store.hpp"

#include "tests/support/etcd_server.hpp"
#include "tests/support/random_frames.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <future>

namespace troupe::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tests::comes_true;
using tests::etcd_server;

constexpr duration term = seconds(2);
constexpr duration long_term = seconds(60); // does not end while a test is slow
constexpr duration patience = seconds(20);  // with a machine that has much else to do

// Asks and waits.
class patient_store {
public:
  explicit patient_store(const etcd_options& options, const clock& time)
      : store_(open_etcd_store(options, time).value()) {}

  result<store_answer> read() {
    return wait([this](auto then) { store_->read(then); });
  }
  result<store_answer> campaign(const std::string& node, duration for_a = long_term) {
    return wait([&](auto then) { store_->campaign(node, 1, for_a, then); });
  }
  result<store_answer> keep(uint64_t lease) {
    return wait([this, lease](auto then) { store_->keep(lease, then); });
  }
  result<store_answer> replace(const store_leader& leader, const store_contents& next) {
    return wait([&](auto then) { store_->replace(leader, next, then); });
  }
  result<store_answer> end(uint64_t lease) {
    return wait([this, lease](auto then) { store_->end(lease, then); });
  }
  state_store& store() { return *store_; }

private:
  template <class Question>
  result<store_answer> wait(Question ask) {
    std::promise<result<store_answer>> answer;
    ask([&answer](result<store_answer> a) { answer.set_value(std::move(a)); });
    return answer.get_future().get();
  }

  std::unique_ptr<state_store> store_;
};

class etcd_state_store_test : public ::testing::Test {
protected:
  void SetUp() override {
    TROUPE_NEEDS_ETCD();
    server = std::make_unique<etcd_server>();
    ASSERT_TRUE(server->running());
    options.endpoints = {server->endpoint()};
    options.call_timeout = patience;
    ASSERT_TRUE(comes_true([this] { return at(options).read().has_value(); }));
  }
  patient_store at(const etcd_options& where) { return patient_store(where, time); }

  static store_contents next_of(const store_contents& now, uint64_t epoch) {
    store_contents next;
    next.revision = now.revision;
    next.layout = 99;
    next.state = tests::random_frames(epoch).acceptor().value;
    next.state.epoch = epoch;
    return next;
  }
  // Leads and has written epoch 1.
  store_answer lead(patient_store& store, const std::string& node, duration for_a = long_term) {
    const auto won = store.campaign(node, for_a);
    EXPECT_TRUE(won && won->done) << node;
    auto written = store.replace(*won->now.leader, next_of(won->now, 1));
    EXPECT_TRUE(written && written->done) << node;
    return *written;
  }

  system_clock time;
  etcd_options options;
  std::unique_ptr<etcd_server> server;
};

TEST_F(etcd_state_store_test, an_empty_store_holds_nothing) {
  auto store = at(options);
  const auto answer = store.read();
  ASSERT_TRUE(answer.has_value()) << answer.error().why();
  EXPECT_EQ(answer->now, store_contents{});
  EXPECT_TRUE(store.store().counters().reachable);
  EXPECT_EQ(store.store().counters().calls, 1u);
}

TEST_F(etcd_state_store_test, one_leads_and_what_it_writes_everybody_reads) {
  auto a = at(options), b = at(options);
  const auto written = lead(a, "a");
  EXPECT_EQ(written.now.state.epoch, 1u);
  const auto late = b.campaign("b");
  ASSERT_TRUE(late.has_value());
  EXPECT_FALSE(late->done);
  EXPECT_EQ(late->now, written.now);
  EXPECT_EQ(late->now.leader->node, "a");
  EXPECT_EQ(b.read()->now, written.now);
}

TEST_F(etcd_state_store_test, a_write_on_an_older_state_is_refused) {
  auto a = at(options);
  const auto one = lead(a, "a");
  const auto two = a.replace(*one.now.leader, next_of(one.now, 2));
  ASSERT_TRUE(two->done);
  const auto again = a.replace(*one.now.leader, next_of(one.now, 3));
  ASSERT_TRUE(again.has_value());
  EXPECT_FALSE(again->done);
  EXPECT_EQ(again->now, two->now); // and says what is there
  EXPECT_EQ(a.store().counters().refusals, 1u);
}

// As happens when an endpoint acts and its answer is lost.
TEST_F(etcd_state_store_test, what_is_asked_twice_has_happened_once) {
  auto a = at(options);
  const auto one = lead(a, "a");
  const auto next = next_of(one.now, 2);
  const auto first = a.replace(*one.now.leader, next);
  const auto second = a.replace(*one.now.leader, next);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->done);
  EXPECT_TRUE(second->done);
  EXPECT_EQ(second->now, first->now);
}

TEST_F(etcd_state_store_test, an_earlier_leader_can_write_nothing) {
  auto a = at(options), b = at(options);
  const auto old = lead(a, "a");
  ASSERT_TRUE(b.end(old.now.leader->lease)->done); // as who knows that a is gone
  const auto gap = a.replace(*old.now.leader, next_of(old.now, 2));
  ASSERT_TRUE(gap.has_value());
  EXPECT_FALSE(gap->done);
  const auto won = b.campaign("b");
  ASSERT_TRUE(won->done);
  EXPECT_GT(won->now.leader->since, old.now.leader->since);
  EXPECT_EQ(won->now.state, old.now.state);
  EXPECT_FALSE(a.replace(*old.now.leader, next_of(won->now, 2))->done);
  EXPECT_FALSE(a.keep(old.now.leader->lease)->done);
  EXPECT_TRUE(b.replace(*won->now.leader, next_of(won->now, 2))->done);
}

TEST_F(etcd_state_store_test, a_term_that_is_not_kept_ends_and_a_kept_one_does_not) {
  auto a = at(options), b = at(options);
  const auto mine = lead(a, "a", term).now.leader->lease;
  const auto until = time.now() + 2 * term;
  for (auto kept_at = time.now(); kept_at < until;) {
    const auto kept = a.keep(mine);
    const auto other = b.campaign("b");
    ASSERT_TRUE(kept && other);
    if (time.now() - kept_at >= term) GTEST_SKIP() << "this machine stood still for a whole term";
    kept_at = time.now();
    ASSERT_TRUE(kept->done);
    ASSERT_FALSE(other->done);
    (void)comes_true([] { return false; }, milliseconds(200));
  }
  const auto silent_since = time.now();
  ASSERT_TRUE(comes_true([&b] {
    const auto won = b.campaign("b");
    return won && won->done;
  }));
  std::printf("expiry %d ms\n", static_cast<int>((time.now() - silent_since) / milliseconds(1)));
}

TEST_F(etcd_state_store_test, a_lease_that_has_ended_can_be_ended_again) {
  auto a = at(options);
  const auto lease = lead(a, "a").now.leader->lease;
  EXPECT_TRUE(a.end(lease)->done);
  EXPECT_TRUE(a.end(lease)->done);
  EXPECT_FALSE(a.read()->now.leader.has_value());
}

TEST_F(etcd_state_store_test,
       an_etcd_that_stands_still_is_a_failure_within_the_deadline_and_no_more) {
  auto a = at(options);
  const auto before = lead(a, "a");
  auto hasty = options;
  hasty.call_timeout = milliseconds(1200);
  auto b = at(hasty);
  server->pause();
  const auto begun = time.now();
  const auto answer = b.read();
  const auto took = time.now() - begun;
  server->go_on();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code(), status_code::unavailable);
  EXPECT_NE(answer.error().why().find(server->endpoint()), std::string::npos);
  EXPECT_GE(took, hasty.call_timeout);
  EXPECT_LT(took, patience);
  EXPECT_FALSE(b.store().counters().reachable);
  ASSERT_TRUE(comes_true([&b] { return b.read().has_value(); }));
  EXPECT_EQ(a.read()->now.state, before.now.state);
}

TEST_F(etcd_state_store_test, an_etcd_that_restarts_has_its_data_and_its_leader) {
  auto a = at(options), b = at(options);
  const auto before = lead(a, "a");
  server->kill();
  EXPECT_EQ(a.read().error().code(), status_code::unavailable);
  server->start();
  ASSERT_TRUE(comes_true([&b] { return b.read().has_value(); }));
  EXPECT_EQ(b.read()->now, before.now);
  EXPECT_TRUE(a.keep(before.now.leader->lease)->done);
  EXPECT_TRUE(a.replace(*before.now.leader, next_of(before.now, 2))->done);
}

TEST_F(etcd_state_store_test, the_next_endpoint_answers_when_one_does_not) {
  etcd_server other;
  ASSERT_TRUE(other.running());
  other.pause();
  auto both = options;
  both.endpoints = {other.endpoint(), "127.0.0.1:1", server->endpoint()};
  both.attempt_timeout = seconds(4);
  auto a = at(both);
  ASSERT_TRUE(a.read().has_value());
  const auto begun = time.now();
  ASSERT_TRUE(a.read().has_value()); // it remembers who answered
  EXPECT_LT(time.now() - begun, both.attempt_timeout);
}

TEST_F(etcd_state_store_test, clusters_with_other_prefixes_do_not_meet) {
  auto other = options;
  other.prefix = "/another";
  auto a = at(options), b = at(other);
  lead(a, "a");
  EXPECT_EQ(b.read()->now, store_contents{});
  lead(b, "b");
}

TEST_F(etcd_state_store_test, what_others_have_written_there_is_corrupt_and_stays) {
  etcd_client client(options, time);
  ASSERT_TRUE(client
                  .commit({.compares = {},
                           .then = {{.kind = etcd_operation::what::put,
                                     .key = "/troupe/state",
                                     .value = "a stranger's",
                                     .lease = 0}},
                           .otherwise = {}})
                  ->succeeded);
  const auto answer = at(options).read();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code(), status_code::corrupt);
  EXPECT_NE(answer.error().why().find("/troupe/state"), std::string::npos);
}

TEST_F(etcd_state_store_test, tls_to_a_server_without_it_fails) {
  auto elsewhere = options;
  elsewhere.tls = true;
  const auto answer = at(elsewhere).read();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code(), status_code::unavailable);
}

// -- who we are

TEST_F(etcd_state_store_test, a_user_logs_in_and_again_when_etcd_has_forgotten) {
  const std::string base = "curl -sf http://" + server->endpoint() + "/v3/auth/";
  for (const char* call :
       {"user/add -d '{\"name\":\"root\",\"password\":\"sesame\"}'",
        "user/grant -d '{\"user\":\"root\",\"role\":\"root\"}'", "enable -d '{}'"})
    ASSERT_EQ(std::system((base + call + " > /dev/null").c_str()), 0) << call;
  const auto stranger = at(options).read();
  ASSERT_FALSE(stranger.has_value());
  EXPECT_EQ(stranger.error().code(), status_code::invalid_argument);
  auto known = options;
  known.user = "root";
  known.password = "wrong";
  const auto refused = at(known).read();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), status_code::invalid_argument);
  EXPECT_EQ(refused.error().why().find("wrong"), std::string::npos);
  known.password = "sesame";
  auto a = at(known);
  const auto before = lead(a, "a");
  server->kill(); // and with it all its tokens
  server->start();
  ASSERT_TRUE(comes_true([&a] { return a.read().has_value(); }));
  EXPECT_TRUE(a.keep(before.now.leader->lease)->done);
}

TEST_F(etcd_state_store_test, certificates_are_checked_on_both_sides) {
  std::string folder = testing::TempDir() + "troupe_etcd_tls_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const auto make = [&folder](const std::string& name, const std::string& extra) {
    return std::system(("cd " + folder +
                        " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
                        " -days 2 -subj /CN=" +
                        name + " -keyout " + name + ".key -out " + name + ".pem " + extra +
                        " 2> /dev/null")
                           .c_str()) == 0;
  };
  if (!make("server", "-addext subjectAltName=IP:127.0.0.1") || !make("client", "") ||
      !make("thief", ""))
    GTEST_SKIP() << "no openssl here: install the package openssl";
  // The gateway inside etcd is a client of etcd, too, with the server's certificate.
  ASSERT_EQ(std::system(("cd " + folder + " && cat client.pem server.pem > trusted.pem").c_str()),
            0);
  etcd_server secured({"--cert-file=" + folder + "/server.pem",
                       "--key-file=" + folder + "/server.key", "--client-cert-auth",
                       "--trusted-ca-file=" + folder + "/trusted.pem"});
  ASSERT_TRUE(secured.running());
  etcd_options good = options;
  good.endpoints = {secured.endpoint()};
  good.tls = true;
  good.ca_file = folder + "/server.pem";
  good.certificate_file = folder + "/client.pem";
  good.key_file = folder + "/client.key";
  ASSERT_TRUE(comes_true([&] { return at(good).read().has_value(); }))
      << at(good).read().error().why();
  auto a = at(good);
  lead(a, "a");
  auto thief = good;
  thief.certificate_file = folder + "/thief.pem";
  thief.key_file = folder + "/thief.key";
  EXPECT_FALSE(at(thief).read().has_value());
  auto fooled = good;
  fooled.ca_file = folder + "/thief.pem"; // the server is not of this authority
  EXPECT_FALSE(at(fooled).read().has_value());
  std::filesystem::remove_all(folder);
}

} // namespace
} // namespace troupe::storage
