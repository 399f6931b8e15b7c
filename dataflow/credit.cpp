// Books of a credit window.
#include "dataflow/credit.hpp"

#include "base/check.hpp"

namespace troupe::dataflow {

bool credit_window::take(uint32_t n) {
  if (n > available()) return false;
  taken_ += n;
  return true;
}

void credit_window::give(uint32_t n) {
  TROUPE_CHECK(n <= taken_);
  taken_ -= n;
}

} // namespace troupe::dataflow
