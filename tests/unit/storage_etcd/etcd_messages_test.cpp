// The words of etcd: what is asked, what is understood, and that nothing it may answer does harm.
#include "storage/etcd/etcd_messages.hpp"

#include "base/random.hpp"
#include "storage/etcd/etcd_state_store.hpp"
#include "tests/support/random_frames.hpp"

#include <gtest/gtest.h>

namespace troupe::storage {
namespace {

// As etcd 3.4 answers.
constexpr const char* a_transaction = R"({"header":{"cluster_id":"15875391935852295136",
  "member_id":"7383792418829112008","revision":"2","raft_term":"2"},"succeeded":true,"responses":[
  {"response_put":{"header":{"revision":"2"}}},
  {"response_range":{"header":{"revision":"2"},"kvs":[{"key":"L3Ryb3VwZS9sZWFkZXI=",
    "create_revision":"2","mod_revision":"7","version":"1","value":"YQ==","lease":"1353509839200711175"}],
    "count":"1"}},
  {"response_range":{"header":{"revision":"2"}}}]})";
constexpr const char* a_lease =
    R"({"header":{"revision":"1"},"ID":"1353509839200711173","TTL":"2"})";
constexpr const char* a_kept_lease =
    R"({"result":{"header":{"revision":"2"},"ID":"1353509839200711175","TTL":"2"}})";
constexpr const char* a_complaint = R"({"error":"etcdserver: requested lease not found",
  "message":"etcdserver: requested lease not found","code":5})";

