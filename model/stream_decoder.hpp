// Decodes ids as they come, for text that is shown while it is made.
#pragma once

#include "model/tokenizer.hpp"
#include "model/tokenizer_decoder.hpp"

#include <cstdint>
#include <string>

namespace troupe::model {

// The pieces are whole characters, and all of them joined are what tokenizer::decode gives for all
// ids. One thread at a time.
class stream_decoder {
public:
  stream_decoder(tokenizer source, bool skip_special_tokens)
      : source_(std::move(source)),
        run_(source_.start_decoding()),
        skips_special_tokens_(skip_special_tokens) {}

  // The text that became certain with this token; empty while it may still change.
  std::string push(int32_t id);

  // The rest, with U+FFFD for what stayed incomplete. The next push begins a new text.
  std::string finish();

private:
  tokenizer source_;
  decoder_run run_;
  bool skips_special_tokens_;
};

} // namespace troupe::model
