// Words by hand, lowest byte first.
#include "storage/keyed_hash.hpp"

#include <bit>

namespace troupe::storage {
namespace {

struct sip_state {
  uint64_t a, b, c, d;

  void round() {
    a += b;
    c += d;
    b = std::rotl(b, 13) ^ a;
    d = std::rotl(d, 16) ^ c;
    a = std::rotl(a, 32);
    c += b;
    a += d;
    b = std::rotl(b, 17) ^ c;
    d = std::rotl(d, 21) ^ a;
    c = std::rotl(c, 32);
  }
  void take(uint64_t word) {
    d ^= word;
    round();
    round();
    a ^= word;
  }
  uint64_t finish() {
    for (int n = 0; n < 4; ++n) round();
    return a ^ b ^ c ^ d;
  }
};

uint64_t word_of(std::span<const std::byte> bytes) {
  uint64_t word = 0;
  for (size_t i = 0; i < bytes.size(); ++i) word |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  return word;
}

} // namespace

keyed_digest keyed_hash(const hash_key& key, std::span<const std::byte> bytes) {
  sip_state state = {key.first ^ 0x736f6d6570736575u, key.second ^ 0x646f72616e646f6du ^ 0xeeu,
                     key.first ^ 0x6c7967656e657261u, key.second ^ 0x7465646279746573u};
  const uint64_t length = bytes.size();
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) state.take(word_of(bytes.first(8)));
  state.take(word_of(bytes) | length << 56);
  state.c ^= 0xee;
  keyed_digest out;
  out.first = state.finish();
  state.b ^= 0xdd;
  out.second = state.finish();
  return out;
}

} // namespace troupe::storage