TEST(base64, bytes_come_back_and_look_as_elsewhere) {
  const std::pair<const char*, const char*> table[] = {
      {"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
      {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"}};
  for (const auto& [bytes, characters] : table) {
    EXPECT_EQ(to_base64(bytes), characters);
    EXPECT_EQ(*from_base64(characters), bytes);
  }
  const random_key key{.seed = 1, .subsystem = random_subsystem::faults};
  uint64_t n = 0;
  for (int round = 0; round < 300; ++round) {
    std::string bytes(random_below(key, n++, 70), '\0');
    for (auto& b : bytes) b = static_cast<char>(random_below(key, n++, 256));
    EXPECT_EQ(*from_base64(to_base64(bytes)), bytes);
  }
}

TEST(base64, what_is_not_the_one_form_is_refused) {
  for (const char* bad : {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zg==Zg==",
                          "Z m8", "Zm8-", "Zm\xff="})
    EXPECT_FALSE(from_base64(bad).has_value()) << bad;
}

TEST(etcd_requests, numbers_are_strings_and_keys_base64) {
  etcd_transaction transaction;
  transaction.compares = {{.key = "a", .equals = 0},
                          {.key = "b", .target = etcd_compare::what::mod_revision, .equals = 9}};
  transaction.then = {
      {.kind = etcd_operation::what::put, .key = "b", .value = "v", .lease = 1353509839200711175},
      {.kind = etcd_operation::what::range, .key = "a", .value = {}, .lease = 0}};
  EXPECT_EQ(
      write_transaction(transaction),
      R"({"compare":[{"create_revision":"0","key":"YQ==","result":"EQUAL","target":"CREATE"},)"
      R"({"key":"Yg==","mod_revision":"9","result":"EQUAL","target":"MOD"}],"failure":[],)"
      R"("success":[{"request_put":{"key":"Yg==","lease":"1353509839200711175","value":"dg=="}},)"
      R"({"request_range":{"key":"YQ=="}}]})");
  EXPECT_EQ(write_lease_grant(2), R"({"TTL":"2"})");
  EXPECT_EQ(write_lease(1353509839200711175), R"({"ID":"1353509839200711175"})");
  EXPECT_EQ(write_login("root", "a\"b\xff"),
            "{\"name\":\"root\",\"password\":\"a\\\"b\xef\xbf\xbd\"}");
}

TEST(etcd_answers, a_transaction_is_understood) {
  const auto outcome = read_outcome(a_transaction);
  ASSERT_TRUE(outcome.has_value()) << outcome.error().why();
  EXPECT_TRUE(outcome->succeeded);
  ASSERT_EQ(outcome->ranges.size(), 2u);
  ASSERT_EQ(outcome->ranges[0].size(), 1u);
  EXPECT_EQ(outcome->ranges[0][0], (etcd_entry{.key = "/troupe/leader",
                                               .value = "a",
                                               .create_revision = 2,
                                               .mod_revision = 7,
                                               .lease = 1353509839200711175}));
  EXPECT_TRUE(outcome->ranges[1].empty());
  EXPECT_FALSE(read_outcome(R"({"header":{}})")->succeeded); // as the gateway leaves out a false
}

TEST(etcd_answers, leases_tokens_and_complaints_are_understood) {
  EXPECT_EQ(read_lease(a_lease)->id, 1353509839200711173u);
  EXPECT_EQ(read_lease(a_lease)->seconds, 2u);
  EXPECT_EQ(read_kept_lease(a_kept_lease)->seconds, 2u);
  EXPECT_EQ(read_kept_lease(R"({"result":{"ID":"12345"}})")->seconds, 0u); // it had ended
  EXPECT_EQ(*read_token(R"({"token":"abc.9"})"), "abc.9");
  EXPECT_EQ(read_complaint(a_complaint).code, 5u);
  EXPECT_EQ(read_complaint(a_complaint).message, "etcdserver: requested lease not found");
  EXPECT_EQ(read_complaint(R"({"error":{"grpc_code":14,"message":"no leader"}})").code, 14u);
  EXPECT_EQ(read_complaint(R"({"error":{"grpc_code":14,"message":"no leader"}})").message,
            "no leader");
  EXPECT_TRUE(read_complaint("<html>").message.empty());
  EXPECT_EQ(read_complaint("{\"message\":\"a\\u001b[31m\"}").message, "a?[31m");
}

TEST(etcd_answers, what_makes_no_sense_is_corrupt) {
  for (
      const char* bad :
      {"", "x", "[]", "3", R"({"succeeded":1})", R"({"responses":{}})", R"({"responses":[3]})",
       R"({"responses":[{"response_range":[]}]})",
       R"({"responses":[{"response_range":{"kvs":3}}]})",
       R"({"responses":[{"response_range":{"kvs":[{}]}}]})",
       R"({"responses":[{"response_range":{"kvs":[{"key":"YQ","create_revision":"1","mod_revision":"1"}]}}]})",
       R"({"responses":[{"response_range":{"kvs":[{"key":"YQ==","create_revision":"2","mod_revision":"1"}]}}]})",
       R"({"responses":[{"response_range":{"kvs":[{"key":"YQ==","create_revision":"-1","mod_revision":"1"}]}}]})",
       R"({"responses":[{"response_range":{"kvs":[{"key":"YQ==","create_revision":"1x","mod_revision":"1"}]}}]})",
       R"({"responses":[{"response_range":{"kvs":[{"key":"YQ==","create_revision":1.5,"mod_revision":"2"}]}}]})",
       R"({"responses":[{"response_range":{"kvs":[{"key":"YQ==","create_revision":"1",)"
       R"("mod_revision":"9223372036854775808"}]}}]})"}) {
    const auto outcome = read_outcome(bad);
    ASSERT_FALSE(outcome.has_value()) << bad;
    EXPECT_EQ(outcome.error().code(), status_code::corrupt);
  }
  EXPECT_FALSE(read_lease(R"({"ID":"5"})").has_value());
  EXPECT_FALSE(read_lease(R"({"ID":"0","TTL":"2"})").has_value());
  EXPECT_FALSE(read_kept_lease(a_lease).has_value());
  EXPECT_FALSE(read_token(R"({"token":""})").has_value());
  EXPECT_FALSE(read_token("{\"token\":\"a\\r\\nX: y\"}").has_value()); // no header of its own
}

// A damaged answer is refused, or reads as something that keeps the rules.
TEST(etcd_answers, damaged_answers_do_no_harm) {
  const random_key key{.seed = 3, .subsystem = random_subsystem::faults};
  uint64_t n = 0;
  const auto draw = [&](uint64_t below) { return random_below(key, n++, below); };
  for (const std::string answer : {a_transaction, a_lease, a_kept_lease, a_complaint}) {
    for (int round = 0; round < 5000; ++round) {
      std::string bytes = answer;
      for (uint64_t changes = 1 + draw(4); changes > 0 && !bytes.empty(); --changes) {
        const size_t place = draw(bytes.size());
        switch (draw(4)) {
          case 0:
            bytes[place] = static_cast<char>(draw(256));
            break;
          case 1:
            bytes.erase(place, 1 + draw(8));
            break;
          case 2:
            bytes.insert(place, answer.substr(draw(answer.size()), draw(30)));
            break;
          default:
            bytes.resize(place);
        }
      }
      if (const auto outcome = read_outcome(bytes))
        for (const auto& range : outcome->ranges)
          for (const auto& entry : range) {
            EXPECT_GT(entry.create_revision, 0u);
            EXPECT_FALSE(entry.key.empty());
          }
      const auto granted = read_lease(bytes);
      EXPECT_TRUE(!granted || granted->id > 0);
      const auto kept = read_kept_lease(bytes);
      EXPECT_TRUE(!kept || kept->id > 0);
      for (const char c : read_complaint(bytes).message) ASSERT_TRUE(c >= ' ' && c <= '~');
      (void)read_token(bytes);
    }
  }
}

TEST(etcd_answers, deep_nesting_is_no_danger) {
  EXPECT_FALSE(read_outcome(std::string(1 << 20, '[')).has_value());
  EXPECT_FALSE(read_outcome(std::string(1 << 20, '[') + std::string(1 << 20, ']')).has_value());
}

// -- the values

etcd_entry entry_of(std::string value) {
  return {
      .key = "k", .value = std::move(value), .create_revision = 3, .mod_revision = 8, .lease = 5};
}

TEST(etcd_values, a_leader_comes_back) {
  const auto leader = read_leader(entry_of(write_leader("node \"b\"", UINT64_MAX)));
  ASSERT_TRUE(leader.has_value());
  EXPECT_EQ(*leader, (store_leader{"node \"b\"", UINT64_MAX, 5, 3}));
  for (const char* bad : {"", "{}", "[]", R"({"node":3,"incarnation":1})", R"({"node":"a"})",
                          R"({"node":"a","incarnation":-1})"})
    EXPECT_EQ(read_leader(entry_of(bad)).error().code(), status_code::corrupt) << bad;
  auto lasting = entry_of(write_leader("b", 1));
  lasting.lease = 0;
  EXPECT_FALSE(read_leader(lasting).has_value());
}

TEST(etcd_values, a_state_comes_back_and_a_damaged_one_does_not) {
  const random_key key{.seed = 4, .subsystem = random_subsystem::faults};
  uint64_t n = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto state = tests::random_frames(seed).acceptor().value;
    auto value = *write_state(0x1122334455667788, state);
    store_contents out;
    ASSERT_TRUE(read_state(entry_of(value), out).ok());
    EXPECT_EQ(out, (store_contents{{}, 8, 0x1122334455667788, state}));
    value[random_below(key, n++, value.size())] ^= 1;
    EXPECT_FALSE(read_state(entry_of(value), out).ok());
    EXPECT_FALSE(
        read_state(entry_of(value.substr(0, random_below(key, n++, value.size()))), out).ok());
  }
}

} // namespace
} // namespace troupe::storage
