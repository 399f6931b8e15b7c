// TOML as scenarios and plans use it: documents read into plain values that remember their place,
// and a reader that takes known keys out of a table and complains about all others.
#pragma once

#include "base/clock.hpp"
#include "base/status.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::simulations {

struct toml_value {
  enum class kind : uint8_t { integer, boolean, string, array, table, other };
  kind is = kind::other;
  int64_t number = 0; // of an integer; of a boolean 0 or 1
  std::string text;
  std::vector<toml_value> items; // of an array, or of a table in order of its keys …
  std::vector<std::string> keys; // … which are these, sorted
  uint32_t line = 0, column = 0; // 0: not read from a text

  const toml_value* find(std::string_view key) const; // of a table; nullptr: it has none
};

// Failures name the file, line and column.
result<toml_value> read_toml(std::string_view text, std::string_view file);

// "300ms", "1.5s": digits, perhaps a point and digits, and ns, us, ms, s, m or h; exact, or an
// error.
result<duration> parse_duration(std::string_view text);
// With the largest unit that needs no point: parse_duration gives the same again.
std::string write_duration(duration what);
// A TOML string in double quotes.
std::string toml_quoted(std::string_view text);

// Takes the keys of one table. The first mistake sticks, later calls do nothing, and finish() says
// it, or which key is none of those asked for.
class table_reader {
public:
  // `name` is how the table is called in messages: "cluster". The table must outlive the reader.
  table_reader(const toml_value& table, std::string_view name, std::string_view file);

  // Each leaves `out` alone when the key is missing.
  void take(std::string_view key, std::string& out);
  void take(std::string_view key, bool& out);
  void take(std::string_view key, int64_t& out, int64_t least, int64_t most);
  void take(std::string_view key, uint64_t& out, uint64_t least, uint64_t most);
  void take(std::string_view key, uint32_t& out, uint32_t least, uint32_t most);
  void take(std::string_view key, duration& out, duration least, duration most);
  // The value for the caller to read: null when missing or of another kind (which is a mistake).
  const toml_value* take(std::string_view key, toml_value::kind wanted);
  const toml_value* take_any(std::string_view key);

  // Something about the key (or, with no such key, the table) that only the caller knows.
  void complain(std::string_view key, std::string why);
  void complain(const toml_value& at, std::string why);
  void fail_with(const status& why); // of a table within
  bool good() const { return failure_.ok(); }
  status finish();

private:
  const toml_value* find(std::string_view key);
  std::string path(std::string_view key) const;

  const toml_value& table_;
  std::string name_;
  std::string file_;
  std::vector<std::string> known_;
  status failure_;
};

} // namespace troupe::simulations
