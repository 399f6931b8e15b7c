// The fingerprints of the last documents, and whether a new one is like one of them. Bounded: the
// oldest is forgotten when there is no room. Two texts that lie at most three bits apart agree in
// one of four groups of sixteen bits, so only those are compared.
#pragma once

#include "base/status.hpp"
#include "dataflow/ingest/fingerprint.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace troupe::dataflow {

struct seen_document {
  uint64_t exact = 0;
  uint64_t similar = 0;
  uint64_t offset = 0; // of the document in the log

  friend bool operator==(const seen_document&, const seen_document&) = default;
};

struct duplicate {
  uint64_t offset = 0; // of the earlier document
  uint32_t bits = 0;   // apart
  bool exact = false;
};

class seen_documents {
public:
  // As many documents are remembered. Requires capacity > 0.
  explicit seen_documents(uint32_t capacity);

  // The youngest one that is the same, else a similar one of at most `bits_max` (up to three) bits
  // apart, if `near`.
  std::optional<duplicate> find(const text_fingerprint& of, bool near, uint32_t bits_max) const;
  void add(const text_fingerprint& of, uint64_t offset);

  uint32_t capacity() const { return static_cast<uint32_t>(ring_.size()); }
  uint64_t forgotten() const { return added_ > ring_.size() ? added_ - ring_.size() : 0; }

  // What is remembered, oldest first, and how many were added in all: with these the next find()
  // and add() do the same.
  std::vector<seen_document> documents() const;
  uint64_t added() const { return added_; }
  status restore(std::span<const seen_document> documents, uint64_t added);

private:
  static constexpr size_t groups = 5;         // four of `similar`, one of `exact`
  static constexpr size_t buckets = 1 << 16;  // of a group
  static constexpr uint32_t looks_max = 1024; // into one bucket, the youngest first

  static uint32_t bucket_of(const seen_document& of, size_t group);
  bool remembers(uint64_t number) const { return number > 0 && number + ring_.size() > added_; }

  // Numbers count from one; document n lies at (n - 1) % capacity. Chains lead from the youngest to
  // older ones and end where one has been forgotten.
  uint64_t added_ = 0;
  std::vector<seen_document> ring_;
  std::array<std::vector<uint64_t>, groups> first_; // by bucket
  std::array<std::vector<uint64_t>, groups> older_; // by place in the ring
};

} // namespace troupe::dataflow
