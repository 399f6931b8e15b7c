// Whatever is read must keep the rules and survive a second trip. A checksum would keep nearly all
// damage out, so the damaged bytes are also read with it, and what frames them, made right.
#include "tests/fuzz/wire_targets.hpp"

#include "base/check.hpp"
#include "schemas/frame_codec.hpp"
#include "tests/support/random_frames.hpp"

#include <algorithm>
#include <cstdint>

namespace troupe::fuzz {
namespace {

constexpr size_t word_bytes = 8;
constexpr size_t checksum_bytes = 8;
constexpr size_t table_bytes = 8; // of a message of one segment

void put_number(std::byte* to, size_t bytes, uint64_t value) {
  for (size_t i = 0; i < bytes; ++i) to[i] = static_cast<std::byte>(value >> (8 * i));
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::byte> with_checksum(std::span<const std::byte> message) {
  std::vector<std::byte> out(checksum_bytes + message.size());
  put_number(out.data(), checksum_bytes, schemas::checksum_of(message));
  std::copy(message.begin(), message.end(), out.begin() + checksum_bytes);
  return out;
}

void try_frame(std::span<const std::byte> bytes) {
  const schemas::frame_limits limits;
  const auto header = schemas::decode_frame(bytes, limits);
  if (!header) {
    TROUPE_CHECK(!header.error().why().empty());
    return;
  }
  TROUPE_CHECK(schemas::validate(*header, limits).ok());
  const auto again = schemas::encode_frame(*header, limits);
  TROUPE_CHECK(again.has_value());
  const auto same = schemas::decode_frame(*again, limits);
  TROUPE_CHECK(same.has_value() && *same == *header);
}

void try_votes(std::span<const std::byte> bytes) {
  const auto state = schemas::decode_acceptor_state(bytes);
  if (!state) {
    TROUPE_CHECK(!state.error().why().empty());
    return;
  }
  const auto again = schemas::encode_acceptor_state(*state);
  TROUPE_CHECK(again.has_value());
  const auto same = schemas::decode_acceptor_state(*again);
  TROUPE_CHECK(same.has_value() && *same == *state);
}

} // namespace

std::vector<std::byte> as_message(std::span<const std::byte> bytes) {
  const auto content = bytes.subspan(std::min(bytes.size(), table_bytes));
  const size_t words = content.size() / word_bytes;
  std::vector<std::byte> out(table_bytes + words * word_bytes); // exactly, for the sanitizers
  put_number(out.data() + 4, 4, words);
  std::copy_n(content.begin(), words * word_bytes, out.begin() + table_bytes);
  return out;
}

void read_frame(std::span<const std::byte> bytes) {
  try_frame(bytes);
  const auto message = bytes.subspan(std::min(bytes.size(), checksum_bytes));
  try_frame(with_checksum(message));
  try_frame(with_checksum(as_message(message)));
}

std::vector<std::string> frame_seeds() {
  tests::random_frames frames(1);
  std::vector<std::string> out;
  for (int round = 0; round < 4; ++round) {
    for (size_t kind = 0; kind < tests::random_frames::kinds; ++kind)
      out.push_back(text_of(schemas::encode_frame(frames.next(kind), {}).value()));
  }
  return out;
}

void read_votes(std::span<const std::byte> bytes) {
  try_votes(bytes);
  try_votes(as_message(bytes));
}

std::vector<std::string> votes_seeds() {
  tests::random_frames frames(2);
  std::vector<std::string> out;
  for (int round = 0; round < 20; ++round)
    out.push_back(text_of(schemas::encode_acceptor_state(frames.acceptor()).value()));
  return out;
}

} // namespace troupe::fuzz
