// The switch behind TROUPE_MUTANT. It is the one mutable global of the project: a bug is planted in
// a whole process, once and before anything runs, and production code has no place to pass it by.
#include "base/mutant.hpp"

#include "tests/mutants/planted.hpp"

#include <string>

namespace {

std::string& planted_name() {
  static std::string name;
  return name;
}

} // namespace

namespace troupe {

bool mutant_is_on(const char* name) {
  return planted_name() == name;
}

} // namespace troupe

namespace troupe::mutants {

void plant(std::string_view name) {
  planted_name() = name;
}

} // namespace troupe::mutants
