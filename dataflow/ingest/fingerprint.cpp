// Every run votes for or against each of the 64 bits.
#include "dataflow/ingest/fingerprint.hpp"

#include "dataflow/ingest/utf8.hpp"

#include <array>

namespace troupe::dataflow {
namespace {

// A mixer that lets every bit of the input reach every bit of the output (Stafford's variant 13 of
// the finaliser of MurmurHash3, as in SplitMix64).
uint64_t mixed(uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

// FNV-1a, mixed.
uint64_t hash_of(std::string_view bytes) {
  uint64_t out = 0xCBF29CE484222325u;
  for (const char c : bytes) out = (out ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  return mixed(out);
}

} // namespace

text_fingerprint fingerprint_of(std::string_view text) {
  text_fingerprint out;
  std::array<int64_t, 64> votes = {};
  const auto vote = [&votes](uint64_t hash) {
    for (size_t bit = 0; bit < votes.size(); ++bit) votes[bit] += (hash >> bit & 1) != 0 ? 1 : -1;
  };
  std::array<uint64_t, fingerprint_run> last = {};
  for (word_scanner words(text); words.next();) {
    const uint64_t word = hash_of(words.word());
    out.exact = mixed(out.exact + 0x9E3779B97F4A7C15u) ^ word;
    last[out.words++ % fingerprint_run] = word;
    if (out.words < fingerprint_run) continue;
    uint64_t run = 0; // from its first word to its last
    for (uint32_t i = 0; i < fingerprint_run; ++i)
      run = mixed(run + last[(out.words + i) % fingerprint_run]);
    vote(run);
  }
  if (out.words == 0) out.exact = hash_of(text);
  if (out.words < fingerprint_run) vote(out.exact);
  out.exact = mixed(out.exact);
  for (size_t bit = 0; bit < votes.size(); ++bit)
    if (votes[bit] > 0) out.similar |= uint64_t{1} << bit;
  return out;
}

} // namespace troupe::dataflow
