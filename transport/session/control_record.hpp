// What two nodes of a session tell each other beside the frames, on the connection on which they
// shook hands: the verdict about the session, signs of life, addresses, the description.
#pragma once

#include "base/status.hpp"
#include "transport/endpoint.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace troupe::transport {

inline constexpr size_t control_record_bytes_max = 64 << 10;
inline constexpr size_t book_entries_max = 128; // in one record
inline constexpr size_t description_part_bytes_max = 48 << 10;
inline constexpr size_t worker_address_bytes_max = 8192;
inline constexpr uint64_t description_bytes_max = 64 << 20;

// What the responder makes of a peer that has proven who it is. Append only.
enum class session_verdict : uint8_t {
  accepted = 0,
  stale = 1,     // a higher incarnation of the name is or was here
  duplicate = 2, // another session of the two is under way, which will do
  own_name = 3,  // the peer has our own name
};
std::string_view to_string(session_verdict verdict);

struct verdict_record {
  session_verdict verdict = session_verdict::accepted;
  friend bool operator==(const verdict_record&, const verdict_record&) = default;
};
struct data_path_record {
  std::vector<std::byte> worker_address; // where to send frames, in the data path's own words
  friend bool operator==(const data_path_record&, const data_path_record&) = default;
};
struct heartbeat_record {
  uint64_t frames_taken = 0; // the number of the next frame that the sender waits for
  friend bool operator==(const heartbeat_record&, const heartbeat_record&) = default;
};
struct book_entry {
  node_identity identity;
  std::string address;
  friend bool operator==(const book_entry&, const book_entry&) = default;
};
struct book_record {
  std::vector<book_entry> entries;
  friend bool operator==(const book_record&, const book_record&) = default;
};
struct description_record {
  uint64_t bytes_left = 0; // after this part
  std::vector<std::byte> part;
  friend bool operator==(const description_record&, const description_record&) = default;
};
struct farewell_record { // the sender stops in good order
  friend bool operator==(const farewell_record&, const farewell_record&) = default;
};

using control_record = std::variant<verdict_record, heartbeat_record, book_record, data_path_record,
                                    description_record, farewell_record>;

std::vector<std::byte> encode(const control_record& from);
result<control_record> decode_control_record(std::span<const std::byte> bytes);

} // namespace troupe::transport
