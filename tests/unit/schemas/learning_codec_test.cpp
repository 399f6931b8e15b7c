// Batches, clients and states survive the trip, and damaged ones are refused.
#include "schemas/learning_codec.hpp"

#include <gtest/gtest.h>

namespace troupe::schemas {
namespace {

ingest_batch some_batch() {
  ingest_batch out{
      .client = "crawler", .sequence = 17, .mark = 99, .begins_anew = true, .documents = {}};
  out.documents.push_back({.source = "a.jsonl",
                           .position = 120,
                           .id = "7",
                           .domain = "tales",
                           .text = std::string("a\0b\xFF", 4),
                           .fault = {},
                           .erases = false});
  out.documents.push_back({.source = "http",
                           .position = 2,
                           .id = "8",
                           .domain = {},
                           .text = {},
                           .fault = "is no JSON",
                           .erases = true});
  return out;
}

learning_stream_state some_state() {
  const learning_document document{.offset = 5, .id = "i", .domain = "d", .text = "text"};
  return {.settings = "seed 1",
          .cursor = 9,
          .limit = 12,
          .accepted = 7,
          .batches = 3,
          .domain_draws = 4,
          .replay_draws = 5,
          .tokens_dealt = 100,
          .tokens_replayed = 10,
          .windowed = {document, document},
          .open = document,
          .open_taken = 2,
          .pending = {{.tokens = {1, 2}, .targets = {2, -1}, .bytes = 5}},
          .reservoirs = {{.domain = "d", .offered = 8, .slots = {document, {}}}},
          .held_out = {document},
          .seen = {{1, 2, 3}},
          .seen_added = 1,
          .domains = {{"d", 7}},
          .rejections = {{"duplicate", 2}}};
}

TEST(learning_codec, what_is_written_is_read) {
  EXPECT_EQ(decode_ingest_batch(*encode_ingest_batch(some_batch())).value(), some_batch());
  EXPECT_EQ(decode_learning_state(*encode_learning_state(some_state())).value(), some_state());
  EXPECT_EQ(decode_learning_state(*encode_learning_state({})).value(), learning_stream_state());
  const std::vector<ingest_client> clients = {{"a", 1, 2, 3, 4}, {"b", 5, 6, 7, 8}};
  EXPECT_EQ(decode_ingest_clients(*encode_ingest_clients(clients)).value(), clients);
  EXPECT_EQ(decode_ingest_clients(*encode_ingest_clients({})).value(),
            std::vector<ingest_client>());
}

TEST(learning_codec, equal_things_have_equal_bytes) {
  EXPECT_EQ(*encode_ingest_batch(some_batch()), *encode_ingest_batch(some_batch()));
  EXPECT_EQ(*encode_learning_state(some_state()), *encode_learning_state(some_state()));
}

TEST(learning_codec, bounds_are_kept_on_both_sides) {
  auto batch = some_batch();
  EXPECT_EQ(encode_ingest_batch(batch, {.batch_bytes_max = 64}).error().code(),
            status_code::exhausted);
  EXPECT_EQ(encode_ingest_batch(batch, {.documents_max = 1}).error().code(),
            status_code::exhausted);
  EXPECT_EQ(decode_ingest_batch(*encode_ingest_batch(batch), {.documents_max = 1}).error().code(),
            status_code::corrupt);
  batch.documents[0].id = std::string(2000, 'x');
  EXPECT_EQ(encode_ingest_batch(batch).error().why(), "batch of documents: an id is too long");
  batch.documents.clear();
  EXPECT_FALSE(encode_ingest_batch(batch).has_value());
}

// Every byte cut off and every bit turned: a status or some value, never a crash; what is read can
// be written again.
TEST(learning_codec, damaged_bytes_are_refused_or_read_as_something_else) {
  const auto bytes = *encode_learning_state(some_state());
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_learning_state(std::span(bytes).first(size)).has_value());
  for (size_t i = 0; i < bytes.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      auto damaged = bytes;
      damaged[i] ^= std::byte(1 << bit);
      const auto read = decode_learning_state(damaged);
      if (!read) {
        EXPECT_FALSE(read.error().why().empty());
        continue;
      }
      EXPECT_EQ(decode_learning_state(*encode_learning_state(*read)).value(), *read);
    }
}

} // namespace
} // namespace troupe::schemas
