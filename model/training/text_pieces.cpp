// Cutting and shuffling.
#include "model/training/text_pieces.hpp"

#include "base/check.hpp"
#include "base/random.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <numeric>

namespace troupe::model {

void text_pieces::add(std::vector<int32_t> document, uint64_t bytes) {
  if (document.empty()) return;
  document.insert(document.begin(), separator_);
  document.push_back(separator_);
  const auto inputs = static_cast<uint32_t>(document.size() - 1);
  for (uint32_t begin = 0; begin < inputs; begin += context_) {
    pieces_.push_back({.document = static_cast<uint32_t>(documents_.size()),
                       .begin = begin,
                       .end = std::min(begin + context_, inputs)});
  }
  tokens_ += inputs;
  bytes_ += bytes;
  documents_.push_back(std::move(document));
  document_bytes_.push_back(bytes);
}

uint64_t text_pieces::bytes_of(size_t index) const {
  const auto& piece = pieces_[index];
  const uint64_t inputs = documents_[piece.document].size() - 1;
  const uint64_t bytes = document_bytes_[piece.document];
  return bytes * piece.end / inputs - bytes * piece.begin / inputs;
}

training_document text_pieces::at(size_t index) const {
  const auto& piece = pieces_[index];
  const auto document = std::span<const int32_t>(documents_[piece.document]);
  const size_t count = piece.end - piece.begin;
  return {.tokens = document.subspan(piece.begin, count),
          .targets = document.subspan(piece.begin + 1, count)};
}

std::vector<training_document> text_pieces::all() const {
  std::vector<training_document> out;
  for (size_t i = 0; i < count(); ++i) out.push_back(at(i));
  return out;
}

size_t piece_order::next() {
  TROUPE_CHECK(count_ > 0);
  if (at_ == order_.size()) {
    ++epoch_;
    at_ = 0;
    shuffle();
  }
  return order_[at_++];
}

status piece_order::restore(uint64_t epoch, uint64_t dealt) {
  if (dealt > count_ || (epoch == 0) != (dealt == 0))
    return status(status_code::corrupt, text("data: ", dealt, " pieces dealt in epoch ", epoch));
  epoch_ = epoch;
  at_ = dealt;
  order_.clear();
  if (epoch > 0) shuffle();
  return {};
}

void piece_order::shuffle() {
  order_.resize(count_);
  std::iota(order_.begin(), order_.end(), size_t{0});
  for (size_t i = count_; i > 1; --i) {
    const random_key key{.seed = seed_,
                         .subsystem = random_subsystem::workload,
                         .entity = static_cast<uint32_t>(epoch_)};
    std::swap(order_[i - 1], order_[random_below(key, i, i)]);
  }
}

} // namespace troupe::model
