// Packed weights on disk: the next load takes them, and whatever is wrong with them only costs the
// packing.
#include "actors/weight_cache.hpp"

#include "actors/model_bundle.hpp"
#include "compute/cpu_executor.hpp"
#include "compute/weight.hpp"
#include "model/weights.hpp"
#include "schemas/checksum.hpp"
#include "storage/posix_disk.hpp"
#include "storage/posix_file_system.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

namespace troupe::actors {
namespace {

using compute::weight_format;

const std::string built_in_model = TROUPE_SOURCE_DIR "/models/tales";

// Counts what is packed.
class counting_executor final : public compute::executor {
public:
  result<compute::buffer> allocate(size_t bytes) override { return inner_->allocate(bytes); }
  result<compute::weight_matrix> load(const compute::matrix_source& source,
                                      weight_format format) override {
    ++packed;
    return inner_->load(source, format);
  }
  status submit(job work, completion done) override {
    return inner_->submit(std::move(work), std::move(done));
  }
  std::string description() const override { return inner_->description(); }
  uint32_t threads() const override { return 1; }

  size_t packed = 0;

private:
  std::unique_ptr<compute::executor> inner_ = *compute::make_cpu_executor({.threads = 1});
};

// A real folder whose disk is full after so many writes.
class small_disk final : public storage::disk {
public:
  small_disk(const std::string& folder, size_t& room)
      : inner_(*storage::posix_disk::open(folder)), room_(room) {}
  result<std::vector<std::byte>> read(const std::string& name) override {
    return inner_->read(name);
  }
  status write(const std::string& name, std::span<const std::byte> bytes) override {
    return within_room([&] { return inner_->write(name, bytes); });
  }
  status append(const std::string& name, std::span<const std::byte> bytes) override {
    return within_room([&] { return inner_->append(name, bytes); });
  }
  status sync(const std::string& name) override {
    return within_room([&] { return inner_->sync(name); });
  }
  status rename(const std::string& from, const std::string& to) override {
    return within_room([&] { return inner_->rename(from, to); });
  }
  status remove(const std::string& name) override { return inner_->remove(name); }
  status sync_directory() override { return inner_->sync_directory(); }
  result<std::vector<std::string>> list() override { return inner_->list(); }

private:
  template <class Act>
  status within_room(const Act& act) {
    if (room_ == 0) return status(status_code::exhausted, "no space left");
    --room_;
    return act();
  }
  std::unique_ptr<storage::disk> inner_;
  size_t& room_;
};

class weight_cache_test : public testing::Test {
protected:
  weight_cache_test() { std::filesystem::remove_all(folder); }
  ~weight_cache_test() override { std::filesystem::remove_all(folder); }

  std::shared_ptr<const model_bundle> load(bool cached = true) {
    model_bundle_options options;
    options.directory = directory;
    options.format = format;
    if (cached) options.weight_cache = folder;
    options.open_disk = [this](const std::string& in) -> result<std::unique_ptr<storage::disk>> {
      return std::make_unique<small_disk>(in, room);
    };
    executor.packed = 0;
    auto loaded = load_model_bundle(files, executor, options);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().why();
    return *loaded;
  }

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    if (!std::filesystem::exists(folder)) return out;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      out.push_back(entry.path().filename().string());
    return out;
  }
  std::string path() const { return folder + "/" + names().at(0); }

  // Of everything that was packed.
  static uint64_t sum_of(const model::model_weights& weights) {
    uint64_t sum = 0;
    const auto add = [&sum](const compute::weight_matrix& m) {
      for (const auto* part : {&m.values(), &m.scales()})
        sum = sum * 31 + schemas::checksum_of(std::span(part->data(), part->bytes()));
    };
    add(weights.embedding);
    add(weights.head_matrix());
    for (const auto& layer : weights.layers) {
      for (const auto* m : {&layer.attention.q, &layer.attention.k, &layer.attention.v,
                            &layer.attention.output, &layer.dense.gate, &layer.router.gate})
        add(*m);
      for (const auto& expert : layer.experts)
        for (const auto* m : {&expert.gate, &expert.up, &expert.down}) add(*m);
    }
    return sum;
  }

