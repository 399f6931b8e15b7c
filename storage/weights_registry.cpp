// The same steps for both files: written beside, synced, renamed, and the folder synced.
#include "storage/weights_registry.hpp"

#include "base/text.hpp"
#include "schemas/checksum.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace troupe::storage {
namespace {

constexpr const char* version_file = "version.json";
constexpr const char* version_new = "version.json.new";
constexpr const char* promoted_file = "promoted.json";
constexpr const char* promoted_new = "promoted.json.new";

// 0: not the name of a version.
uint64_t number_of(std::string_view name) {
  uint64_t out = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out);
  if (error != std::errc{} || end != name.data() + name.size() || name.front() == '0') return 0;
  return out;
}

status replace(disk& folder, const char* name, const char* beside, const std::string& content) {
  TROUPE_RETURN_IF_ERROR(folder.write(beside, std::as_bytes(std::span(content))));
  TROUPE_RETURN_IF_ERROR(folder.sync(beside));
  TROUPE_RETURN_IF_ERROR(folder.rename(beside, name));
  return folder.sync_directory();
}

} // namespace

std::string weights_registry::path_of(uint64_t version) const {
  return text(folder_, "/", version);
}

// A folder that is not there yet is an empty one.
result<std::vector<std::string>> weights_registry::names() const {
  auto found = files_.list(folder_);
  if (!found && found.error().code() == status_code::not_found) return std::vector<std::string>();
  return found;
}

// ---- publishing ----

result<weights_registry::candidate> weights_registry::begin() {
  // Held while the number is taken, so that no other process takes the same.
  const auto lock = open_disk_(folder_);
  if (!lock) return fail(lock.error());
  const auto found = names();
  if (!found) return fail(found.error());
  candidate out;
  for (const auto& name : *found) out.version = std::max(out.version, number_of(name));
  ++out.version;
  out.path = path_of(out.version);
  auto folder = open_disk_(out.path);
  if (!folder) return fail(folder.error());
  out.folder = std::move(*folder);
  return out;
}

result<published_file> weights_registry::describe(const std::string& path,
                                                  const std::string& name) const {
  const auto mapped = files_.map(text(path, "/", name));
  if (!mapped) return fail(mapped.error());
  const auto bytes = (*mapped)->bytes();
  return published_file{name, bytes.size(), schemas::checksum_of(bytes)};
}

result<weights_manifest> weights_registry::publish(candidate made, weights_manifest facts) {
  const auto found = made.folder->list();
  if (!found) return fail(found.error());
  facts.version = made.version;
  facts.files.clear();
  bool weights = false, config = false;
  for (const auto& name : *found) {
    if (name == version_new) continue;
    if (name == version_file)
      return fail(status_code::invalid_argument,
                  text(made.path, ": is published already; versions never change"));
    if (auto s = made.folder->sync(name); !s.ok()) return fail(std::move(s));
    auto file = describe(made.path, name);
    if (!file) return fail(file.error());
    weights |= name.ends_with(".safetensors");
    config |= name == "config.json";
    facts.files.push_back(std::move(*file));
  }
  if (!weights || !config)
    return fail(status_code::invalid_argument,
                text(made.path, ": has no ", config ? "*.safetensors" : "config.json",
                     ", so it is no model to publish"));
  const std::string content = to_text(facts);
  if (auto s = made.folder->sync_directory(); !s.ok()) return fail(std::move(s));
  if (auto s = replace(*made.folder, version_file, version_new, content); !s.ok())
    return fail(s.within(made.path));
  return facts;
}

// ---- looking ----

result<weights_manifest> weights_registry::read(uint64_t version) const {
  const std::string path = text(path_of(version), "/", version_file);
  const auto content = files_.read_text(path, manifest_bytes_max);
  if (!content && content.error().code() == status_code::not_found)
    return fail(status_code::not_found, text(path, ": is not there: version ", version,
                                             " was never published, or not to its end"));
  if (!content) return fail(content.error());
  auto out = parse_manifest(*content);
  if (!out) return fail(out.error().within(path));
  if (out->version != version)
    return fail(status_code::corrupt, text(path, ": field 'version' is ", out->version,
                                           "; the folder was renamed, or is a copy"));
  return out;
}

result<weights_manifest> weights_registry::verify(uint64_t version) const {
  auto out = read(version);
  if (!out) return out;
  for (const auto& expected : out->files) {
    const std::string path = text(path_of(version), "/", expected.name);
    const auto found = describe(path_of(version), expected.name);
    if (!found) return fail(found.error());
    if (found->bytes != expected.bytes)
      return fail(status_code::corrupt, text(path, ": has ", found->bytes,
                                             " bytes, was published with ", expected.bytes));
    if (found->checksum != expected.checksum)
      return fail(status_code::corrupt,
                  text(path, ": its checksum is not the one it was published with"));
  }
  return out;
}

