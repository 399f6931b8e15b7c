// The one error vocabulary below the actor layer.
#pragma once

#include "base/check.hpp"

#include <tl/expected.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace troupe {

// Append only: the numbers travel between nodes inside caf::error.
enum class status_code : uint8_t {
  ok,
  invalid_argument, // the caller asked for something that cannot be
  not_found,
  corrupt,     // bytes that do not mean what they should
  unavailable, // not now; may work later or elsewhere
  exhausted,   // a bound is reached: memory, credit, queue
  timed_out,
  device_lost,
  unsupported, // well formed, but not something this build can do
  cancelled,
};

// Lower-case name of the code, e.g. "invalid_argument".
std::string_view to_string(status_code code);

// What an operation returns that may fail in a healthy cluster. Bugs end in TROUPE_CHECK instead.
class [[nodiscard]] status {
public:
  status() = default;
  status(status_code code, std::string why) : code_(code), why_(std::move(why)) {
    TROUPE_CHECK(code != status_code::ok);
  }
  bool ok() const { return code_ == status_code::ok; }
  status_code code() const { return code_; }
  // What happened, where (file, field, position) and, where known, what to do; for a person to
  // read.
  const std::string& why() const { return why_; }

  // The same failure seen from further out: "context: why".
  status within(std::string_view context) const;

private:
  status_code code_ = status_code::ok;
  std::string why_;
};

// A T, or the status that says why there is none. Return a failure with fail(...).
template <class T>
using result = tl::expected<T, status>;

// Makes the failure side of a result: `return fail(status_code::corrupt, "…")`.
inline tl::unexpected<status> fail(status_code code, std::string why) {
  return tl::make_unexpected(status(code, std::move(why)));
}
inline tl::unexpected<status> fail(status why) {
  return tl::make_unexpected(std::move(why));
}

} // namespace troupe

// For functions that return a status.
#define TROUPE_RETURN_IF_ERROR(expr)                       \
  do {                                                     \
    if (::troupe::status s_ = (expr); !s_.ok()) return s_; \
  } while (false)
