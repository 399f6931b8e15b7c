// Records on a byte stream: four bytes of length, then the record. Bytes in, bytes out.
#pragma once

#include "base/status.hpp"
#include "transport/session/crypto.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace troupe::transport {

// Appends a record with its length to out.
void append_record(std::vector<std::byte>& out, std::span<const std::byte> record);

// Cuts what arrives into records. After a failure the stream is of no use any more.
class record_reader {
public:
  explicit record_reader(size_t record_bytes_max) : record_bytes_max_(record_bytes_max) {}

  void add(std::span<const std::byte> bytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  // From now on records may be this long.
  void allow(size_t record_bytes_max) { record_bytes_max_ = record_bytes_max; }
  // nullopt: not all of the next one is here. corrupt: it would be longer than the limit.
  result<std::optional<std::vector<std::byte>>> next();
  // Bytes that wait for the rest of their record; never more than was added since the last next()
  // plus one record.
  size_t waiting() const { return buffer_.size() - taken_; }

private:
  size_t record_bytes_max_;
  std::vector<std::byte> buffer_;
  size_t taken_ = 0;
};

// Seals the records of one direction; the number of each is its place in the stream, so nothing can
// be repeated, left out or reordered without being noticed.
class record_sealer {
public:
  explicit record_sealer(aead_key key) : key_(std::move(key)) {}
  std::vector<std::byte> seal(std::span<const std::byte> plain);

private:
  aead_key key_;
  uint64_t next_ = 0;
};

class record_opener {
public:
  explicit record_opener(aead_key key) : key_(std::move(key)) {}
  // corrupt: not the peer's next record
  result<std::vector<std::byte>> open(std::span<const std::byte> sealed);

private:
  aead_key key_;
  uint64_t next_ = 0;
};

} // namespace troupe::transport