result<std::vector<weights_registry::listed>> weights_registry::list() const {
  const auto found = names();
  if (!found) return fail(found.error());
  std::vector<listed> versions, foreign;
  for (const auto& name : *found) {
    if (name == promoted_file || name == promoted_new) continue;
    const uint64_t number = number_of(name);
    if (number == 0) {
      foreign.push_back({name,
                         status(status_code::invalid_argument,
                                text(folder_, "/", name, ": is not the number of a version")),
                         {}});
      continue;
    }
    const auto inside = files_.list(path_of(number));
    if (inside && inside->empty()) continue; // pruned
    auto manifest = read(number);
    listed entry{name, manifest ? status() : manifest.error(), {}};
    if (manifest) entry.manifest = std::move(*manifest);
    versions.push_back(std::move(entry));
  }
  std::sort(versions.begin(), versions.end(),
            [](const listed& a, const listed& b) { return number_of(a.name) < number_of(b.name); });
  versions.insert(versions.end(), foreign.begin(), foreign.end());
  return versions;
}

result<promotion_record> weights_registry::promotions() const {
  const std::string path = text(folder_, "/", promoted_file);
  const auto content = files_.read_text(path, manifest_bytes_max);
  if (!content && content.error().code() == status_code::not_found) return promotion_record();
  if (!content) return fail(content.error());
  auto out = parse_promotions(*content);
  if (!out) return fail(out.error().within(path));
  return out;
}

// ---- deciding ----

status weights_registry::store(disk& folder, const promotion_record& record) const {
  const auto stored = replace(folder, promoted_file, promoted_new, to_text(record));
  return stored.ok() ? stored : stored.within(folder_);
}

result<promotion_record> weights_registry::promote(uint64_t version, std::string_view reason,
                                                   int64_t now, bool despite_gate) {
  const auto whole = verify(version);
  if (!whole) return fail(whole.error());
  if (!whole->refused.empty() && !despite_gate)
    return fail(status_code::invalid_argument,
                text("version ", version, " did not pass its gate: ", whole->refused.front()));
  const auto folder = open_disk_(folder_);
  if (!folder) return fail(folder.error());
  auto record = promotions();
  if (!record || record->promoted() == version) return record;
  record->chain.push_back(version);
  record->history.push_back({version, false, std::string(reason), now});
  if (auto s = store(**folder, *record); !s.ok()) return fail(std::move(s));
  return record;
}

result<promotion_record> weights_registry::roll_back(std::string_view reason, int64_t now,
                                                     uint64_t expected) {
  const auto folder = open_disk_(folder_);
  if (!folder) return fail(folder.error());
  auto record = promotions();
  if (!record || (expected != 0 && record->promoted() != expected)) return record;
  if (record->before() == 0)
    return fail(status_code::invalid_argument,
                text(folder_, ": there is no version to go back to"));
  const auto whole = verify(record->before());
  if (!whole) return fail(whole.error());
  record->chain.pop_back();
  record->history.push_back({record->promoted(), true, std::string(reason), now});
  if (auto s = store(**folder, *record); !s.ok()) return fail(std::move(s));
  return record;
}

result<std::vector<uint64_t>> weights_registry::prune(uint32_t keep) {
  const auto lock = open_disk_(folder_); // nobody promotes meanwhile
  if (!lock) return fail(lock.error());
  const auto record = promotions();
  if (!record) return fail(record.error());
  const auto found = list();
  if (!found) return fail(found.error());
  std::vector<uint64_t> versions;
  for (const auto& entry : *found)
    if (entry.why.ok()) versions.push_back(entry.manifest.version);
  std::vector<uint64_t> out;
  for (size_t i = 0; i + keep < versions.size(); ++i) {
    const uint64_t version = versions[i];
    if (version == record->promoted() || version == record->before()) continue;
    const auto folder = open_disk_(path_of(version));
    if (!folder) return fail(folder.error());
    // From the first removal on it is no version any more.
    if (auto s = (*folder)->remove(version_file); !s.ok()) return fail(std::move(s));
    if (auto s = (*folder)->sync_directory(); !s.ok()) return fail(std::move(s));
    const auto rest = (*folder)->list();
    if (!rest) return fail(rest.error());
    for (const auto& name : *rest)
      if (auto s = (*folder)->remove(name); !s.ok()) return fail(std::move(s));
    out.push_back(version);
  }
  return out;
}

} // namespace troupe::storage
