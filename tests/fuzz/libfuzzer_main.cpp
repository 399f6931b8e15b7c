// Entry point for libFuzzer; the target is chosen when compiling.
#include "tests/fuzz/targets.hpp"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* target = troupe::fuzz::find_target(TROUPE_FUZZ_TARGET);
  target->run(std::as_bytes(std::span(data, size)));
  return 0;
}
