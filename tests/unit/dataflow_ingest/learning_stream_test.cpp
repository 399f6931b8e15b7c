// Batches: every document once, the same ones again after a restart at any step, whenever the
// documents came; what is bad is set aside, what is replayed is as much as was asked for.
#include "dataflow/ingest/learning_stream.hpp"

#include "schemas/checksum.hpp"
#include "storage/ingest_log.hpp"
#include "storage/ingest_reader.hpp"
#include "tests/unit/dataflow_ingest/texts.hpp"
#include "tests/unit/storage/crashing_disk.hpp"

#include <gtest/gtest.h>

namespace troupe::dataflow {
namespace {

using documents = std::vector<schemas::ingest_document>;

schemas::ingest_document document(std::string text, std::string domain = "d", std::string id = "") {
  return {.source = "t",
          .position = 0,
          .id = std::move(id),
          .domain = std::move(domain),
          .text = std::move(text),
          .fault = {},
          .erases = false};
}

// Texts of a few to some hundred bytes in three domains, each once.
documents made_up_documents(uint64_t count) {
  documents out;
  for (uint64_t i = 0; i < count; ++i) {
    const random_key key{.seed = 9, .subsystem = random_subsystem::workload, .entity = 1};
    const auto words = static_cast<uint32_t>(1 + random_below(key, i, 60));
    out.push_back(document(std::to_string(i) + " " + made_up(i, words),
                           i % 4 == 0   ? "a"
                           : i % 4 == 1 ? "b"
                                        : "c",
                           "id" + std::to_string(i)));
  }
  return out;
}

// A token for each byte; '!' has none.
result<std::vector<int32_t>> tokens_of(std::string_view text) {
  if (text.find('!') != std::string_view::npos)
    return fail(status_code::unsupported, "no token for '!'");
  std::vector<int32_t> out;
  for (const char c : text) out.push_back(static_cast<uint8_t>(c));
  return out;
}

constexpr int32_t separator = 1000;

learning_stream_settings settings_of_tests() {
  return {.context = 32,
          .step_tokens = 300,
          .separator = separator,
          .seed = 3,
          .replay_share = 0,
          .mixing = {.window = 8}};
}

// What a batch teaches.
uint64_t hash_of(const model::step_batch& batch) {
  std::vector<int32_t> all;
  for (const auto& each : batch.documents) {
    all.insert(all.end(), each.tokens.begin(), each.tokens.end());
    all.push_back(-1);
    all.insert(all.end(), each.targets.begin(), each.targets.end());
    all.push_back(-2);
  }
  all.push_back(static_cast<int32_t>(batch.bytes));
  return schemas::checksum_of(std::as_bytes(std::span(all)));
}

struct set_aside {
  uint64_t offset;
  std::string reason;
  friend bool operator==(const set_aside&, const set_aside&) = default;
};

class learning_stream_test : public ::testing::Test {
protected:
  learning_stream make() {
    return {settings,
            cleaner(cleaning, {}),
            {.read = [this](uint64_t offset) -> result<std::optional<schemas::ingest_document>> {
               if (offset >= log.size()) return std::nullopt;
               return log[offset];
             },
             .end = [this]() -> result<uint64_t> { return log.size(); },
             .tokenise = tokens_of,
             .quarantine =
                 [this](const rejected_document& rejected) {
                   aside.push_back({rejected.offset, rejected.why.counted_as()});
                   return status();
                 }}};
  }
  // Until there is nothing more.
  static std::vector<uint64_t> hashes(learning_stream& stream) {
    std::vector<uint64_t> out;
    for (;;) {
      const auto batch = stream.next();
      EXPECT_TRUE(batch.has_value()) << batch.error().why();
      if (!batch || !*batch) return out;
      out.push_back(hash_of(**batch));
    }
  }

