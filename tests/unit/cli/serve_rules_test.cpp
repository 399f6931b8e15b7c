// What serve decides before it listens.
#include "cli/serve.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

TEST(serve_rules, only_this_machine_is_loopback) {
  for (const char* inside : {"127.0.0.1", "127.1.2.3", "::1", "localhost"})
    EXPECT_TRUE(is_loopback(inside)) << inside;
  for (const char* outside : {"0.0.0.0", "::", "192.168.0.1", "10.127.0.1", "fe80::1", ""})
    EXPECT_FALSE(is_loopback(outside)) << outside;
}

TEST(serve_rules, names_are_no_addresses) {
  for (const char* address : {"127.0.0.1", "0.0.0.0", "::", "::1", "fe80::1", "localhost"})
    EXPECT_TRUE(is_address(address)) << address;
  for (const char* other : {"", "example.com", "1.2.3", "1.2.3.4.5", "256.0.0.1", "[::1]", "*"})
    EXPECT_FALSE(is_address(other)) << other;
}

TEST(serve_rules, a_key_file_has_a_key_a_line) {
  EXPECT_EQ(keys_of_file("# keys\n  first \r\n\nsecond"),
            (std::vector<std::string>{"first", "second"}));
  EXPECT_TRUE(keys_of_file("# nothing\n\n").empty());
  EXPECT_TRUE(keys_of_file("").empty());
}

TEST(serve_rules, the_address_to_copy_can_be_reached) {
  EXPECT_EQ(url_of("127.0.0.1", 8000), "http://127.0.0.1:8000");
  EXPECT_EQ(url_of("0.0.0.0", 1), "http://127.0.0.1:1");
  EXPECT_EQ(url_of("::", 1), "http://[::1]:1");
  EXPECT_EQ(url_of("fe80::1", 1), "http://[fe80::1]:1");
}

TEST(serve_rules, the_line_to_copy_never_holds_the_key) {
  serve_settings settings;
  EXPECT_EQ(key_header_hint(settings, false), "");
  settings.api_key = {"sesame"};
  EXPECT_EQ(key_header_hint(settings, true), " -H \"Authorization: Bearer $TROUPE_API_KEY\"");
  EXPECT_EQ(key_header_hint(settings, false), " -H \"Authorization: Bearer YOUR_KEY\"");
  settings.api_key.clear();
  settings.api_key_file = "keys";
  EXPECT_EQ(key_header_hint(settings, false), " -H \"Authorization: Bearer YOUR_KEY\"");
}

} // namespace
} // namespace troupe::cli