  const std::string folder = testing::TempDir() + "weight_cache_test";
  std::string directory = built_in_model;
  storage::posix_file_system files;
  counting_executor executor;
  std::optional<weight_format> format = weight_format::int8;
  size_t room = SIZE_MAX;
};

TEST_F(weight_cache_test, the_second_load_packs_nothing_and_has_the_same_bytes) {
  for (const auto each : {weight_format::int8, weight_format::int4, weight_format::bf16}) {
    format = each;
    const auto plain = load(false);
    EXPECT_GT(executor.packed, 0u);
    const auto first = load();
    EXPECT_GT(executor.packed, 0u);
    const auto second = load();
    EXPECT_EQ(executor.packed, 0u);
    EXPECT_EQ(sum_of(*first->weights), sum_of(*plain->weights));
    EXPECT_EQ(sum_of(*second->weights), sum_of(*plain->weights));
    EXPECT_EQ(second->fingerprint, plain->fingerprint);
  }
  EXPECT_EQ(names().size(), 3u);
}

TEST_F(weight_cache_test, damage_anywhere_is_found_and_mended) {
  const uint64_t right = sum_of(*load()->weights);
  const auto bytes = std::filesystem::file_size(path());
  for (const uint64_t at : {uint64_t{0}, uint64_t{9}, uint64_t{17}, uint64_t{25}, uint64_t{41},
                            bytes / 3, bytes / 2, bytes - 1}) {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(file.get() ^ 4);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
    file.close();
    EXPECT_EQ(sum_of(*load()->weights), right) << at;
    EXPECT_GT(executor.packed, 0u) << at;
    EXPECT_EQ(sum_of(*load()->weights), right) << at;
    EXPECT_EQ(executor.packed, 0u) << at;
  }
  for (const uint64_t length : {uint64_t{0}, uint64_t{10}, uint64_t{30}, bytes / 2, bytes - 1}) {
    std::filesystem::resize_file(path(), length);
    EXPECT_EQ(sum_of(*load()->weights), right) << length;
    EXPECT_GT(executor.packed, 0u) << length;
  }
}

// One weight of millions, where no sample of the fingerprint looks.
TEST_F(weight_cache_test, a_small_change_of_a_weight_file_is_seen) {
  directory = testing::TempDir() + "weight_cache_test_model";
  std::filesystem::remove_all(directory);
  std::filesystem::copy(built_in_model, directory, std::filesystem::copy_options::recursive);
  const auto before = load();
  load();
  EXPECT_EQ(executor.packed, 0u);
  {
    std::fstream file(directory + "/model.safetensors",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1001, std::ios::end);
    file.put(0x3c);
  }
  // Whatever the clock of the disk can tell apart.
  const auto name = std::filesystem::path(directory) / "model.safetensors";
  std::filesystem::last_write_time(
      name, std::filesystem::last_write_time(name) + std::chrono::milliseconds(20));
  const auto after = load();
  EXPECT_GT(executor.packed, 0u);
  EXPECT_NE(after->weights_changed_at, before->weights_changed_at);
  EXPECT_EQ(sum_of(*after->weights), sum_of(*load(false)->weights));
  load();
  EXPECT_EQ(executor.packed, 0u);
  std::filesystem::remove_all(directory);
}

TEST_F(weight_cache_test, a_disk_that_fills_up_leaves_nothing_behind_and_hurts_nobody) {
  const uint64_t right = sum_of(*load(false)->weights);
  for (const size_t writes : {size_t{0}, size_t{1}, size_t{2}, size_t{50}}) {
    room = writes;
    EXPECT_EQ(sum_of(*load()->weights), right);
    EXPECT_EQ(names(), std::vector<std::string>());
  }
  // To the last write but one, and to the rename.
  room = SIZE_MAX;
  load();
  const size_t needed = SIZE_MAX - room;
  std::filesystem::remove_all(folder);
  for (const size_t writes : {needed - 3, needed - 2, needed - 1}) {
    room = writes;
    EXPECT_EQ(sum_of(*load()->weights), right);
    EXPECT_EQ(names(), std::vector<std::string>()) << writes;
  }
}

TEST_F(weight_cache_test, a_folder_that_cannot_be_written_is_no_failure) {
  std::ofstream(folder) << "a file";
  model_bundle_options options;
  options.directory = built_in_model;
  options.weight_cache = folder;
  options.open_disk = [](const std::string& in) -> result<std::unique_ptr<storage::disk>> {
    return storage::posix_disk::open(in);
  };
  EXPECT_TRUE(load_model_bundle(files, executor, options).has_value());
}

// The bytes that packing makes are kept on disks: if this fails, raise packing_version and put the
// new numbers here.
TEST_F(weight_cache_test, packing_is_what_it_was) {
  std::vector<float> values(64 * 100);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<int>(i * 2654435761u % 2000) - 1000) / 512;
  std::vector<uint64_t> sums{packing_version};
  for (const auto each : {weight_format::f32, weight_format::bf16, weight_format::f16,
                          weight_format::int8, weight_format::int4}) {
    const auto made = compute::pack({.data = values.data(),
                                     .type = compute::dtype::f32,
                                     .rows = 100,
                                     .cols = 64,
                                     .row_stride = 64},
                                    each);
    ASSERT_TRUE(made.has_value());
    sums.push_back(schemas::checksum_of(std::span(made->values().data(), made->values().bytes())) ^
                   schemas::checksum_of(std::span(made->scales().data(), made->scales().bytes())));
  }
  EXPECT_EQ(sums, (std::vector<uint64_t>{1, 3534805284271956208u, 18382707146711459312u,
                                         3642654124892289247u, 12061740552949706495u,
                                         3264432351471095455u}));
}

} // namespace
} // namespace troupe::actors
