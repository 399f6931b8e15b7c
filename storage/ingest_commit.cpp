// A sealed file of one number.
#include "storage/ingest_commit.hpp"

#include "storage/sealed_file.hpp"

#include <array>
#include <string>

namespace troupe::storage {
namespace {

constexpr file_kind kind{.magic = "TRPCOMMT", .version = 1};
constexpr const char* scratch_name = "committed.new";

} // namespace

status write_ingest_commit(disk& folder, uint64_t offset) {
  std::array<std::byte, 8> content;
  for (size_t i = 0; i < content.size(); ++i)
    content[i] = static_cast<std::byte>(offset >> (8 * i));
  TROUPE_RETURN_IF_ERROR(folder.write(scratch_name, seal(kind, content)));
  TROUPE_RETURN_IF_ERROR(folder.sync(scratch_name));
  TROUPE_RETURN_IF_ERROR(folder.rename(scratch_name, std::string(ingest_commit_name)));
  return folder.sync_directory();
}

result<uint64_t> read_ingest_commit(disk& folder) {
  const std::string name(ingest_commit_name);
  const auto bytes = folder.read(name);
  if (!bytes && bytes.error().code() == status_code::not_found) return 0;
  if (!bytes) return fail(bytes.error());
  const auto content = unseal(kind, *bytes);
  if (!content) return fail(content.error().within(name));
  if (content->size() != 8) return fail(status_code::corrupt, name + ": holds no offset");
  uint64_t out = 0;
  for (size_t i = 0; i < 8; ++i) out |= std::to_integer<uint64_t>((*content)[i]) << (8 * i);
  return out;
}

} // namespace troupe::storage
