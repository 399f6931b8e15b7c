// The messages of a chat as JSON.
#include "cli/chat.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

TEST(conversation, grows_and_begins_anew) {
  conversation talk("be brief");
  talk.add("user", "say \"hi\"\n");
  EXPECT_EQ(talk.messages_json(),
            R"([{"role":"system","content":"be brief"},{"role":"user","content":"say \"hi\"\n"}])");
  talk.drop_last();
  talk.add("user", "x");
  talk.reset();
  EXPECT_EQ(talk.messages_json(), R"([{"role":"system","content":"be brief"}])");
}

TEST(conversation, without_a_system_message_it_begins_empty) {
  const conversation talk("");
  EXPECT_TRUE(talk.empty());
  EXPECT_EQ(talk.messages_json(), "[]");
}

TEST(conversation, takes_bytes_that_are_no_text) {
  conversation talk("");
  talk.add("user", "a\xff");
  EXPECT_EQ(talk.messages_json(), "[{\"role\":\"user\",\"content\":\"a\xef\xbf\xbd\"}]");
}

} // namespace
} // namespace troupe::cli
