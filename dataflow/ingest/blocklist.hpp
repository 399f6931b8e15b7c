// Phrases that a text must not contain, whatever their case and the white space within them. One
// look at the text finds any of them (Aho and Corasick 1975), however many there are.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::dataflow {

class blocklist {
public:
  blocklist() : nodes_(1) {} // blocks nothing
  // A phrase a line; empty lines and lines that begin with # are left out. A phrase that begins or
  // ends with a word character is found only where a word begins or ends; han and kana have no such
  // bounds. `file` is for messages.
  static result<blocklist> parse(std::string_view lines, std::string_view file);

  bool empty() const { return phrases_.empty(); }
  const std::vector<std::string>& phrases() const { return phrases_; }

  // Tells two lists apart.
  uint64_t checksum() const;

  // The phrase (its index) that ends first.
  std::optional<size_t> find(std::string_view text) const;

private:
  struct node {
    std::map<char, uint32_t> next;
    uint32_t fallback = 0; // the longest proper end of this that begins a phrase
    uint32_t shorter = 0;  // the next one on that way at which a phrase ends
    int32_t phrase = -1;   // that ends here
  };

  void insert(std::string_view folded, size_t phrase);
  void link();
  uint32_t step(uint32_t from, char byte) const;

  std::vector<node> nodes_;          // the first is the root
  std::vector<std::string> phrases_; // as they are looked for
};

} // namespace troupe::dataflow
