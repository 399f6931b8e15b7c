// Decodes ids as they come, for text that is shown while it is made.
#include "model/stream_decoder.hpp"

namespace troupe::model {

std::string stream_decoder::push(int32_t id) {
  const std::string* token = source_.decoded_text_of(id);
  if (token == nullptr || source_.is_left_out(*token, skips_special_tokens_)) return {};
  return run_.push(*token);
}

std::string stream_decoder::finish() {
  std::string rest = run_.finish();
  run_ = source_.start_decoding();
  return rest;
}

} // namespace troupe::model
