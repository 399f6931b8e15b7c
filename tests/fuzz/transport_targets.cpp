// Whoever has no key gets nowhere, whatever the bytes; what a peer with the key says may be
// damaged, too, and is refused with a reason.
#include "tests/fuzz/transport_targets.hpp"

#include "base/check.hpp"
#include "transport/session/control_record.hpp"
#include "transport/session/frame_gate.hpp"
#include "transport/session/handshake.hpp"
#include "transport/session/record_stream.hpp"

#include <algorithm>

namespace troupe::fuzz {
namespace {

using namespace transport; // waiver using_namespace: every name here is one of its

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The same in every run: a seed that was valid once stays valid.
const secret& key() {
  static const secret out = secret::from_hex(std::string(64, '7')).value();
  return out;
}

handshake_options options(const char* name) {
  return {key(), {{name, 3}, "127.0.0.1:4000", 99, 1 << 20}, session_purpose::peer, true};
}

const aead_key& frame_key() {
  static const aead_key out(key(), "frames", {});
  return out;
}

constexpr uint64_t sequence_next = 5;

} // namespace

void read_handshake(std::span<const std::byte> bytes) {
  auto responder = handshake::respond(options("b"));
  const auto reply = responder.receive(bytes);
  TROUPE_CHECK(reply || !reply.error().why().empty());
  TROUPE_CHECK(!responder.done());
  if (reply) {
    // A replayed opening: its author is not there to go on.
    TROUPE_CHECK(!responder.receive(bytes));
    TROUPE_CHECK(!responder.done());
  }
  auto initiator = handshake::initiate(options("a"));
  initiator.opening();
  TROUPE_CHECK(!initiator.receive(bytes)); // no reply to that very opening
  const auto said = decode_hello(bytes);
  if (said) TROUPE_CHECK(decode_hello(encode(*said)).value() == *said);
}

std::vector<std::string> handshake_seeds() {
  auto initiator = handshake::initiate(options("a")), responder = handshake::respond(options("b"));
  const auto opening = initiator.opening();
  const auto reply = responder.receive(opening).value();
  const auto closing = initiator.receive(reply).value();
  return {text_of(opening), text_of(reply), text_of(closing), text_of(encode(options("c").self))};
}

void read_sealed_frame(std::span<const std::byte> bytes) {
  const auto head = decode_frame_head(bytes.first(std::min(bytes.size(), frame_head_bytes)));
  if (!head) {
    TROUPE_CHECK(!head.error().why().empty());
    return;
  }
  const auto body = bytes.subspan(frame_head_bytes);
  for (const aead_key* seal : {&frame_key(), static_cast<const aead_key*>(nullptr)}) {
    frame_gate<std::vector<std::byte>> gate(seal, {.window = 16, .frame_bytes_max = 4096});
    std::vector<std::byte> plain(body.size());
    const auto verdict = gate.open(*head, body, plain.data());
    if (verdict != frame_verdict::fresh) continue;
    TROUPE_CHECK(head->sequence < 16 &&
                 head->header_bytes + seal_bytes(seal != nullptr) <= body.size());
    gate.insert(*head, plain);
    TROUPE_CHECK(gate.open(*head, body, plain.data()) == frame_verdict::replayed);
    TROUPE_CHECK(gate.take().has_value() == (head->sequence == 0));
  }
}

std::vector<std::string> sealed_frame_seeds() {
  std::vector<std::string> out;
  for (const size_t size : {0, 1, 40, 500}) {
    const std::vector<std::byte> payload(size, std::byte{1}), header(size / 2, std::byte{2});
    for (uint64_t sequence = 0; sequence < sequence_next; ++sequence) {
      const frame_head head{1, sequence, static_cast<uint32_t>(header.size()), frame_kind::data};
      std::vector<std::byte> body(payload.size() + header.size() + seal_bytes(true));
      seal_frame(&frame_key(), head, header, payload, body.data());
      out.push_back(text_of(encode(head)) + text_of(body));
    }
  }
  return out;
}

void read_control_record(std::span<const std::byte> bytes) {
  const auto record = decode_control_record(bytes);
  TROUPE_CHECK(record || !record.error().why().empty());
  if (record) TROUPE_CHECK(decode_control_record(encode(*record)).value() == *record);
  record_reader reader(1000);
  reader.add(bytes);
  for (size_t i = 0; i <= bytes.size(); ++i) {
    const auto next = reader.next();
    if (!next || !next->has_value()) break;
    TROUPE_CHECK((*next)->size() <= 1000);
  }
  record_opener opener(aead_key(key(), "control", {}));
  TROUPE_CHECK(!opener.open(bytes)); // nothing here was sealed by that key
}

std::vector<std::string> control_record_seeds() {
  const std::vector<control_record> records = {
      verdict_record{session_verdict::stale},
      heartbeat_record{77},
      book_record{{{{"a", 1}, "h:1"}, {{"b", 2}, "[::1]:2"}}},
      data_path_record{std::vector<std::byte>(50, std::byte{9})},
      description_record{12, std::vector<std::byte>(100, std::byte{3})},
      farewell_record{}};
  std::vector<std::string> out;
  for (const auto& record : records) {
    out.push_back(text_of(encode(record)));
    std::vector<std::byte> stream;
    append_record(stream, encode(record));
    out.push_back(text_of(stream));
  }
  return out;
}

} // namespace troupe::fuzz
