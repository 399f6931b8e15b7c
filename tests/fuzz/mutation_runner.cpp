// Runs one target over damaged versions of its seeds: mutation_runner TARGET ROUNDS
// [SEED]. The same arguments do the same; a crash is repeated by giving its round as FIRST:
// mutation_runner TARGET ROUNDS SEED FIRST.
#include "tests/fuzz/mutate.hpp"
#include "tests/fuzz/targets.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace {

constexpr uintmax_t seed_bytes_max = 128 << 10; // larger ones only make rounds slower

std::vector<std::string> read_seeds(const troupe::fuzz::target& target) {
  if (target.make_seeds != nullptr) return target.make_seeds();
  std::vector<std::filesystem::path> paths;
  const auto folder =
      std::filesystem::path(TROUPE_SOURCE_DIR) / "tests/golden" / target.seed_folder;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().filename() == target.seed_name && entry.file_size() <= seed_bytes_max) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> seeds;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return seeds;
}

bool parse(std::string_view argument, uint32_t& out) {
  const auto end = argument.data() + argument.size();
  return std::from_chars(argument.data(), end, out).ptr == end;
}

} // namespace

int main(int count, char** arguments) {
  uint32_t rounds = 0, seed = 1, first = 0;
  const auto* target = count > 1 ? troupe::fuzz::find_target(arguments[1]) : nullptr;
  if (target == nullptr || count < 3 || !parse(arguments[2], rounds) ||
      (count > 3 && !parse(arguments[3], seed)) || (count > 4 && !parse(arguments[4], first))) {
    std::fprintf(stderr, "usage: mutation_runner TARGET ROUNDS [SEED [FIRST]]; targets are");
    for (const auto& known : troupe::fuzz::targets())
      std::fprintf(stderr, " %s", std::string(known.name).c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  const auto seeds = read_seeds(*target);
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds named %s\n", std::string(target->seed_name).c_str());
    return 1;
  }
  for (const auto& file : seeds) target->run(std::as_bytes(std::span(file)));
  for (uint32_t round = first; round < first + rounds; ++round) {
    const std::string file = troupe::fuzz::mutate(seeds, seed, round);
    // An exact copy on the heap, so that a sanitizer sees every step beyond its end.
    const std::vector<char> exact(file.begin(), file.end());
    target->run(std::as_bytes(std::span(exact)));
  }
  std::printf("%s: %u rounds over %zu seeds\n", arguments[1], rounds, seeds.size());
  return 0;
}
