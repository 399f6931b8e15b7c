// What a client wants an answer's text to be: a kind of description and the description itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace troupe::model {

// Travels between nodes with its request, as it was asked; whoever draws tokens compiles it
// (grammar/compile.hpp).
struct constraint {
  // Append only: the numbers travel.
  enum class kind : uint8_t {
    none,
    json_object,         // any JSON object; no text
    json_schema,         // text: a JSON schema; keywords that are not supported are refused
    json_schema_lenient, // the same; such keywords are left out
    regex,               // text: a pattern that the whole answer matches
    grammar,             // text: rules in EBNF, the first of all named root
    choice,              // text: a JSON list of strings, one of which is the answer
  };
  static constexpr uint8_t kinds = 7;
  static constexpr size_t text_bytes_max = size_t{256} << 10;

  kind what = kind::none;
  std::string text;

  bool any() const { return what != kind::none; }
  friend bool operator==(const constraint&, const constraint&) = default;
};

} // namespace troupe::model
