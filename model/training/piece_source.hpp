// Steps from texts that are all there before the first: each piece once an epoch, in an order that
// a seed gives.
#pragma once

#include "model/training/step_source.hpp"
#include "model/training/text_pieces.hpp"

namespace troupe::model {

class piece_source final : public step_source {
public:
  // The pieces, at least one, must outlive it. A batch has whole pieces, `step_tokens` at least.
  piece_source(const text_pieces& pieces, uint32_t step_tokens, uint64_t seed);

  result<std::optional<step_batch>> next() override;
  std::vector<std::byte> state() const override;
  status restore(std::span<const std::byte> state) override;

  uint64_t epoch() const { return order_.epoch(); } // of the last piece dealt, the first being 1

private:
  const text_pieces& pieces_;
  const uint32_t step_tokens_;
  const uint64_t seed_;
  piece_order order_;
};

} // namespace troupe::model
