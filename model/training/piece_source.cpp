// Deals out pieces; its state is how far it has come, and what it was made with.
#include "model/training/piece_source.hpp"

#include "base/text.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace troupe::model {
namespace {

static_assert(std::endian::native == std::endian::little);

struct stored_state {
  uint64_t version = 1;
  uint64_t pieces = 0, tokens = 0, bytes = 0, step_tokens = 0, seed = 0; // what it was made with
  uint64_t epoch = 0, dealt = 0;
};
static_assert(sizeof(stored_state) == 64);

} // namespace

piece_source::piece_source(const text_pieces& pieces, uint32_t step_tokens, uint64_t seed)
    : pieces_(pieces), step_tokens_(step_tokens), seed_(seed), order_(pieces.count(), seed) {}

result<std::optional<step_batch>> piece_source::next() {
  step_batch out;
  for (size_t tokens = 0; tokens < step_tokens_;) {
    const size_t piece = order_.next();
    out.documents.push_back(pieces_.at(piece));
    out.bytes += pieces_.bytes_of(piece);
    tokens += out.documents.back().tokens.size();
  }
  return out;
}

std::vector<std::byte> piece_source::state() const {
  const stored_state now{.pieces = pieces_.count(),
                         .tokens = pieces_.tokens(),
                         .bytes = pieces_.bytes(),
                         .step_tokens = step_tokens_,
                         .seed = seed_,
                         .epoch = order_.epoch(),
                         .dealt = order_.dealt()};
  std::vector<std::byte> out(sizeof now);
  std::memcpy(out.data(), &now, sizeof now);
  return out;
}

status piece_source::restore(std::span<const std::byte> state) {
  stored_state then;
  if (state.size() != sizeof then)
    return status(status_code::corrupt, text("data: a state of ", state.size(), " bytes"));
  std::memcpy(&then, state.data(), sizeof then);
  if (then.version != 1)
    return status(status_code::corrupt, text("data: a state of version ", then.version));
  struct field {
    const char* name;
    uint64_t then, now;
  };
  for (const auto& [name, before, now] :
       {field{"pieces", then.pieces, pieces_.count()},
        field{"tokens", then.tokens, pieces_.tokens()}, field{"bytes", then.bytes, pieces_.bytes()},
        field{"tokens a step", then.step_tokens, step_tokens_}, field{"seed", then.seed, seed_}}) {
    if (before != now) {
      return status(status_code::invalid_argument,
                    text("data: ", name, " was ", before, " and is ", now));
    }
  }
  return order_.restore(then.epoch, then.dealt);
}

} // namespace troupe::model