  learning_stream_settings settings = settings_of_tests();
  cleaning_settings cleaning = {.seen_max = 256};
  documents log;
  std::vector<set_aside> aside;
};

TEST_F(learning_stream_test, every_document_is_learnt_from_once_and_no_piece_crosses_one) {
  log = made_up_documents(100);
  settings.mixing.order = curriculum::length;
  auto stream = make();
  std::map<std::string, int> seen;
  std::string text;
  uint64_t bytes = 0;
  for (;;) {
    const auto batch = stream.next();
    ASSERT_TRUE(batch.has_value());
    if (!*batch) break;
    bytes += (*batch)->bytes;
    size_t tokens = 0;
    for (const auto& piece : (*batch)->documents) {
      ASSERT_LE(piece.tokens.size(), 32u);
      ASSERT_EQ(piece.tokens.size(), piece.targets.size());
      tokens += piece.tokens.size();
      for (size_t i = 0; i < piece.tokens.size(); ++i) {
        ASSERT_EQ(piece.tokens[i] == separator, text.empty());
        if (i + 1 < piece.tokens.size()) {
          ASSERT_EQ(piece.tokens[i + 1], piece.targets[i]);
        }
        if (piece.targets[i] == separator) {
          ++seen[text];
          text.clear();
          ASSERT_EQ(i + 1, piece.tokens.size());
        } else {
          text += static_cast<char>(piece.targets[i]);
        }
      }
    }
    ASSERT_TRUE(tokens >= 300 || seen.size() == log.size());
  }
  ASSERT_EQ(seen.size(), log.size());
  uint64_t expected = 0;
  for (const auto& each : log) {
    EXPECT_EQ(seen[each.text], 1);
    expected += each.text.size();
  }
  EXPECT_EQ(bytes, expected);
  EXPECT_EQ(stream.figures().accepted, log.size());
  EXPECT_FALSE(stream.next()->has_value());
}

// The heart of it: a run cut after any step, with the state of that step and nothing else, goes on
// with the same batches, whatever is switched on.
TEST_F(learning_stream_test, a_run_that_is_cut_anywhere_goes_on_with_the_same_batches) {
  log = made_up_documents(80);
  log[17].fault = "is no JSON";
  log[40].text = log[30].text;
  log[60] = document("has no token!");
  log[72].erases = true;
  log[72].id = "id12";
  std::vector<learning_stream_settings> ways(6, settings_of_tests());
  ways[1].replay_share = 300;
  ways[1].replay.documents_max = 10;
  ways[2] = ways[1];
  ways[2].replay.by_domain = true;
  ways[2].mixing.weights = {{"a", 3 * weight_one}};
  ways[3].mixing.temperature = 300;
  ways[3].mixing.order = curriculum::difficulty;
  ways[4] = ways[1];
  ways[4].hold_out = 5;
  ways[4].held_out_max = 7;
  ways[5] = ways[1];
  ways[5].context = 1000; // pieces longer than a step
  ways[5].replay.bytes_max = 50;
  for (const auto& way : ways) {
    settings = way;
    auto whole = make();
    const auto expected = hashes(whole);
    ASSERT_GT(expected.size(), 20u);
    auto stream = make();
    for (size_t step = 0; step <= expected.size(); ++step) {
      const auto state = stream.state();
      auto resumed = make();
      ASSERT_TRUE(resumed.restore(state).ok());
      ASSERT_EQ(resumed.state(), state) << step;
      const auto rest = hashes(resumed);
      ASSERT_EQ(rest,
                std::vector<uint64_t>(expected.begin() + static_cast<long>(step), expected.end()))
          << step;
      ASSERT_EQ(resumed.held_out(), whole.held_out());
      ASSERT_EQ(resumed.figures().rejections, whole.figures().rejections);
      if (step == expected.size()) break;
      ASSERT_EQ(hash_of(**stream.next()), expected[step]);
    }
  }
}

// When a document came is not to be seen in the batches, only its place in the log.
TEST_F(learning_stream_test, batches_do_not_depend_on_when_documents_came) {
  settings.follows = true;
  settings.replay_share = 200;
  const auto all = made_up_documents(150);
  log = all;
  auto at_once = make();
  const auto expected = hashes(at_once);
  ASSERT_GT(expected.size(), 20u);
  for (const size_t lot : {1u, 7u, 50u}) {
    log.clear();
    auto stream = make();
    std::vector<uint64_t> got;
    while (log.size() < all.size()) {
      for (size_t i = 0; i < lot && log.size() < all.size(); ++i) log.push_back(all[log.size()]);
      for (const uint64_t hash : hashes(stream)) got.push_back(hash);
      auto resumed = make(); // also between steps, while it waits
      ASSERT_TRUE(resumed.restore(stream.state()).ok());
      ASSERT_EQ(resumed.state(), stream.state());
    }
    EXPECT_EQ(got, expected) << lot;
  }
}

TEST_F(learning_stream_test, what_comes_during_a_run_is_left_to_the_next) {
  log = made_up_documents(60);
  auto undisturbed = make();
  const auto expected = hashes(undisturbed);
  auto stream = make();
  ASSERT_TRUE(stream.next()->has_value());
  const auto state = stream.state();
  log = made_up_documents(90);
  auto resumed = make();
  ASSERT_TRUE(resumed.restore(state).ok());
  auto rest = hashes(resumed);
  rest.insert(rest.begin(), expected.front());
  EXPECT_EQ(rest, expected);
  auto following = make();
  ASSERT_TRUE(following.restore(resumed.state()).ok());
  hashes(following);
  EXPECT_EQ(following.figures().accepted, 90u);
}

TEST_F(learning_stream_test, what_is_bad_is_set_aside_with_reason_and_offset) {
  log = {document("fine one"), document("{\"text\"", "d"), document("caf\xE9"),
         document("fine one"), document("no token!"),      document("fine two")};
  log[1].fault = "is no JSON";
  auto stream = make();
  EXPECT_EQ(hashes(stream).size(), 1u);
  EXPECT_EQ(aside, (std::vector<set_aside>{
                       {1, "malformed"}, {2, "not_utf8"}, {3, "duplicate"}, {4, "not_tokenised"}}));
  const auto figures = stream.figures();
  EXPECT_EQ(figures.accepted, 2u);
  EXPECT_EQ(figures.cursor, 6u);
  uint64_t rejected = 0;
  for (const auto& [reason, count] : figures.rejections) rejected += count;
  EXPECT_EQ(figures.accepted + rejected, figures.cursor); // nothing is lost
}

TEST_F(learning_stream_test, the_share_of_replay_is_as_wished) {
  log = made_up_documents(400);
  for (const uint32_t share : {0u, 100u, 500u}) {
    settings.replay_share = share;
    auto stream = make();
    std::map<std::string, int> begun;
    uint64_t all = 0;
    uint64_t bytes = 0;
    for (;;) {
      const auto batch = stream.next();
      if (!*batch) break;
      bytes += (*batch)->bytes;
      for (const auto& piece : (*batch)->documents) all += piece.tokens.size();
    }
    uint64_t fresh = 0;
    for (const auto& each : log) fresh += each.text.size() + 1;
    EXPECT_NEAR(static_cast<double>(all - fresh) / static_cast<double>(all), share / 1000.0, 0.02);
  }
}

TEST_F(learning_stream_test, an_erased_document_is_not_learnt_from_any_more) {
  settings.replay_share = 500;
  log = made_up_documents(200);
  log[3].text = "secret text";
  auto erasing = document("", "");
  erasing.id = log[3].id;
  erasing.erases = true;
  log.insert(log.begin() + 5, erasing); // while it waits in the window
  log[120].text = "another secret";
  erasing.id = log[120].id;
  log.insert(log.begin() + 150, erasing); // when it has been learnt from and may be replayed
  auto stream = make();
  uint64_t first = 0;
  uint64_t second_after = 0;
  for (;;) {
    const auto batch = stream.next();
    if (!*batch) break;
    const bool erased = stream.cursor() > 150;
    for (const auto& piece : (*batch)->documents) {
      const std::string text(piece.targets.begin(), piece.targets.end());
      first += text.find("secret text") != std::string::npos ? 1 : 0;
      if (erased) second_after += text.find("another secret") != std::string::npos ? 1 : 0;
    }
  }
  EXPECT_EQ(first, 0u);
  EXPECT_EQ(second_after, 0u);
  const auto state = stream.state();
  const std::string bytes(reinterpret_cast<const char*>(state.data()), state.size());
  EXPECT_EQ(bytes.find("secret"), std::string::npos);
}

TEST_F(learning_stream_test, a_state_of_other_settings_is_refused_and_changes_nothing) {
  log = made_up_documents(60);
  auto stream = make();
  ASSERT_TRUE(stream.next()->has_value());
  const auto state = stream.state();
  settings.seed = 4;
  auto other = make();
  const auto before = other.state();
  const auto refused = other.restore(state);
  EXPECT_EQ(refused.code(), status_code::invalid_argument);
  EXPECT_NE(refused.why().find("seed 3"), std::string::npos);
  EXPECT_EQ(other.restore(std::span(state).first(64)).code(), status_code::corrupt);
  EXPECT_EQ(other.state(), before);
}

// Power cuts while a client sends: it repeats what it got no answer for. What is learnt is what an
// undisturbed log teaches, batch for batch.
TEST_F(learning_stream_test, a_client_that_repeats_after_a_power_cut_teaches_nothing_twice) {
  const auto all = made_up_documents(40);
  settings.follows = true;
  log = all;
  auto undisturbed = make();
  const auto expected = hashes(undisturbed);
  for (int at = 0; at < 60; at += 3) {
    storage::crashing_disk folder;
    const auto open = [&] {
      return *storage::ingest_log::open(folder, {.segment_bytes = 3000, .limits = {}},
                                        [] { return uint64_t{0}; });
    };
    auto kept = open();
    folder.plan(storage::crashing_disk::trouble::crashes_after, at);
    for (size_t i = 0; i < all.size(); ++i) {
      const schemas::ingest_batch batch{
          .client = "c", .sequence = i + 1, .mark = 0, .begins_anew = false, .documents = {all[i]}};
      while (!kept->append(std::span(&batch, 1))) {
        folder.restart({storage::lost_power::contents::kept, true});
        kept = open();
      }
    }
    storage::ingest_reader reader(folder);
    learning_stream stream(settings, cleaner(cleaning, {}),
                           {.read = [&reader](uint64_t offset) { return reader.read(offset); },
                            .end = [&reader] { return reader.end(); },
                            .tokenise = tokens_of,
                            .quarantine = [](const rejected_document&) { return status(); }});
    ASSERT_EQ(hashes(stream), expected) << at;
    EXPECT_EQ(stream.figures().accepted, all.size());
  }
}

} // namespace
} // namespace troupe::dataflow
