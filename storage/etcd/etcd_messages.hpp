// Requests to and answers from the JSON gateway of etcd v3, as text. Answers come from a stranger:
// whatever they are, the result is what they must be or a status.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::storage {

// -- base64 as etcd has it: with padding, + and /

std::string to_base64(std::string_view bytes);
result<std::string> from_base64(std::string_view characters); // nothing but the one canonical form

// -- requests

struct etcd_compare {
  enum class what : uint8_t { create_revision, mod_revision };
  std::string key;
  what target = what::create_revision;
  uint64_t equals = 0; // 0: the key is not there
};

struct etcd_operation {
  enum class what : uint8_t { put, range };
  what kind = what::range;
  std::string key;
  std::string value;  // put
  uint64_t lease = 0; // put; 0: none
};

// Either all of `then` or all of `otherwise` happens, in order, at one moment.
struct etcd_transaction {
  std::vector<etcd_compare> compares; // all must hold
  std::vector<etcd_operation> then;
  std::vector<etcd_operation> otherwise;
};

std::string write_transaction(const etcd_transaction& transaction);
std::string write_lease_grant(uint64_t seconds);
std::string write_lease(uint64_t lease); // to keep or to revoke
std::string write_login(std::string_view user, std::string_view password);

// -- answers

struct etcd_entry {
  std::string key;
  std::string value;
  uint64_t create_revision = 0;
  uint64_t mod_revision = 0;
  uint64_t lease = 0;
  friend bool operator==(const etcd_entry&, const etcd_entry&) = default;
};

struct etcd_outcome {
  bool succeeded = false;                      // the comparisons held
  std::vector<std::vector<etcd_entry>> ranges; // of each range operation that happened, in order
};

struct etcd_lease {
  uint64_t id = 0;
  uint64_t seconds = 0; // 0: it has ended
};

result<etcd_outcome> read_outcome(std::string_view answer);
result<etcd_lease> read_lease(std::string_view answer);      // of a grant
result<etcd_lease> read_kept_lease(std::string_view answer); // of keeping one
result<std::string> read_token(std::string_view answer);

// What etcd says instead of an answer. `code` is one of gRPC's (0 when the text has none).
struct etcd_complaint {
  uint32_t code = 0;
  std::string message; // printable and short; empty: not of etcd
};
etcd_complaint read_complaint(std::string_view answer);

} // namespace troupe::storage
