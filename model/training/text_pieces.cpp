// Cutting and shuffling.
#include "model/training/text_pieces.hpp"

#include "base/check.hpp"
#include "base/random.hpp"

#include <algorithm>
#include <numeric>

namespace troupe::model {

void text_pieces::add(std::vector<int32_t> document) {
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
  documents_.push_back(std::move(document));
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
    order_.resize(count_);
    std::iota(order_.begin(), order_.end(), size_t{0});
    for (size_t i = count_; i > 1; --i) {
      const random_key key{.seed = seed_,
                           .subsystem = random_subsystem::workload,
                           .entity = static_cast<uint32_t>(epoch_)};
      std::swap(order_[i - 1], order_[random_below(key, i, i)]);
    }
  }
  return order_[at_++];
}

} // namespace troupe::model
