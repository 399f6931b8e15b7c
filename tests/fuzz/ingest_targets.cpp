// Whatever is read must survive a second trip. Checksums would keep nearly all damage out, so the
// damaged bytes are also read with them made right.
#include "tests/fuzz/ingest_targets.hpp"

#include "base/check.hpp"
#include "dataflow/ingest/cleaner.hpp"
#include "dataflow/ingest/replay_reservoir.hpp"
#include "schemas/checksum.hpp"
#include "schemas/learning_codec.hpp"
#include "server/ingest_body.hpp"
#include "storage/ingest_segment.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace troupe::fuzz {
namespace {

constexpr size_t frame_checksum_at = 8;
constexpr size_t frame_first_at = 16;
constexpr size_t head_checksum_at = 16;
constexpr size_t head_first_at = 24;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void put_number(std::byte* to, size_t bytes, uint64_t value) {
  for (size_t i = 0; i < bytes; ++i) to[i] = static_cast<std::byte>(value >> (8 * i));
}

schemas::ingest_batch some_batch(uint64_t sequence) {
  return {.client = "http crawler",
          .sequence = sequence,
          .mark = 9,
          .begins_anew = false,
          .documents = {{.source = "http",
                         .position = 1,
                         .id = "7",
                         .domain = "tales",
                         .text = "Once upon a time",
                         .fault = {},
                         .erases = false},
                        {.source = "a.jsonl",
                         .position = 77,
                         .id = {},
                         .domain = {},
                         .text = "nonsense",
                         .fault = "is no JSON",
                         .erases = false}}};
}

void try_frame(std::span<const std::byte> bytes) {
  const auto frame = storage::read_frame(bytes, 5, {});
  if (!frame) {
    TROUPE_CHECK(!frame.error().why().empty());
    return;
  }
  if (!*frame) return;
  TROUPE_CHECK((*frame)->documents() > 0 && (*frame)->bytes <= bytes.size());
  std::vector<std::vector<std::byte>> batches;
  for (const auto& batch : (*frame)->batches)
    batches.push_back(schemas::encode_ingest_batch(batch).value());
  const auto again = storage::read_frame(storage::encode_frame(5, batches), 5, {});
  TROUPE_CHECK(again.has_value() && again->has_value() && (*again)->batches == (*frame)->batches);
}

void try_head(std::span<const std::byte> bytes) {
  const auto head = storage::read_segment_head(bytes);
  if (!head) {
    TROUPE_CHECK(!head.error().why().empty());
    return;
  }
  TROUPE_CHECK(head->bytes <= bytes.size());
  const auto again = storage::encode_segment_head(head->first, head->clients).value();
  TROUPE_CHECK(storage::read_segment_head(again)->clients == head->clients);
}

} // namespace

void read_ingest_segment(std::span<const std::byte> bytes) {
  try_head(bytes);
  try_frame(bytes);
  std::vector<std::byte> mended(bytes.begin(), bytes.end());
  if (mended.size() < storage::ingest_frame_head_bytes) return;
  put_number(mended.data() + 4, 4, mended.size() - storage::ingest_frame_head_bytes);
  put_number(mended.data() + frame_first_at, 8, 5);
  put_number(mended.data() + frame_checksum_at, 8,
             schemas::checksum_of(std::span(mended).subspan(frame_first_at)));
  try_frame(mended);
  mended.assign(bytes.begin(), bytes.end());
  if (mended.size() < 32) return;
  put_number(mended.data() + 12, 4, mended.size() - 32);
  put_number(mended.data() + head_checksum_at, 8,
             schemas::checksum_of(std::span(mended).subspan(head_first_at)));
  try_head(mended);
}

std::vector<std::string> ingest_segment_seeds() {
  const std::vector<std::vector<std::byte>> one = {
      schemas::encode_ingest_batch(some_batch(1)).value()};
  const std::vector<std::vector<std::byte>> two = {
      one[0], schemas::encode_ingest_batch(some_batch(2)).value()};
  const auto head = storage::encode_segment_head(5, {{"a", 1, 2, 3, 4}, {"b", 5, 6, 7, 8}});
  return {text_of(storage::encode_frame(5, one)), text_of(storage::encode_frame(5, two)),
          text_of(*head)};
}

