// Write aside, sync, rename over, sync the folder.
#include "storage/vote_store.hpp"

#include "base/mutant.hpp"
#include "schemas/frame_codec.hpp"
#include "storage/sealed_file.hpp"

#include <algorithm>

namespace troupe::storage {
namespace {

constexpr file_kind votes_kind = {.magic = "TRPVOTES", .version = 1};
constexpr const char* file_name = "votes";
constexpr const char* new_name = "votes.new";

result<schemas::acceptor_state> parse(std::span<const std::byte> file) {
  auto content = unseal(votes_kind, file);
  if (!content && TROUPE_MUTANT(vote_checksum_ignored))
    content = file.subspan(std::min(file.size(), seal_bytes));
  if (!content) return fail(content.error().within(file_name));
  auto state = schemas::decode_acceptor_state(*content);
  if (!state) return fail(state.error().within(file_name));
  return state;
}

} // namespace

result<schemas::acceptor_state> vote_store::load() {
  const auto bytes = folder_.read(file_name);
  // The rest of a store() that never ended. Nobody was promised what is in it, and the next store()
  // replaces it: that it can be removed does not matter.
  (void)folder_.remove(new_name);
  if (!bytes) return fail(bytes.error());
  auto state = parse(*bytes);
  if (!state) return state;
  // The file may be of a store() that was cut short before its last sync. What the voter now
  // answers from must not be taken back by a later crash.
  if (auto synced = folder_.sync(file_name); !synced.ok()) return fail(std::move(synced));
  if (auto synced = folder_.sync_directory(); !synced.ok()) return fail(std::move(synced));
  return state;
}

status vote_store::store(const schemas::acceptor_state& state) {
  const auto content = schemas::encode_acceptor_state(state);
  if (!content) return content.error();
  TROUPE_RETURN_IF_ERROR(folder_.write(new_name, seal(votes_kind, *content)));
  TROUPE_RETURN_IF_ERROR(folder_.sync(new_name));
  TROUPE_RETURN_IF_ERROR(folder_.rename(new_name, file_name));
  if (!TROUPE_MUTANT(rename_not_synced)) TROUPE_RETURN_IF_ERROR(folder_.sync_directory());
  return {};
}

} // namespace troupe::storage
