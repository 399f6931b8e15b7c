// version.json and promoted.json, as they come and with a checksum that fits: a reader must not
// lean on it.
#include "tests/fuzz/weights_target.hpp"

#include "base/check.hpp"
#include "schemas/checksum.hpp"
#include "storage/weights_manifest.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>

namespace troupe::fuzz {
namespace {

void read_both(std::string_view content) {
  if (const auto manifest = storage::parse_manifest(content)) {
    auto again = *manifest;
    const auto same = storage::parse_manifest(storage::to_text(again));
    TROUPE_CHECK(same.has_value() && *same == again);
  } else {
    TROUPE_CHECK(!manifest.error().why().empty());
  }
  if (const auto record = storage::parse_promotions(content)) {
    const auto same = storage::parse_promotions(storage::to_text(*record));
    TROUPE_CHECK(same.has_value() && *same == *record);
  } else {
    TROUPE_CHECK(!record.error().why().empty());
  }
}

} // namespace

void read_published_weights(std::span<const std::byte> bytes) {
  const std::string_view content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  read_both(content);
  auto mended = nlohmann::json::parse(content, nullptr, false);
  if (!mended.is_object()) return;
  mended.erase("checksum");
  const std::string rest = mended.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::array<char, 17> digits{};
  std::snprintf(
      digits.data(), digits.size(), "%016llx",
      static_cast<unsigned long long>(schemas::checksum_of(std::as_bytes(std::span(rest)))));
  mended["checksum"] = digits.data();
  read_both(mended.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::vector<std::string> published_weights_seeds() {
  storage::weights_manifest manifest;
  manifest.version = 7;
  manifest.parent = 6;
  manifest.step = 1200;
  manifest.state = "0123abcd";
  manifest.held_out = {{"tales", 1.25}, {"german", 2.5}};
  manifest.refused = {"domain german: got worse"};
  manifest.files = {{"config.json", 10, 1}, {"model.safetensors", 1000, 2}};
  storage::promotion_record record;
  record.chain = {1, 6, 7};
  record.history = {{1, false, "first", 100}, {6, false, "", 200}, {1, true, "worse", 300}};
  return {storage::to_text(manifest), storage::to_text(record)};
}

} // namespace troupe::fuzz