void read_ingest_body(std::span<const std::byte> bytes) {
  const std::string body = text_of(bytes);
  for (const auto* const type : {"application/json", "application/x-ndjson"}) {
    const auto read = server::parse_ingest_body(body, type);
    if (!read) {
      TROUPE_CHECK(!read.error().message.empty() && read.error().http_status == 400);
      continue;
    }
    for (const auto& document : *read) {
      TROUPE_CHECK(document.fault.empty() && document.position > 0);
      TROUPE_CHECK(!document.erases || !document.id.empty());
    }
    const auto kept = schemas::encode_ingest_batch(
        {.client = {}, .sequence = 0, .mark = 0, .begins_anew = false, .documents = *read});
    TROUPE_CHECK(kept.has_value());
  }
}

std::vector<std::string> ingest_body_seeds() {
  return {"{\"text\": \"Once upon\\u00e4 a time\", \"domain\": \"tales\", \"id\": 7}",
          "{\"text\":\"a\"}\n\n{\"id\":\"x\",\"delete\":true}\r\n{\"text\":\"b\",\"more\":[1,{}]}"};
}

void read_learning_state(std::span<const std::byte> bytes) {
  const auto state = schemas::decode_learning_state(bytes);
  if (!state) {
    TROUPE_CHECK(!state.error().why().empty());
    return;
  }
  const auto again = schemas::encode_learning_state(*state);
  TROUPE_CHECK(again.has_value());
  TROUPE_CHECK(schemas::decode_learning_state(*again).value() == *state);
  // What is well formed may still be nonsense.
  dataflow::cleaner clean({.seen_max = 4}, {});
  (void)clean.restore(*state);
  dataflow::replay_reservoir replay({.documents_max = 2, .by_domain = true}, 1);
  if (replay.restore(state->reservoirs).ok()) {
    (void)replay.draw(3, {});
    replay.offer({.offset = 1, .id = "a", .domain = "d", .text = "more"});
    (void)replay.erase("i");
  }
}

std::vector<std::string> learning_state_seeds() {
  const schemas::learning_document document{.offset = 5, .id = "i", .domain = "d", .text = "text"};
  schemas::learning_stream_state state;
  state.settings = "seed 1";
  state.cursor = 9;
  state.windowed = {document, document};
  state.open = document;
  state.open_taken = 2;
  state.pending = {{.tokens = {1, 2}, .targets = {2, -1}, .bytes = 5}};
  state.reservoirs = {{.domain = "d", .offered = 2, .slots = {document, {}}}};
  state.seen = {{1, 2, 3}};
  state.seen_added = 1;
  state.domains = {{"d", 7}};
  state.rejections = {{"duplicate", 2}};
  return {text_of(schemas::encode_learning_state(state).value()),
          text_of(schemas::encode_learning_state({}).value())};
}

void clean_document(std::span<const std::byte> bytes) {
  static const auto blocked = dataflow::blocklist::parse("secret sauce\nforbidden\n", "b").value();
  dataflow::cleaner clean({.quality = true, .rules = {.words_min = 1}, .seen_max = 4}, blocked);
  const schemas::ingest_document document{.source = {},
                                          .position = 0,
                                          .id = {},
                                          .domain = {},
                                          .text = text_of(bytes),
                                          .fault = {},
                                          .erases = false};
  const auto first = clean.look_at(document, 0);
  const auto second = clean.look_at(document, 1);
  // Looked at again, it is the duplicate of itself or breaks the same rule.
  TROUPE_CHECK(second.rejected.has_value());
  if (first.rejected) TROUPE_CHECK(first.rejected->counted_as() == second.rejected->counted_as());
  if (!first.rejected) TROUPE_CHECK(second.rejected->counted_as() == "duplicate");
  const auto lines = dataflow::blocklist::parse(document.text, "fuzzed");
  if (lines && !lines->empty()) TROUPE_CHECK(lines->find(lines->phrases().front()).has_value());
}

std::vector<std::string> document_seeds() {
  return {
      "Once upon a time there was a woman who lived with her children in a forest of firs.",
      "- \u00C4rger, \u4F60\u597D... \U0001F600 #1\n\n* \u0416\u0438\u043B\u0438\u2026\t3,5 'x'"};
}

} // namespace troupe::fuzz
