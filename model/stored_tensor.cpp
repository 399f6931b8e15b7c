// Facts about one stored tensor.
#include "model/stored_tensor.hpp"

#include "base/text.hpp"

namespace troupe::model {

uint64_t stored_tensor::elements() const {
  uint64_t count = 1;
  for (const uint64_t dimension : shape) count *= dimension; // checked when the header was read
  return count;
}

std::string stored_tensor::shape_text() const {
  std::string out = "[";
  for (const uint64_t dimension : shape) out += text(out.size() > 1 ? ", " : "", dimension);
  return out + "]";
}

} // namespace troupe::model
