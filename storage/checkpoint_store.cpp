// The order of calls is the whole point: see the header.
#include "storage/checkpoint_store.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <map>
#include <new>

namespace troupe::storage {
namespace {

// Of the chunks that a checkpoint shares with earlier ones every n-th is read again, another one at
// each write: rot is found, and the chunk written anew, within this many checkpoints.
constexpr uint64_t recheck_every = 16;

bool is_damage(const status& why) {
  return why.code() == status_code::corrupt || why.code() == status_code::not_found;
}

} // namespace

// ---- what was loaded ----

std::vector<checkpoint_part> loaded_checkpoint::parts() const {
  std::vector<checkpoint_part> out;
  size_t at = 0;
  for (const auto& part : manifest.parts) {
    out.push_back({part.name, std::span(bytes).subspan(at, part.bytes)});
    at += part.bytes;
  }
  return out;
}

checkpoint_info loaded_checkpoint::info() const {
  return {.step = manifest.step,
          .state_hash = manifest.state_hash,
          .score = manifest.score,
          .settings = manifest.settings};
}

// ---- writing ----

struct checkpoint_store::writing {
  schemas::checkpoint_manifest manifest;
  checkpoint_written figures;
  std::vector<std::string> created; // were not there before
};

result<checkpoint_written> checkpoint_store::write(const checkpoint_info& info,
                                                   std::span<const checkpoint_part> parts) {
  writing to;
  to.manifest = {.step = info.step,
                 .state_hash = info.state_hash,
                 .score = info.score,
                 .settings = info.settings,
                 .parts = {},
                 .chunks = {}};
  for (const auto& part : parts) to.manifest.parts.push_back({part.name, part.bytes.size()});
  ++writes_;
  bool moved = false;
  const status done = [&] {
    TROUPE_RETURN_IF_ERROR(cut_into_chunks(
        parts, sizes_, [&](std::span<const std::byte> bytes) { return put_chunk(bytes, to); }));
    TROUPE_RETURN_IF_ERROR(folder_.sync_directory());
    auto file = put_manifest(to.manifest, moved);
    if (!file) return file.error();
    to.figures.file = std::move(*file);
    return status();
  }();
  if (done.ok()) return to.figures;
  // Once the manifest may be in its place its chunks must stay.
  if (!moved) forget(to.created);
  return fail(done.within(text("checkpoint of step ", info.step)));
}

status checkpoint_store::put_chunk(std::span<const std::byte> bytes, writing& to) {
  const schemas::checkpoint_chunk chunk{.hash = hash_of_chunk(bytes), .bytes = bytes.size()};
  const std::string name = to_file_name(chunk.hash);
  const size_t index = to.manifest.chunks.size();
  to.manifest.chunks.push_back(chunk);
  to.figures.bytes += bytes.size();
  ++to.figures.chunks;
  if (trusted_.contains(name) && (index + writes_) % recheck_every != 0) return {};
  const auto there = read_chunk(chunk);
  if (!there) {
    trusted_.erase(name);
    // Whatever is wrong with the old one; noted first: it may be there although the disk says no.
    if (there.error().code() == status_code::not_found) to.created.push_back(name);
    TROUPE_RETURN_IF_ERROR(put_file(name, bytes));
    to.figures.new_bytes += bytes.size();
    ++to.figures.new_chunks;
  }
  trusted_.insert(name);
  return {};
}

result<std::string> checkpoint_store::put_manifest(const schemas::checkpoint_manifest& manifest,
                                                   bool& moved) {
  const auto file = make_manifest_file(manifest);
  if (!file) return fail(file.error());
  if (auto put = put_file(file->name, file->bytes, &moved); !put.ok()) return fail(std::move(put));
  if (auto synced = folder_.sync_directory(); !synced.ok()) return fail(std::move(synced));
  return file->name;
}

// Beside its place, synced, then moved: a name means a whole file.
status checkpoint_store::put_file(const std::string& name, std::span<const std::byte> bytes,
                                  bool* moved) {
  const std::string unfinished = text(name, unfinished_suffix);
  const status written = [&] {
    TROUPE_RETURN_IF_ERROR(folder_.write(unfinished, bytes));
    return folder_.sync(unfinished);
  }();
  if (!written.ok()) {
    (void)folder_.remove(unfinished);
    return written;
  }
  if (moved != nullptr) *moved = true;
  status renamed = folder_.rename(unfinished, name);
  if (!renamed.ok()) (void)folder_.remove(unfinished);
  return renamed;
}

void checkpoint_store::forget(const std::vector<std::string>& chunks) {
  for (const auto& name : chunks) {
    trusted_.erase(name);
    (void)folder_.remove(name);
  }
}

// ---- reading ----

result<std::vector<checkpoint_entry>> checkpoint_store::list() {
  const auto names = folder_.list(); // sorted, and so by step
  if (!names) return fail(names.error());
  std::vector<checkpoint_entry> out;
  for (const auto& name : *names) {
    const auto parsed = parse_manifest_name(name);
    if (!parsed) continue;
    checkpoint_entry entry{.file = name, .step = parsed->step, .manifest = {}, .damage = {}};
    const auto bytes = folder_.read(name);
    auto manifest = bytes ? read_manifest_file(name, *bytes)
                          : result<schemas::checkpoint_manifest>(fail(bytes.error()));
    if (manifest)
      entry.manifest = std::move(*manifest);
    else
      entry.damage = manifest.error();
    out.push_back(std::move(entry));
  }
  return out;
}

result<std::vector<std::byte>> checkpoint_store::read_chunk(
    const schemas::checkpoint_chunk& chunk) {
  const std::string name = to_file_name(chunk.hash);
  auto bytes = folder_.read(name);
  if (!bytes) return bytes;
  if (bytes->size() != chunk.bytes)
    return fail(status_code::corrupt,
                text(name, ": has ", bytes->size(), " bytes instead of ", chunk.bytes));
  if (hash_of_chunk(*bytes) != chunk.hash)
    return fail(status_code::corrupt, text(name, ": its bytes have changed since it was written"));
  return bytes;
}

result<loaded_checkpoint> checkpoint_store::read(const checkpoint_entry& entry) {
  if (!entry.manifest) return fail(entry.damage);
  try {
    loaded_checkpoint out;
    out.file = entry.file;
    out.manifest = *entry.manifest;
    for (const auto& chunk : entry.manifest->chunks) {
      const auto bytes = read_chunk(chunk);
      if (!bytes) {
        trusted_.erase(to_file_name(chunk.hash));
        return fail(bytes.error().within(entry.file));
      }
      out.bytes.insert(out.bytes.end(), bytes->begin(), bytes->end());
      trusted_.insert(to_file_name(chunk.hash));
    }
    return out;
  } catch (const std::bad_alloc&) {
    return fail(status_code::exhausted,
                text(entry.file, ": no memory for its ", entry.manifest->bytes(), " bytes"));
  }
}

result<loaded_checkpoint> checkpoint_store::read_newest(std::vector<status>& passed) {
  const auto entries = list();
  if (!entries) return fail(entries.error());
  for (auto entry = entries->rbegin(); entry != entries->rend(); ++entry) {
    auto loaded = read(*entry);
    if (loaded || loaded.error().code() == status_code::exhausted) return loaded;
    passed.push_back(loaded.error());
  }
  if (entries->empty()) return fail(status_code::not_found, "there is no checkpoint");
  return fail(status_code::not_found,
              text("none of ", entries->size(),
                   " checkpoints is intact; of the newest: ", passed.front().why()));
}

// Whether it could be restored; chunks that are trusted are not read.
status checkpoint_store::check(const checkpoint_entry& entry) {
  if (!entry.manifest) return entry.damage;
  for (const auto& chunk : entry.manifest->chunks) {
    const std::string name = to_file_name(chunk.hash);
    if (trusted_.contains(name)) continue;
    const auto bytes = read_chunk(chunk);
    if (!bytes) return bytes.error().within(entry.file);
    trusted_.insert(name);
  }
  return {};
}

result<checkpoint_scrub> checkpoint_store::scrub() {
  const auto entries = list();
  if (!entries) return fail(entries.error());
  trusted_.clear();
  checkpoint_scrub out;
  std::map<std::string, bool> seen; // chunk, whole
  for (const auto& entry : *entries) {
    ++out.checkpoints;
    bool intact = entry.manifest.has_value();
    if (!intact) out.damages.push_back(entry.damage);
    for (const auto& chunk : intact ? entry.manifest->chunks : decltype(entry.manifest->chunks)()) {
      const std::string name = to_file_name(chunk.hash);
      const auto [at, fresh] = seen.emplace(name, false);
      if (fresh) {
        const auto bytes = read_chunk(chunk);
        at->second = bytes.has_value();
        if (bytes) {
          trusted_.insert(name);
          out.bytes += bytes->size();
          ++out.chunks;
        } else {
          out.damages.push_back(bytes.error());
        }
      }
      intact = intact && at->second;
    }
    if (!intact) out.damaged.push_back(entry.file);
  }
  const auto names = folder_.list();
  if (!names) return fail(names.error());
  for (const auto& name : *names)
    if (is_chunk_name(name) && !seen.contains(name)) ++out.orphans;
  return out;
}

// ---- removing ----

result<checkpoint_pruned> checkpoint_store::prune(const checkpoint_retention& rule) {
  const auto entries = list();
  if (!entries) return fail(entries.error());
  std::vector<retained_checkpoint> facts;
  for (const auto& entry : *entries) {
    const status found = check(entry);
    if (!found.ok() && !is_damage(found)) return fail(found); // who knows what it is
    facts.push_back({.step = entry.step,
                     .intact = found.ok(),
                     .score = entry.manifest ? entry.manifest->score : std::nullopt});
  }
  std::vector<std::string> manifests;
  for (const size_t index : checkpoints_to_remove(facts, rule))
    manifests.push_back((*entries)[index].file);
  return remove_named(manifests, *entries);
}

result<checkpoint_pruned> checkpoint_store::remove(std::span<const std::string> manifests) {
  const auto entries = list();
  if (!entries) return fail(entries.error());
  return remove_named(manifests, *entries);
}

result<checkpoint_pruned> checkpoint_store::remove_named(
    std::span<const std::string> manifests, std::span<const checkpoint_entry> entries) {
  std::set<std::string> named; // chunks of those that stay
  for (const auto& entry : entries) {
    // What it names is not known, perhaps to be read tomorrow or by a newer program.
    if (!entry.manifest && !is_damage(entry.damage)) return fail(entry.damage);
    if (!entry.manifest || std::ranges::find(manifests, entry.file) != manifests.end()) continue;
    for (const auto& chunk : entry.manifest->chunks) named.insert(to_file_name(chunk.hash));
  }
  checkpoint_pruned out;
  for (const auto& file : manifests) {
    if (auto gone = folder_.remove(file); !gone.ok()) return fail(std::move(gone));
    out.manifests.push_back(file);
  }
  // A manifest that a crash brings back must find its chunks.
  if (auto synced = folder_.sync_directory(); !synced.ok()) return fail(std::move(synced));
  const auto names = folder_.list();
  if (!names) return fail(names.error());
  for (const auto& name : *names) {
    const bool unfinished = name.ends_with(unfinished_suffix);
    if (!unfinished && (!is_chunk_name(name) || named.contains(name))) continue;
    trusted_.erase(name);
    if (auto gone = folder_.remove(name); !gone.ok()) return fail(std::move(gone));
    ++(unfinished ? out.unfinished : out.chunks);
  }
  return out;
}

} // namespace troupe::storage
