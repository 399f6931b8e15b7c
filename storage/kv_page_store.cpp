// Names, the key, and the moves of files.
#include "storage/kv_page_store.hpp"

#include "base/text.hpp"
#include "storage/sealed_file.hpp"

#include <algorithm>
#include <array>

namespace troupe::storage {
namespace {

constexpr file_kind key_kind = {.magic = "TRPKVKEY", .version = 1};
constexpr const char* key_name = "key";
constexpr const char* new_key_name = "key.new";
constexpr const char* new_page_name = "page.new";
constexpr size_t key_bytes = 16;

uint64_t number_at(std::span<const std::byte> from) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value |= std::to_integer<uint64_t>(from[i]) << (8 * i);
  return value;
}

} // namespace

result<kv_page_store::contents> kv_page_store::open(const hash_key& fresh_key) {
  contents out;
  (void)folder_.remove(new_page_name); // of a write that never ended
  (void)folder_.remove(new_key_name);
  const auto names = folder_.list();
  if (!names) return fail(names.error());
  for (const auto& name : *names)
    if (const auto page = parse_kv_page_name(name)) out.pages.push_back(*page);
  auto key = load_key();
  if (key) {
    out.key = *key;
  } else {
    const auto code = key.error().code();
    if (code != status_code::not_found && code != status_code::corrupt &&
        code != status_code::unsupported)
      return fail(key.error());
    if (auto stored = store_key(fresh_key); !stored.ok()) return fail(std::move(stored));
    out.key = fresh_key;
    out.unreadable = out.pages.size();
    for (const auto& page : out.pages) (void)remove(page);
    out.pages.clear();
  }
  std::sort(out.pages.begin(), out.pages.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  return out;
}

status kv_page_store::write(const kv_page_name& name, std::span<const std::byte> file) {
  auto done = folder_.write(new_page_name, file);
  if (done.ok()) done = folder_.rename(new_page_name, to_file_name(name));
  if (!done.ok()) (void)folder_.remove(new_page_name);
  return done;
}

result<std::vector<std::byte>> kv_page_store::read(const kv_page_name& name) {
  return folder_.read(to_file_name(name));
}

status kv_page_store::remove(const kv_page_name& name) {
  return folder_.remove(to_file_name(name));
}

result<hash_key> kv_page_store::load_key() {
  const auto file = folder_.read(key_name);
  if (!file) return fail(file.error());
  const auto content = unseal(key_kind, *file);
  if (!content) return fail(content.error().within(key_name));
  if (content->size() != key_bytes)
    return fail(status_code::corrupt, text(key_name, ": holds ", content->size(), " bytes"));
  return hash_key{number_at(*content), number_at(content->subspan(8))};
}

status kv_page_store::store_key(const hash_key& key) {
  std::array<std::byte, key_bytes> content;
  for (size_t i = 0; i < 8; ++i) {
    content[i] = static_cast<std::byte>(key.first >> (8 * i));
    content[8 + i] = static_cast<std::byte>(key.second >> (8 * i));
  }
  TROUPE_RETURN_IF_ERROR(folder_.write(new_key_name, seal(key_kind, content)));
  TROUPE_RETURN_IF_ERROR(folder_.sync(new_key_name));
  TROUPE_RETURN_IF_ERROR(folder_.rename(new_key_name, key_name));
  return folder_.sync_directory();
}

} // namespace troupe::storage
