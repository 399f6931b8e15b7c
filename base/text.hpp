// Building the text of messages for people without a formatting library in every header.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace troupe {

namespace text_parts {
inline void append(std::string& out, std::string_view part) {
  out += part;
}
inline void append(std::string& out, char part) {
  out += part;
}
template <std::integral T>
void append(std::string& out, T part) {
  out += std::to_string(part);
}
// Shortest decimal form that reads back as the same double.
void append(std::string& out, double part);
} // namespace text_parts

// Joins strings, characters and numbers: text("field '", name, "' is ", value).
template <class... Parts>
std::string text(const Parts&... parts) {
  std::string out;
  (text_parts::append(out, parts), ...);
  return out;
}

// The entry of `names` with the fewest edits to `name`, for "did you mean"; empty when none is
// near.
template <class Range>
std::string nearest_name(std::string_view name, const Range& names);

// Number of single-character edits from a to b (Levenshtein).
size_t edit_distance(std::string_view a, std::string_view b);

template <class Range>
std::string nearest_name(std::string_view name, const Range& names) {
  std::string best;
  size_t best_distance = name.size() / 3 + 2;
  for (const auto& candidate : names) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

} // namespace troupe
