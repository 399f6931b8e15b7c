// Verdicts, the order of the questions, and memory across a restart.
#include "dataflow/ingest/cleaner.hpp"

#include "tests/unit/dataflow_ingest/texts.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

schemas::ingest_document document(std::string_view text, std::string domain = "") {
  return {.source = "t",
          .position = 0,
          .id = {},
          .domain = std::move(domain),
          .text = std::string(text),
          .fault = {},
          .erases = false};
}

std::string reason(cleaner& by, const schemas::ingest_document& of, uint64_t offset = 0) {
  const auto verdict = by.look_at(of, offset);
  return verdict.rejected ? verdict.rejected->counted_as() : "";
}

blocklist blocked() {
  return *blocklist::parse("forbidden fruit", "b");
}

TEST(cleaner, names_the_reason) {
  cleaner by({.characters_min = 3, .bytes_max = 4000, .languages = {"en", "unknown"}}, blocked());
  auto broken = document("{\"text\": ");
  broken.fault = "line 3 is no JSON";
  EXPECT_EQ(reason(by, broken), "malformed");
  EXPECT_EQ(reason(by, document("caf\xE9 noir")), "not_utf8");
  EXPECT_EQ(reason(by, document("ab")), "too_short");
  EXPECT_EQ(reason(by, document(std::string(4001, 'x'))), "too_long");
  EXPECT_EQ(reason(by, document("a\x01"
                                "b\x02"
                                "c")),
            "control_characters");
  EXPECT_EQ(reason(by, document(german)), "language");
  EXPECT_EQ(reason(by, document("eat the Forbidden  fruit")), "blocked");
  EXPECT_EQ(reason(by, document(english), 7), "");
  EXPECT_EQ(reason(by, document(english), 8), "duplicate");
  EXPECT_EQ(by.look_at(document(english), 9).rejected->detail, "of the document at 7");
}

TEST(cleaner, finds_texts_that_are_nearly_the_same) {
  cleaner by({}, {});
  const std::string text = made_up(1, 400);
  EXPECT_EQ(reason(by, document(text), 0), "");
  EXPECT_EQ(reason(by, document(text + " and more"), 1), "near_duplicate");
  EXPECT_EQ(reason(by, document(made_up(2, 400)), 2), "");
  // Short texts have to be the same.
  EXPECT_EQ(reason(by, document("the cat sat on the mat"), 3), "");
  EXPECT_EQ(reason(by, document("the cat sat on the mat today"), 4), "");
}

TEST(cleaner, domains_may_do_without_rules) {
  cleaning_settings settings{.quality = true};
  settings.domains_without_quality = {"code"};
  settings.domains_with_duplicates = {"code"};
  cleaner by(settings, {});
  EXPECT_EQ(reason(by, document(code, "prose")).substr(0, 8), "quality_");
  EXPECT_EQ(reason(by, document(code, "code")), "");
  EXPECT_EQ(reason(by, document(code, "code")), "");
}

TEST(cleaner, documents_without_a_domain_belong_to_that_of_their_language) {
  cleaner by({}, {});
  EXPECT_EQ(by.look_at(document(german), 0).domain, "de");
  EXPECT_EQ(by.look_at(document(russian), 1).domain, "cyrillic");
  EXPECT_EQ(by.look_at(document(english, "tales"), 2).domain, "tales");
}

TEST(cleaner, remembers_the_same_after_a_restart) {
  cleaning_settings settings{.seen_max = 20};
  cleaner first(settings, {});
  for (uint64_t i = 0; i < 50; ++i) ASSERT_EQ(reason(first, document(made_up(i, 40)), i), "");
  schemas::learning_stream_state state;
  first.save(state);
  cleaner second(settings, {});
  ASSERT_TRUE(second.restore(state).ok());
  EXPECT_EQ(reason(second, document(made_up(30, 40)), 50), "duplicate");
  EXPECT_EQ(reason(second, document(made_up(29, 40)), 51), ""); // forgotten
}

} // namespace
} // namespace troupe::dataflow
