// What is read keeps the rules and survives a second trip; the seal that would keep damage out is
// left away.
#include "tests/fuzz/checkpoint_target.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "schemas/checkpoint_codec.hpp"
#include "tests/fuzz/wire_targets.hpp"

namespace troupe::fuzz {
namespace {

void try_manifest(std::span<const std::byte> bytes) {
  const auto manifest = schemas::decode_checkpoint_manifest(bytes);
  if (!manifest) {
    TROUPE_CHECK(!manifest.error().why().empty());
    return;
  }
  TROUPE_CHECK(schemas::validate(*manifest).ok());
  const auto again = schemas::encode_checkpoint_manifest(*manifest);
  TROUPE_CHECK(again.has_value());
  const auto same = schemas::decode_checkpoint_manifest(*again);
  TROUPE_CHECK(same.has_value() && *same == *manifest);
}

} // namespace

void read_manifest(std::span<const std::byte> bytes) {
  try_manifest(bytes);
  try_manifest(as_message(bytes));
}

std::vector<std::string> manifest_seeds() {
  std::vector<std::string> out;
  for (uint64_t parts = 0; parts < 12; ++parts) {
    schemas::checkpoint_manifest manifest;
    manifest.step = parts * 100;
    manifest.state_hash = parts << 40;
    if (parts % 2 == 0) manifest.score = 0.5 * static_cast<double>(parts);
    for (uint64_t i = 0; i < parts; ++i) {
      manifest.settings.push_back({text("setting-", i), text(i * i)});
      manifest.parts.push_back({text("value/layers.", i, ".weight"), i * 10});
      if (i > 0) manifest.chunks.push_back({.hash = {.high = i, .low = ~i}, .bytes = i * 10});
    }
    const auto bytes = schemas::encode_checkpoint_manifest(manifest).value();
    out.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return out;
}

} // namespace troupe::fuzz
