// A disk in memory that can fail or lose its power at any of its operations, and that forgets what
// was not synced.
#pragma once

#include "storage/disk.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace troupe::storage {

// What is left after a power cut of what nobody synced.
struct lost_power {
  enum class contents { lost, torn, kept } bytes;
  bool names_kept; // creations, renames and removals
};

class crashing_disk final : public disk {
public:
  enum class trouble { none, fails, crashes_before, crashes_after };

  // The operation number `at` (from 0) has the trouble; after a crash nothing works any more.
  void plan(trouble what, int at) {
    what_ = what;
    at_ = at;
    operations_ = 0;
  }
  int operations() const { return operations_; }
  bool crashed() const { return crashed_; }

  // What programs see now; no operation.
  std::map<std::string, std::vector<std::byte>> files() const {
    std::map<std::string, std::vector<std::byte>> out;
    for (const auto& [name, file] : names_) out.emplace(name, file->now);
    return out;
  }

  // The power is back.
  void restart(const lost_power& loss) {
    if (!loss.names_kept) names_ = synced_names_;
    for (auto& [name, file] : names_) {
      if (loss.bytes == lost_power::contents::lost) file->now = file->synced;
      // Half of what was written, then zeros. What is added to does not suffer.
      if (loss.bytes == lost_power::contents::torn && file->now != file->synced) {
        const bool added = file->now.size() > file->synced.size() &&
                           std::equal(file->synced.begin(), file->synced.end(), file->now.begin());
        const size_t safe = added ? file->synced.size() : 0;
        std::fill(file->now.begin() + static_cast<long>(safe + (file->now.size() - safe) / 2),
                  file->now.end(), std::byte{0});
      }
      file->synced = file->now;
    }
    synced_names_ = names_;
    crashed_ = false;
    plan(trouble::none, 0);
  }

  result<std::vector<std::byte>> read(const std::string& name) override {
    std::vector<std::byte> out;
    const auto state = operation(name, [&] { out = names_.at(name)->now; });
    if (!state.ok()) return fail(state);
    return out;
  }
  status write(const std::string& name, std::span<const std::byte> bytes) override {
    return operation("", [&] {
      auto& file = names_[name];
      if (!file) file = std::make_shared<content>();
      file->now.assign(bytes.begin(), bytes.end());
    });
  }
  status append(const std::string& name, std::span<const std::byte> bytes) override {
    return operation(name, [&] {
      auto& now = names_.at(name)->now;
      now.insert(now.end(), bytes.begin(), bytes.end());
    });
  }
  status sync(const std::string& name) override {
    return operation(name, [&] { names_.at(name)->synced = names_.at(name)->now; });
  }
  status rename(const std::string& from, const std::string& to) override {
    return operation(from, [&] {
      names_[to] = names_.at(from);
      names_.erase(from);
    });
  }
  status remove(const std::string& name) override {
    return operation(name, [&] { names_.erase(name); });
  }
  status sync_directory() override {
    return operation("", [&] { synced_names_ = names_; });
  }
  result<std::vector<std::string>> list() override {
    std::vector<std::string> out;
    for (const auto& [name, file] : names_) out.push_back(name);
    return out;
  }

private:
  struct content {
    std::vector<std::byte> now, synced;
  };
  // Shared by the present names and the synced ones: renaming does not copy a file.
  using names = std::map<std::string, std::shared_ptr<content>>;

  // `needed`: a file that must be there, or "".
  template <class Act>
  status operation(const std::string& needed, Act act) {
    const auto off = [] { return status(status_code::unavailable, "the power is off"); };
    if (crashed_) return off();
    const bool now = what_ != trouble::none && operations_++ == at_;
    if (what_ == trouble::none) ++operations_;
    if (now && what_ == trouble::fails) return status(status_code::unavailable, "an I/O error");
    crashed_ = now;
    if (now && what_ == trouble::crashes_before) return off();
    if (!needed.empty() && names_.count(needed) == 0)
      return status(status_code::not_found, needed + " is not there");
    act();
    return crashed_ ? off() : status();
  }

  names names_, synced_names_;
  trouble what_ = trouble::none;
  int at_ = 0;
  int operations_ = 0;
  bool crashed_ = false;
};

} // namespace troupe::storage
