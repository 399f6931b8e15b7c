// What is fuzzed: readers of bytes that somebody else wrote. A target must survive any bytes and
// must answer with a status that says something.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::fuzz {

struct target {
  std::string_view name;
  void (*run)(std::span<const std::byte> bytes);
  // Seeds are the files of this name anywhere below this folder of tests/golden …
  std::string_view seed_folder;
  std::string_view seed_name;
  // … or, where there are no such files, what this makes.
  std::vector<std::string> (*make_seeds)() = nullptr;
};

std::span<const target> targets();
const target* find_target(std::string_view name); // nullptr: no such target

} // namespace troupe::fuzz
