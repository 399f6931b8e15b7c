// Typed reading of a GGUF file's metadata. The first error sticks and is asked for at the end, so
// that a list of keys reads as a table. For sources only.
#pragma once

#include "model/gguf/gguf_file.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {

class gguf_keys {
public:
  explicit gguf_keys(const gguf_file& file) : file_(file) {}

  bool has(std::string_view key) const { return file_.find_value(key) != nullptr; }

  // Unset when absent. A count may be given once for each layer, if all are equal.
  std::optional<uint64_t> count(std::string_view key);
  uint64_t needed_count(std::string_view key);
  std::optional<double> number(std::string_view key);
  std::optional<bool> flag(std::string_view key);
  std::optional<std::string> word(std::string_view key);
  std::string needed_word(std::string_view key);
  // Elements of an array; empty when absent. The views are into the file.
  std::vector<std::string_view> words(std::string_view key);
  std::vector<int64_t> integers(std::string_view key);
  std::vector<double> numbers(std::string_view key);

  // Records "<file>: metadata '<key>' <why>" unless an earlier error is there.
  void refuse(std::string_view key, std::string_view why, status_code code = status_code::corrupt);
  bool ok() const { return first_.ok(); }
  const status& first_error() const { return first_; }
  const gguf_file& file() const { return file_; }

private:
  const gguf_value* of_kind(std::string_view key, bool matches, const gguf_value* value,
                            std::string_view wanted);
  const gguf_value* array_of(std::string_view key, std::string_view wanted);

  const gguf_file& file_;
  status first_;
};

} // namespace troupe::model
