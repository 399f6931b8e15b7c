// What this processor can run, and the kernels for it.
#include "compute/cpu/dispatch.hpp"

#include "base/check.hpp"
#include "compute/cpu/team_kernels.hpp"
#include "compute/reference/kernels.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace troupe::compute {
namespace {

#if defined(__x86_64__)
// Half-precision conversions; Clang 14 does not know their name.
bool has_f16c() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
#else
  return false;
#endif
}

bool has_avx512() {
#if defined(__x86_64__)
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

} // namespace

std::string_view to_string(instruction_set set) {
  switch (set) {
    case instruction_set::automatic:
      return "automatic";
    case instruction_set::reference:
      return "reference";
    case instruction_set::avx2:
      return "avx2";
    case instruction_set::avx512:
      return "avx512";
  }
  return "?";
}

std::optional<instruction_set> parse_instruction_set(std::string_view name) {
  for (const auto set : {instruction_set::automatic, instruction_set::reference,
                         instruction_set::avx2, instruction_set::avx512}) {
    if (to_string(set) == name) return set;
  }
  return std::nullopt;
}

bool supported(instruction_set set) {
  switch (set) {
    case instruction_set::avx2:
      return has_avx2();
    case instruction_set::avx512:
      return has_avx512();
    default:
      return true;
  }
}

instruction_set widest_supported() {
  if (has_avx512()) return instruction_set::avx512;
  return has_avx2() ? instruction_set::avx2 : instruction_set::reference;
}

const kernel_table* kernels_of(instruction_set set) {
  TROUPE_CHECK(supported(set) && set != instruction_set::automatic);
#if defined(__x86_64__)
  if (set == instruction_set::avx512) return &avx512_kernels();
  if (set == instruction_set::avx2) return &avx2_kernels();
#endif
  return nullptr;
}

std::unique_ptr<kernels> make_kernels(instruction_set set, thread_team& team, part_meter* meter) {
  const kernel_table* table = kernels_of(set);
  if (table == nullptr) return std::make_unique<reference_kernels>(meter);
  return std::make_unique<team_kernels>(*table, team, meter);
}

} // namespace troupe::compute
