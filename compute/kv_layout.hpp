// Where a key and a value of a token lie inside a page.
// Separate values: [head][key_dim][page_tokens] keys, so that a score vectorises over positions,
// then [head][page_tokens][value_dim] values, so that the weighted sum vectorises over value
// columns. value_in_key: [head][page_tokens][key_dim]; many query heads share such a key, and
// scores vectorise over them.
#pragma once

#include "compute/kernels.hpp"

namespace troupe::compute {

struct kv_layout {
  kv_shape shape;

  size_t keys_floats() const { return size_t{shape.heads} * shape.page_tokens * shape.key_dim; }
  size_t page_floats() const {
    const size_t values =
        shape.value_in_key ? 0 : size_t{shape.heads} * shape.page_tokens * shape.value_dim;
    const size_t line = buffer::alignment / sizeof(float);
    return (keys_floats() + values + line - 1) / line * line;
  }
  // Floats from the start of the page.
  size_t key(uint32_t head, uint32_t token, uint32_t d) const {
    return shape.value_in_key ? (size_t{head} * shape.page_tokens + token) * shape.key_dim + d
                              : (size_t{head} * shape.key_dim + d) * shape.page_tokens + token;
  }
  // Floats between neighbouring entries of a key.
  size_t key_step() const { return shape.value_in_key ? 1 : shape.page_tokens; }
  size_t value(uint32_t head, uint32_t token, uint32_t d) const {
    if (shape.value_in_key) return key(head, token, d);
    return keys_floats() + (size_t{head} * shape.page_tokens + token) * shape.value_dim + d;
  }
};

} // namespace troupe::compute
