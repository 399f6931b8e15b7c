// Chooses by step; what cannot be had is said with what can.
#include "cli/checkpoint_folder.hpp"

#include "base/text.hpp"
#include "model/training/training_state.hpp"

#include <algorithm>
#include <filesystem>

namespace troupe::cli {
namespace {

std::string steps_of(std::span<const storage::checkpoint_entry> entries) {
  if (entries.empty()) return "there is none";
  std::string out = "there are those of steps";
  const size_t first = entries.size() > 10 ? entries.size() - 10 : 0;
  if (first > 0) out += " …";
  for (size_t i = first; i < entries.size(); ++i) out += text(' ', entries[i].step);
  return out;
}

} // namespace

result<checkpoint_folder> checkpoint_folder::open(const std::string& path, purpose what_for) {
  std::error_code ignored;
  if (what_for != purpose::make && !std::filesystem::is_directory(path, ignored))
    return fail(status_code::not_found, text(path, ": there is no such folder"));
  auto disk = what_for == purpose::look ? storage::posix_disk::open_to_read(path)
                                        : storage::posix_disk::open(path);
  if (!disk) return fail(disk.error());
  return checkpoint_folder(path, std::move(*disk));
}

result<storage::loaded_checkpoint> checkpoint_folder::read(std::optional<uint64_t> step,
                                                           std::vector<status>& passed) {
  if (!step) {
    auto newest = store_->read_newest(passed);
    if (!newest) return fail(newest.error().within(path_));
    return newest;
  }
  const auto entries = store_->list();
  if (!entries) return fail(entries.error());
  const auto has_step = [&](const auto& entry) { return entry.step == *step; };
  if (std::ranges::none_of(*entries, has_step))
    return fail(status_code::not_found,
                text(path_, ": has no checkpoint of step ", *step, "; ", steps_of(*entries)));
  status why;
  for (const auto& entry : *entries) { // two of one step if the run was told to do it again
    if (!has_step(entry)) continue;
    auto loaded = store_->read(entry);
    if (loaded) return loaded;
    why = loaded.error();
  }
  return fail(why.within(path_));
}

std::string state_text(uint64_t hash) {
  return model::hash_text(hash);
}

} // namespace troupe::cli
