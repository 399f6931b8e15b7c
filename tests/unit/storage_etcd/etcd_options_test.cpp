// Addresses of etcd: what is taken, and what is refused with which words.
#include "storage/etcd/etcd_options.hpp"

#include <gtest/gtest.h>

namespace troupe::storage {
namespace {

using names = std::vector<std::string>;

TEST(etcd_address, one_or_several_endpoints_with_or_without_a_prefix) {
  const auto one = parse_etcd_address("etcd://127.0.0.1:2379");
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(one->endpoints, names{"127.0.0.1:2379"});
  EXPECT_EQ(one->prefix, "/troupe");
  EXPECT_FALSE(one->tls);
  EXPECT_EQ(parse_etcd_address("etcd://a:1/")->prefix, "/troupe");

  const auto three = parse_etcd_address("etcds://etcd-0.svc:2379,[::1]:23790,c:1/tales/blue-1");
  ASSERT_TRUE(three.has_value());
  EXPECT_EQ(three->endpoints, (names{"etcd-0.svc:2379", "[::1]:23790", "c:1"}));
  EXPECT_EQ(three->prefix, "/tales/blue-1");
  EXPECT_TRUE(three->tls);
}

TEST(etcd_address, what_is_none_is_refused_with_its_reason) {
  const std::pair<const char*, const char*> table[] = {
      {"http://a:1", "begins with neither"},
      {"etcd:/a:1", "begins with neither"},
      {"etcd://", "has no port"},
      {"etcd://a", "has no port; write HOST:PORT"},
      {"etcd://a:", "no port from 1"},
      {"etcd://a:0", "no port from 1"},
      {"etcd://a:65536", "no port from 1"},
      {"etcd://a:2379x", "no port from 1"},
      {"etcd://:2379", "has no host"},
      {"etcd://::1:2379", "IPv6 address in brackets"},
      {"etcd://a b:2379", "has no host"},
      {"etcd://a:1,,b:1", "has no port"},
      {"etcd://a:1,", "has no port"},
      {"etcd://a:1//x", "is no prefix"},
      {"etcd://a:1/x/", "is no prefix"},
      {"etcd://a:1/x?y", "is no prefix"},
  };
  for (const auto& [address, why] : table) {
    const auto read = parse_etcd_address(address);
    ASSERT_FALSE(read.has_value()) << address;
    EXPECT_EQ(read.error().code(), status_code::invalid_argument);
    EXPECT_NE(read.error().why().find(why), std::string::npos) << read.error().why();
  }
}

TEST(etcd_address, a_password_does_not_belong_there_and_is_not_repeated) {
  const auto read = parse_etcd_address("etcd://root:secret@a:1");
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().why().find("secret"), std::string::npos);
}

TEST(etcd_options_test, options_that_contradict_each_other_are_refused) {
  const auto with = [](auto change) {
    auto options = *parse_etcd_address("etcds://a:1");
    change(options);
    return validate(options);
  };
  EXPECT_TRUE(with([](auto&) {}).ok());
  EXPECT_FALSE(with([](auto& o) { o.endpoints.clear(); }).ok());
  EXPECT_FALSE(with([](auto& o) { o.certificate_file = "x"; }).ok());
  EXPECT_FALSE(with([](auto& o) { o.key_file = "x"; }).ok());
  EXPECT_FALSE(with([](auto& o) { o.password = "x"; }).ok());
  EXPECT_FALSE(with([](auto& o) { o.call_timeout = duration(1); }).ok());
  EXPECT_FALSE(with([](auto& o) {
                 o.tls = false;
                 o.ca_file = "x";
               }).ok());
}

} // namespace
} // namespace troupe::storage
