// The bytes of every token of a model, as a tree that is walked along with a grammar.
#pragma once

#include "model/grammar/code_points.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace troupe::model {

// Immutable; made once for a model and shared by all that is constrained.
class vocabulary {
public:
  // By id; empty: a token that no text has, such as those that end it.
  explicit vocabulary(std::vector<std::string> token_bytes);

  size_t size() const { return bytes_.size(); }
  const std::string& bytes_of(int32_t id) const { return bytes_[static_cast<size_t>(id)]; }
  // Bytes that are a token by themselves. A text of these alone can always be spelled.
  const byte_set& single_bytes() const { return single_bytes_; }

  // A beginning of tokens. Nodes lie in depth-first order: the nodes below node i are those from
  // i + 1 to before end(i). Node 0 is the empty beginning.
  using node = uint32_t;
  size_t nodes() const { return byte_.size(); }
  uint8_t byte(node at) const { return byte_[at]; }
  uint8_t depth(node at) const { return depth_[at]; }
  node end(node at) const { return end_[at]; }
  // The tokens that are exactly this.
  std::span<const int32_t> tokens(node at) const {
    return std::span(tokens_).subspan(token_begin_[at], token_begin_[at + 1] - token_begin_[at]);
  }

  static constexpr size_t token_bytes_max = 255; // longer ones are never chosen

private:
  std::vector<std::string> bytes_;
  byte_set single_bytes_;
  std::vector<uint8_t> byte_;
  std::vector<uint8_t> depth_;
  std::vector<node> end_;
  std::vector<uint32_t> token_begin_;
  std::vector<int32_t> tokens_;
};

} // namespace troupe::model
