// The kinds of damage, chosen and placed by keyed randomness.
#include "tests/fuzz/mutate.hpp"

#include "base/random.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <string_view>

namespace troupe::fuzz {
namespace {

constexpr std::array<std::string_view, 20> words = {"0",
                                                    "-1",
                                                    "1",
                                                    "4294967295",
                                                    "4294967296",
                                                    "9223372036854775807",
                                                    "18446744073709551615",
                                                    "18446744073709551616",
                                                    "1e999",
                                                    "-0.0",
                                                    "0.5",
                                                    "null",
                                                    "true",
                                                    "{}",
                                                    "[]",
                                                    "\"\"",
                                                    "[0,8]",
                                                    "\"F32\"",
                                                    "\"F8_E4M3\"",
                                                    "\"\\ud800\""};
constexpr size_t head = 4096; // most of the damage goes where the structure is

class damage {
public:
  damage(uint64_t seed, uint32_t round) : key_{seed, random_subsystem::faults, round} {}

  uint64_t below(uint64_t bound) { return random_below(key_, next_++, bound); }

  size_t place(const std::string& file) {
    const size_t range = below(4) != 0 ? std::min(file.size(), head) : file.size();
    return range == 0 ? 0 : below(range);
  }

  // Start and length of a number in the file, if there is one after `from`.
  std::pair<size_t, size_t> number_after(const std::string& file, size_t from) {
    const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
    const auto begin =
        std::find_if(file.begin() + static_cast<std::ptrdiff_t>(from), file.end(), digit);
    const auto end = std::find_if_not(begin, file.end(), digit);
    return {static_cast<size_t>(begin - file.begin()), static_cast<size_t>(end - begin)};
  }

  void change(std::string& file, const std::vector<std::string>& seeds) {
    const size_t at = place(file);
    const size_t length = std::min<size_t>(file.size() - at, 1 + below(64));
    switch (below(9)) {
      case 0:
        if (!file.empty()) file[at] = static_cast<char>(file[at] ^ (1 << below(8)));
        break;
      case 1:
        if (!file.empty()) file[at] = static_cast<char>(below(256));
        break;
      case 2:
        file.resize(at);
        break;
      case 3:
        file.erase(at, length);
        break;
      case 4:
        file.insert(at, file.substr(at, length));
        break;
      case 5:
        file.insert(at, words[below(words.size())]);
        break;
      case 6: {
        const auto [begin, digits] = number_after(file, at);
        file.replace(begin, digits, words[below(words.size())]);
        break;
      }
      case 7: {
        const auto& other = seeds[below(seeds.size())];
        file.insert(at, other.substr(place(other), 1 + below(200)));
        break;
      }
      default: // the length of a header, or the beginning of a document
        for (size_t i = 0; i < std::min<size_t>(8, file.size()); ++i) {
          if (below(3) == 0) file[i] = static_cast<char>(below(2) == 0 ? 0xff : below(256));
        }
    }
  }

private:
  random_key key_;
  uint64_t next_ = 0;
};

} // namespace

std::string mutate(const std::vector<std::string>& seeds, uint64_t seed, uint32_t round) {
  damage by(seed, round);
  std::string file = seeds[by.below(seeds.size())];
  const uint64_t changes = 1 + by.below(8);
  for (uint64_t i = 0; i < changes; ++i) by.change(file, seeds);
  return file;
}

} // namespace troupe::fuzz
