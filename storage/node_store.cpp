// The same steps as for votes, for one number.
#include "storage/node_store.hpp"

#include "base/text.hpp"
#include "storage/sealed_file.hpp"

#include <array>
#include <cstddef>

namespace troupe::storage {
namespace {

constexpr file_kind incarnation_kind = {.magic = "TRPINCAR", .version = 1};
constexpr const char* file_name = "incarnation";
constexpr const char* new_name = "incarnation.new";
constexpr size_t number_bytes = 8;

} // namespace

result<uint64_t> node_store::load() {
  const auto bytes = folder_.read(file_name);
  // The rest of a store() that never ended; the next one replaces it if it cannot be removed.
  (void)folder_.remove(new_name);
  if (!bytes) return fail(bytes.error());
  const auto content = unseal(incarnation_kind, *bytes);
  if (!content) return fail(content.error().within(file_name));
  if (content->size() != number_bytes)
    return fail(status_code::corrupt,
                text(file_name, ": holds ", content->size(), " bytes instead of a number"));
  uint64_t incarnation = 0;
  for (size_t i = 0; i < number_bytes; ++i)
    incarnation |= std::to_integer<uint64_t>((*content)[i]) << (8 * i);
  return incarnation;
}

status node_store::store(uint64_t incarnation) {
  std::array<std::byte, number_bytes> content;
  for (size_t i = 0; i < number_bytes; ++i)
    content[i] = static_cast<std::byte>(incarnation >> (8 * i));
  TROUPE_RETURN_IF_ERROR(folder_.write(new_name, seal(incarnation_kind, content)));
  TROUPE_RETURN_IF_ERROR(folder_.sync(new_name));
  TROUPE_RETURN_IF_ERROR(folder_.rename(new_name, file_name));
  return folder_.sync_directory();
}

result<uint64_t> node_store::next_incarnation() {
  const auto last = load();
  if (!last && last.error().code() != status_code::not_found) return fail(last.error());
  if (last && *last == UINT64_MAX)
    return fail(status_code::exhausted, text(file_name, ": there is no number after ", *last));
  const uint64_t next = last ? *last + 1 : 1;
  if (auto stored = store(next); !stored.ok()) return fail(std::move(stored));
  return next;
}

} // namespace troupe::storage
