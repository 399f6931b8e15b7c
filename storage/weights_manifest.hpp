// The two texts of a folder of published weights: version.json, which says what a version is, and
// promoted.json, which says which one is in force. Both are JSON with a checksum over everything
// else in them.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::storage {

struct published_file {
  std::string name;
  uint64_t bytes = 0;
  uint64_t checksum = 0; // schemas::checksum_of its bytes

  friend bool operator==(const published_file&, const published_file&) = default;
};

// How a version does on text that was held out of its training.
struct held_out_figure {
  std::string domain;
  double bits_per_byte = 0;

  friend bool operator==(const held_out_figure&, const held_out_figure&) = default;
};

// What a version is. Never changes once it is written.
struct weights_manifest {
  uint64_t version = 0;
  uint64_t parent = 0; // whose training it continues; 0: none
  uint64_t step = 0;   // of the run that made it
  std::string state{}; // hash of the run there; empty: not from a run
  int64_t created = 0; // seconds since 1970
  std::vector<held_out_figure> held_out{};
  double imbalance = 0;               // of its experts, the worst layer's; 0: not measured
  std::vector<std::string> refused{}; // why the gate let it not pass; empty: it did
  std::vector<published_file> files{};
  uint64_t checksum = 0; // of the text; what the version's identity is made of

  friend bool operator==(const weights_manifest&, const weights_manifest&) = default;
};

struct promotion_event {
  uint64_t version = 0; // that was put in force by it
  bool back = false;    // it was in force before
  std::string reason;
  int64_t at = 0; // seconds since 1970

  friend bool operator==(const promotion_event&, const promotion_event&) = default;
};

// Which version is in force, and which were before it.
struct promotion_record {
  std::vector<uint64_t> chain;          // the last one is in force; empty: none is yet
  std::vector<promotion_event> history; // oldest first

  uint64_t promoted() const { return chain.empty() ? 0 : chain.back(); }
  uint64_t before() const { return chain.size() < 2 ? 0 : chain[chain.size() - 2]; }
  friend bool operator==(const promotion_record&, const promotion_record&) = default;
};

inline constexpr size_t promotions_kept_max = 64; // of the chain
inline constexpr size_t events_kept_max = 256;
inline constexpr size_t manifest_bytes_max = size_t{4} << 20;

// The text, with its checksum. Sets the manifest's own to it.
std::string to_text(weights_manifest& manifest);
std::string to_text(const promotion_record& record);

// `corrupt` unless it is what to_text() gives for some manifest; the message names the field.
result<weights_manifest> parse_manifest(std::string_view json);
result<promotion_record> parse_promotions(std::string_view json);

} // namespace troupe::storage
