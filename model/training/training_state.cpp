// Hashing and comparing lists of parts.
#include "model/training/training_state.hpp"

#include "base/text.hpp"
#include "schemas/checksum.hpp"

#include <algorithm>
#include <map>

namespace troupe::model {

uint64_t hash_of(std::span<const state_part> parts) {
  std::vector<uint64_t> words = {parts.size()};
  for (const auto& part : parts) {
    words.push_back(schemas::checksum_of(std::as_bytes(std::span(part.name))));
    words.push_back(part.bytes.size());
    words.push_back(schemas::checksum_of(part.bytes));
  }
  return schemas::checksum_of(std::as_bytes(std::span(words)));
}

std::string hash_text(uint64_t hash) {
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[hash >> shift & 15];
  return out;
}

status check_parts(std::span<const state_part> given, std::span<const state_part> wanted) {
  std::map<std::string, size_t> sizes;
  for (const auto& part : given) {
    if (!sizes.emplace(part.name, part.bytes.size()).second)
      return status(status_code::corrupt, text("state: ", part.name, " is there twice"));
  }
  for (const auto& part : wanted) {
    const auto found = sizes.extract(part.name);
    if (found.empty())
      return status(status_code::corrupt, text("state: ", part.name, " is missing"));
    if (found.mapped() != part.bytes.size()) {
      return status(status_code::corrupt, text("state: ", part.name, " has ", found.mapped(),
                                               " bytes, not ", part.bytes.size()));
    }
  }
  if (sizes.empty()) return {};
  return status(status_code::corrupt,
                text("state: ", sizes.begin()->first, " belongs to another run"));
}

const state_part* find_part(std::span<const state_part> parts, const std::string& name) {
  const auto found =
      std::find_if(parts.begin(), parts.end(), [&](const auto& part) { return part.name == name; });
  return found == parts.end() ? nullptr : &*found;
}

} // namespace troupe::model
