// Tokenised documents as pieces to train on: none longer than the context, and in an order that
// depends on nothing but a seed and the number of the epoch.
#pragma once

#include "model/training/training_pass.hpp"

#include <cstdint>
#include <vector>

namespace troupe::model {

// Every token of the document is asked for once, the separator after the last, too; the first is
// asked for after a separator.
class text_pieces {
public:
  text_pieces() = default; // holds nothing
  text_pieces(uint32_t context, int32_t separator) : context_(context), separator_(separator) {}

  void add(std::vector<int32_t> document, uint64_t bytes); // of text
  size_t count() const { return pieces_.size(); }
  uint64_t tokens() const { return tokens_; }
  uint64_t bytes() const { return bytes_; }
  // The part of its document's bytes that falls to this piece by its tokens.
  uint64_t bytes_of(size_t index) const;
  // Valid while nothing is added.
  training_document at(size_t index) const;
  std::vector<training_document> all() const;

private:
  struct piece {
    uint32_t document = 0;
    uint32_t begin = 0; // among the inputs of the document
    uint32_t end = 0;
  };

  uint32_t context_ = 1;
  int32_t separator_ = 0;
  std::vector<std::vector<int32_t>> documents_; // between two separators
  std::vector<uint64_t> document_bytes_;
  std::vector<piece> pieces_;
  uint64_t tokens_ = 0;
  uint64_t bytes_ = 0;
};

// Deals out pieces, each once an epoch, shuffled anew for every epoch.
class piece_order {
public:
  piece_order(size_t count, uint64_t seed) : count_(count), seed_(seed) {}
  size_t next();
  uint64_t epoch() const { return epoch_; } // of the last piece dealt, the first being 1
  size_t dealt() const { return at_; }      // in that epoch
  // As it was when epoch() and dealt() said this; `corrupt` when they never do.
  status restore(uint64_t epoch, uint64_t dealt);

private:
  void shuffle();

  const size_t count_;
  const uint64_t seed_;
  uint64_t epoch_ = 0;
  size_t at_ = 0;
  std::vector<size_t> order_;
};

} // namespace troupe::model
