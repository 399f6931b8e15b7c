// Digits by hand: a name is read back only in the very form in which it is written.
#include "storage/checkpoint_files.hpp"

#include "base/text.hpp"
#include "schemas/checksum.hpp"
#include "storage/sealed_file.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace troupe::storage {
namespace {

constexpr file_kind manifest_kind = {.magic = "TRPCHKPT", .version = 1};
constexpr std::string_view chunk_prefix = "chunk-";
constexpr std::string_view manifest_prefix = "manifest-";
constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr size_t hex_length = 16, step_length = 20;

std::string hex_of(uint64_t value) {
  std::string out(hex_length, '0');
  for (size_t i = 0; i < hex_length; ++i)
    out[hex_length - 1 - i] = hex_digits[(value >> (4 * i)) & 15];
  return out;
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of(hex_digits) == std::string_view::npos;
}

} // namespace

schemas::chunk_hash hash_of_chunk(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {.high = hash.high64, .low = hash.low64};
}

std::string to_file_name(const schemas::chunk_hash& hash) {
  return text(chunk_prefix, hex_of(hash.high), hex_of(hash.low));
}

bool is_chunk_name(std::string_view name) {
  return name.starts_with(chunk_prefix) && name.size() == chunk_prefix.size() + 2 * hex_length &&
         is_hex(name.substr(chunk_prefix.size()));
}

std::string to_file_name(const manifest_name& name) {
  const std::string step = std::to_string(name.step);
  return text(manifest_prefix, std::string(step_length - step.size(), '0'), step, '-',
              hex_of(name.checksum));
}

std::optional<manifest_name> parse_manifest_name(std::string_view name) {
  if (!name.starts_with(manifest_prefix)) return std::nullopt;
  const auto rest = name.substr(manifest_prefix.size());
  if (rest.size() != step_length + 1 + hex_length || rest[step_length] != '-') return std::nullopt;
  manifest_name out;
  for (const char digit : rest.substr(0, step_length)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    out.step = out.step * 10 + static_cast<uint64_t>(digit - '0');
  }
  for (const char digit : rest.substr(step_length + 1)) {
    const size_t value = hex_digits.find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    out.checksum = out.checksum << 4 | value;
  }
  if (to_file_name(out) != name) return std::nullopt; // more than 64 bits
  return out;
}

result<manifest_file> make_manifest_file(const schemas::checkpoint_manifest& manifest) {
  const auto content = schemas::encode_checkpoint_manifest(manifest);
  if (!content) return fail(content.error());
  manifest_file out;
  out.bytes = seal(manifest_kind, *content);
  out.name = to_file_name(
      manifest_name{.step = manifest.step, .checksum = schemas::checksum_of(out.bytes)});
  return out;
}

result<schemas::checkpoint_manifest> read_manifest_file(const std::string& name,
                                                        std::span<const std::byte> bytes) {
  const auto named = parse_manifest_name(name);
  if (!named) return fail(status_code::invalid_argument, text(name, ": is no name of a manifest"));
  const auto content = unseal(manifest_kind, bytes);
  if (!content) return fail(content.error().within(name));
  if (named->checksum != schemas::checksum_of(bytes))
    return fail(status_code::corrupt, text(name, ": holds another manifest than its name says"));
  auto manifest = schemas::decode_checkpoint_manifest(*content);
  if (!manifest) return fail(manifest.error().within(name));
  if (manifest->step != named->step)
    return fail(status_code::corrupt, text(name, ": is of step ", manifest->step));
  return manifest;
}

} // namespace troupe::storage
