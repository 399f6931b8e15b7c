// Published weights: after a crash at any point promoted.json is the old or the new one, and what
// is foreign, damaged or half written is named and refused.
#include "storage/weights_registry.hpp"

#include "storage/memory_file_system.hpp"
#include "tests/unit/storage/crashing_disk.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe::storage {
namespace {

using trouble = crashing_disk::trouble;

// All folders on one disk that can crash; files of a folder are named "folder/file" there.
class machine {
public:
  crashing_disk& disk() { return disk_; }
  const file_system& files() {
    refresh();
    return files_;
  }
  // What the disk holds, for the readers.
  void refresh() {
    std::set<std::string> now;
    for (const auto& [name, bytes] : disk_.files()) {
      files_.put(name, std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
      now.insert(name);
    }
    for (const auto& name : shown_)
      if (now.count(name) == 0) files_.remove(name);
    shown_ = std::move(now);
  }
  weights_registry registry() {
    refresh();
    return weights_registry(
        files_,
        [this](const std::string& folder) -> result<std::unique_ptr<storage::disk>> {
          return std::make_unique<part>(*this, folder + "/");
        },
        "w");
  }

private:
  class part final : public storage::disk {
  public:
    part(machine& of, std::string prefix) : of_(of), prefix_(std::move(prefix)) {}
    result<std::vector<std::byte>> read(const std::string& name) override {
      return of_.disk_.read(prefix_ + name);
    }
    status write(const std::string& name, std::span<const std::byte> bytes) override {
      return shown(of_.disk_.write(prefix_ + name, bytes));
    }
    status append(const std::string& name, std::span<const std::byte> bytes) override {
      return shown(of_.disk_.append(prefix_ + name, bytes));
    }
    status sync(const std::string& name) override { return of_.disk_.sync(prefix_ + name); }
    status rename(const std::string& from, const std::string& to) override {
      return shown(of_.disk_.rename(prefix_ + from, prefix_ + to));
    }
    status remove(const std::string& name) override {
      return shown(of_.disk_.remove(prefix_ + name));
    }
    status sync_directory() override { return of_.disk_.sync_directory(); }
    result<std::vector<std::string>> list() override {
      std::vector<std::string> out;
      for (const auto& [name, bytes] : of_.disk_.files())
        if (name.starts_with(prefix_)) out.push_back(name.substr(prefix_.size()));
      return out;
    }

  private:
    status shown(status s) {
      of_.refresh();
      return s;
    }
    machine& of_;
    std::string prefix_;
  };

  crashing_disk disk_;
  memory_file_system files_;
  std::set<std::string> shown_;
};

std::vector<std::byte> bytes_of(std::string_view content) {
  const auto bytes = std::as_bytes(std::span(content));
  return {bytes.begin(), bytes.end()};
}

// Publishes a little model; the status says whether it got that far.
status publish(machine& on, std::string_view weights, weights_manifest facts = {}) {
  auto registry = on.registry();
  auto made = registry.begin();
  if (!made) return made.error();
  TROUPE_RETURN_IF_ERROR(made->folder->write("config.json", bytes_of("{}")));
  TROUPE_RETURN_IF_ERROR(made->folder->write("model.safetensors", bytes_of(weights)));
  const auto done = registry.publish(std::move(*made), std::move(facts));
  return done ? status() : done.error();
}

std::vector<lost_power> losses() {
  std::vector<lost_power> out;
  for (const auto bytes :
       {lost_power::contents::lost, lost_power::contents::torn, lost_power::contents::kept})
    for (const bool names_kept : {false, true}) out.push_back({bytes, names_kept});
  return out;
}

TEST(weights_registry, publishes_promotes_and_goes_back) {
  machine on;
  EXPECT_EQ(on.registry().promotions()->promoted(), 0u);
  ASSERT_TRUE(publish(on, "one").ok());
  ASSERT_TRUE(publish(on, "two", {.parent = 1, .step = 20, .held_out = {{"tales", 1.25}}}).ok());
  auto registry = on.registry();
  const auto listed = registry.list();
  ASSERT_TRUE(listed.has_value());
  ASSERT_EQ(listed->size(), 2u);
  EXPECT_EQ((*listed)[1].manifest.version, 2u);
  EXPECT_EQ((*listed)[1].manifest.parent, 1u);
  EXPECT_EQ((*listed)[1].manifest.held_out, (std::vector<held_out_figure>{{"tales", 1.25}}));
  EXPECT_NE((*listed)[0].manifest.checksum, (*listed)[1].manifest.checksum);

  EXPECT_EQ(registry.promote(1, "the first", 100)->promoted(), 1u);
  EXPECT_EQ(registry.promote(2, "better", 200)->chain, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(registry.promote(2, "again", 250)->history.size(), 2u) << "nothing has changed";
  EXPECT_EQ(registry.roll_back("worse", 300, 1)->promoted(), 2u) << "1 is not in force";
  EXPECT_EQ(registry.roll_back("worse", 300, 2)->promoted(), 1u);
  const auto record = registry.promotions();
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->history.back(), (promotion_event{1, true, "worse", 300}));
  EXPECT_EQ(registry.roll_back("more", 400).error().why(), "w: there is no version to go back to");
}

TEST(weights_registry, a_version_that_failed_its_gate_is_promoted_only_when_told_so) {
  machine on;
  ASSERT_TRUE(publish(on, "bad", {.refused = {"domain tales: got worse"}}).ok());
  auto registry = on.registry();
  const auto refused = registry.promote(1, "", 1);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().why(), "version 1 did not pass its gate: domain tales: got worse");
  EXPECT_TRUE(registry.promote(1, "", 1, true).has_value());
}

TEST(weights_registry, names_and_refuses_what_is_no_version) {
  machine on;
  for (const char* weights : {"one", "two", "three", "four"})
    ASSERT_TRUE(publish(on, weights).ok());
  auto& disk = on.disk();
  (void)disk.write("w/1/model.safetensors", bytes_of("0ne")); // damaged
  (void)disk.write("w/2/model.safetensors", bytes_of("tw"));  // cut off
  (void)disk.remove("w/3/model.safetensors");                 // lost
  (void)disk.write("w/5/config.json", bytes_of("{}"));        // half written
  (void)disk.rename("w/4/version.json", "w/6/version.json");  // a copy under another number
  (void)disk.write("w/notes/readme", bytes_of("hello"));      // foreign
  auto registry = on.registry();
  const auto why = [&](uint64_t version) { return registry.promote(version, "", 1).error().why(); };
  EXPECT_EQ(why(1), "w/1/model.safetensors: its checksum is not the one it was published with");
  EXPECT_EQ(why(2), "w/2/model.safetensors: has 2 bytes, was published with 3");
  EXPECT_NE(why(3).find("w/3/model.safetensors"), std::string::npos);
  EXPECT_EQ(why(5),
            "w/5/version.json: is not there: version 5 was never published, or not to its "
            "end");
  EXPECT_EQ(why(6), "w/6/version.json: field 'version' is 4; the folder was renamed, or is a copy");
  EXPECT_EQ(registry.promotions()->promoted(), 0u);
  const auto listed = registry.list();
  ASSERT_TRUE(listed.has_value());
  ASSERT_EQ(listed->size(), 7u);
  EXPECT_EQ(listed->back().name, "notes");
  EXPECT_FALSE(listed->back().why.ok());
  EXPECT_FALSE((*listed)[4].why.ok());
}

TEST(weights_registry, every_changed_byte_of_a_text_is_found) {
  machine on;
  ASSERT_TRUE(publish(on, "one", {.state = "abc", .held_out = {{"tales", 1.25}}}).ok());
  ASSERT_TRUE(on.registry().promote(1, "first", 7).has_value());
  for (const std::string path : {"w/1/version.json", "w/promoted.json"}) {
    const auto whole = on.disk().files().at(path);
    for (size_t at = 0; at < whole.size(); ++at) {
      const char was = static_cast<char>(whole[at]);
      if (was == ' ' || was == '\n') continue; // the same JSON, or cut off: below
      auto changed = whole;
      changed[at] ^= std::byte{1};
      (void)on.disk().write(path, changed);
      auto registry = on.registry();
      const bool refused =
          path == "w/promoted.json" ? !registry.promotions() : !registry.read(1).has_value();
      EXPECT_TRUE(refused) << path << " byte " << at;
      changed.assign(whole.begin(), whole.begin() + static_cast<long>(at));
      (void)on.disk().write(path, changed);
      auto again = on.registry();
      EXPECT_FALSE(path == "w/promoted.json" ? again.promotions().has_value()
                                             : again.read(1).has_value())
          << path << " cut at " << at;
    }
    (void)on.disk().write(path, whole);
  }
}

TEST(weights_registry, after_a_crash_anywhere_the_promoted_version_is_the_old_or_the_new_one) {
  for (const auto what : {trouble::crashes_before, trouble::crashes_after, trouble::fails}) {
    for (const auto& loss : losses()) {
      for (int at = 0;; ++at) {
        machine on;
        ASSERT_TRUE(publish(on, "one").ok());
        ASSERT_TRUE(publish(on, "two").ok());
        ASSERT_TRUE(on.registry().promote(1, "first", 1).has_value());
        auto registry = on.registry();
        on.disk().plan(what, at);
        const bool done = registry.promote(2, "second", 2).has_value();
        const bool troubled = on.disk().operations() > at;
        on.disk().restart(loss);
        auto after = on.registry();
        const auto record = after.promotions();
        ASSERT_TRUE(record.has_value()) << record.error().why();
        EXPECT_TRUE(record->promoted() == 2 || (!done && record->promoted() == 1)) << at;
        EXPECT_TRUE(after.verify(record->promoted()).has_value());
        EXPECT_EQ(after.promote(2, "again", 3)->promoted(), 2u);
        if (!troubled) break;
      }
    }
  }
}

TEST(weights_registry, after_a_crash_anywhere_a_version_is_whole_or_none) {
  for (const auto what : {trouble::crashes_before, trouble::crashes_after}) {
    for (const auto& loss : losses()) {
      for (int at = 0;; ++at) {
        machine on;
        ASSERT_TRUE(publish(on, "one").ok());
        on.disk().plan(what, at);
        const bool done = publish(on, "two").ok();
        const bool troubled = on.disk().operations() > at;
        on.disk().restart(loss);
        auto registry = on.registry();
        const bool is_there = registry.read(2).has_value();
        EXPECT_TRUE(is_there || !done);
        EXPECT_TRUE(!is_there || registry.verify(2).has_value()) << "operation " << at;
        ASSERT_TRUE(publish(on, "next").ok()) << "and the publisher goes on";
        if (!troubled) break;
      }
    }
  }
}

TEST(weights_registry, pruning_keeps_what_serves_and_the_way_back_and_never_uses_a_number_again) {
  machine on;
  for (const char* weights : {"1", "2", "3", "4", "5"}) ASSERT_TRUE(publish(on, weights).ok());
  auto registry = on.registry();
  ASSERT_TRUE(registry.promote(1, "", 1).has_value());
  ASSERT_TRUE(registry.promote(2, "", 1).has_value());
  EXPECT_EQ(*registry.prune(1), (std::vector<uint64_t>{3, 4}));
  EXPECT_TRUE(registry.verify(1) && registry.verify(2) && registry.verify(5));
  EXPECT_FALSE(registry.verify(3));
  EXPECT_EQ(registry.begin()->version, 6u);
}

TEST(weights_registry, refuses_what_is_no_model_and_what_is_published) {
  machine on;
  auto registry = on.registry();
  auto empty = registry.begin();
  EXPECT_FALSE(registry.publish(std::move(*empty), {}).has_value());
  ASSERT_TRUE(publish(on, "one").ok());
  weights_registry::candidate again{.version = 1, .path = "w/1", .folder = {}};
  again.folder = std::move(registry.begin()->folder);
  EXPECT_FALSE(registry.publish(std::move(again), {}).has_value());
}

} // namespace
} // namespace troupe::storage
