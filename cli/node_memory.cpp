// A voter that forms a cluster stores its empty votes before its first incarnation, so that after a
// crash in between it still knows that it never voted.
#include "cli/node_memory.hpp"

#include "base/text.hpp"
#include "storage/node_store.hpp"
#include "storage/vote_store.hpp"

#include <algorithm>

namespace troupe::cli {
namespace {

status unreadable(const std::string& folder, const status& why) {
  return status(why.code(),
                text(folder, ": ", why.why(),
                     "; the node does not start with a memory it cannot trust. Repair the disk, or "
                     "remove that file: the node then asks the others what it knew"));
}

bool is_missing(const status& why) {
  return why.code() == status_code::not_found;
}

// Whether the votes are known; false when they are missing.
result<bool> recall_votes(storage::disk& disk, const node_memory_args& args, bool lived_before,
                          node_memory& out) {
  storage::vote_store votes(disk);
  auto stored = votes.load();
  if (stored) {
    out.votes = std::move(*stored);
    return true;
  }
  if (!is_missing(stored.error())) return fail(unreadable(args.folder, stored.error()));
  if (lived_before || !args.form) return false;
  if (auto s = votes.store(out.votes); !s.ok()) return fail(s.within(args.folder));
  return true;
}

} // namespace

result<node_memory> recall(storage::disk& disk, const node_memory_args& args) {
  node_memory out;
  storage::node_store lives(disk);
  const auto last = lives.load();
  if (!last && !is_missing(last.error())) return fail(unreadable(args.folder, last.error()));
  if (last && *last == UINT64_MAX)
    return fail(status_code::exhausted,
                text(args.folder, ": there is no incarnation after ", *last));
  if (args.voter) {
    const auto known = recall_votes(disk, args, last.has_value(), out);
    if (!known) return fail(known.error());
    out.remembers = *known;
    if (!*known)
      out.warning =
          text(args.folder,
               " holds no votes, so this voter asks the others what it knew and votes "
               "again when a majority of them has told it",
               last ? "" : "; when the cluster has never run before, start its voters with --form");
  }
  out.incarnation = std::max(last ? *last + 1 : 1, args.wall_ms);
  if (auto s = lives.store(out.incarnation); !s.ok()) return fail(s.within(args.folder));
  return out;
}

} // namespace troupe::cli
