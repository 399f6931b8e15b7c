// Whoever has no key gets nowhere, whatever the bytes; what a peer with the key says may be
// damaged, too, and is refused with a reason.
#include "tests/fuzz/transport_targets.hpp"

#include "base/check.hpp"
#include "transport/session/control_record.hpp"
#include "transport/session/frame_assembly.hpp"
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
                 (is_piece(head->kind) ? 0 : head->header_bytes) + seal_bytes(seal != nullptr) <=
                     body.size());
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

// Heads and bodies in turn, a body behind two bytes that say how long it is.
void put_frame_together(std::span<const std::byte> bytes) {
  struct owned {
    std::vector<std::byte> all;
    std::span<std::byte> bytes() { return all; }
  };
  constexpr uint64_t bytes_max = 4096;
  frame_assembly<owned> assembly;
  uint64_t filled = 0;
  while (bytes.size() >= frame_head_bytes + 2) {
    const auto head = decode_frame_head(bytes.first(frame_head_bytes));
    bytes = bytes.subspan(frame_head_bytes);
    const auto length =
        std::min<size_t>(std::to_integer<size_t>(bytes[0]) << 8 | std::to_integer<size_t>(bytes[1]),
                         bytes.size() - 2);
    const auto body = bytes.subspan(2, length);
    bytes = bytes.subspan(2 + length);
    if (!head || !is_piece(head->kind)) continue;
    size_t taken = 0;
    std::byte* const to = assembly.room(*head, body.size(), bytes_max, [&](size_t count) {
      TROUPE_CHECK(count <= bytes_max);
      taken = count;
      return owned{std::vector<std::byte>(count)};
    });
    if (to == nullptr) return; // such a session is closed
    TROUPE_CHECK((taken > 0) == (filled == 0));
    std::copy(body.begin(), body.end(), to);
    filled += body.size();
    if (!assembly.put(*head, body.size())) continue;
    const auto whole = assembly.take();
    TROUPE_CHECK(whole.all.size() == filled && head->header_bytes <= filled);
    filled = 0;
  }
}

std::vector<std::string> piece_seeds() {
  std::vector<std::string> out;
  for (const size_t size : {150, 4000}) {
    const std::vector<std::byte> all(size, std::byte{1});
    std::string frames;
    for (size_t begin = 0; begin < size; begin += 100) {
      const bool last = begin + 100 >= size;
      const size_t here = last ? size - begin : 100;
      const frame_head head{1, begin / 100, static_cast<uint32_t>(last ? 30 : size - begin),
                            last ? frame_kind::last_piece : frame_kind::piece};
      frames += text_of(encode(head)) + std::string{'\0', static_cast<char>(here)} +
                text_of(std::span(all).first(here));
    }
    out.push_back(frames);
    out.push_back(frames + frames);
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
