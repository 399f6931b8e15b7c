// Pages that outlive their process: an engine is ended and another one started on the same disk.
// Whatever the disk does, the answers are those of an engine without one.
#include "actors/kv_archive.hpp"
#include "actors/metrics_board.hpp"
#include "actors/node.hpp"
#include "actors/stage_memory.hpp"
#include "storage/posix_io_worker.hpp"
#include "tests/support/built_in_model.hpp"
#include "tests/unit/storage/crashing_disk.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <future>

namespace troupe::actors {
namespace {

using dataflow::stream_event;
using storage::crashing_disk;

constexpr std::string_view story =
    "Once upon a time there was a king who had three daughters, and the youngest of them was so "
    "beautiful that the sun itself, which has seen so much, was astonished whenever it shone in "
    "her face. Close by the castle lay a great dark forest, and under an old tree was a well.";

// What an engine owns while the disk itself stays with the test.
class borrowed_disk final : public storage::disk {
public:
  explicit borrowed_disk(storage::disk& of) : of_(of) {}
  result<std::vector<std::byte>> read(const std::string& name) override { return of_.read(name); }
  status write(const std::string& name, std::span<const std::byte> bytes) override {
    return of_.write(name, bytes);
  }
  status append(const std::string& name, std::span<const std::byte> bytes) override {
    return of_.append(name, bytes);
  }
  status sync(const std::string& name) override { return of_.sync(name); }
  status rename(const std::string& from, const std::string& to) override {
    return of_.rename(from, to);
  }
  status remove(const std::string& name) override { return of_.remove(name); }
  status sync_directory() override { return of_.sync_directory(); }
  result<std::vector<std::string>> list() override { return of_.list(); }

private:
  storage::disk& of_;
};

// Has no room for pages.
class full_disk final : public storage::disk {
public:
  result<std::vector<std::byte>> read(const std::string& name) override {
    return files_.read(name);
  }
  status write(const std::string& name, std::span<const std::byte> bytes) override {
    if (full && bytes.size() > 100) return status(status_code::exhausted, "no space");
    return files_.write(name, bytes);
  }
  status append(const std::string&, std::span<const std::byte>) override { return {}; }
  status sync(const std::string& name) override { return files_.sync(name); }
  status rename(const std::string& from, const std::string& to) override {
    return files_.rename(from, to);
  }
  status remove(const std::string& name) override { return files_.remove(name); }
  status sync_directory() override { return files_.sync_directory(); }
  result<std::vector<std::string>> list() override { return files_.list(); }
  bool full = true;

private:
  crashing_disk files_;
};

// Pages are read once the gate is open.
class gated_disk final : public storage::disk {
public:
  explicit gated_disk(storage::disk& of) : of_(of) {}
  result<std::vector<std::byte>> read(const std::string& name) override {
    if (storage::parse_kv_page_name(name)) open_.wait();
    return of_.read(name);
  }
  status write(const std::string& name, std::span<const std::byte> bytes) override {
    return of_.write(name, bytes);
  }
  status append(const std::string&, std::span<const std::byte>) override { return {}; }
  status sync(const std::string& name) override { return of_.sync(name); }
  status rename(const std::string& from, const std::string& to) override {
    return of_.rename(from, to);
  }
  status remove(const std::string& name) override { return of_.remove(name); }
  status sync_directory() override { return of_.sync_directory(); }
  result<std::vector<std::string>> list() override { return of_.list(); }

  std::promise<void> gate;

private:
  storage::disk& of_;
  std::shared_future<void> open_ = gate.get_future();
};

dataflow::generation_request ask(std::string_view prompt, std::string salt = "") {
  dataflow::generation_request request;
  request.prompt = tests::built_in_model()->tokenizer->encode(prompt).value();
  request.sampling.temperature = 0.8f;
  request.sampling.seed = 7;
  request.tokens_max = 24;
  request.ignore_eos = true;
  request.cache_salt = std::move(salt);
  return request;
}

class kv_persistence_test : public testing::Test {
protected:
  crashing_disk disk;
  node_options options{.page_tokens = 8};
  uint64_t bytes_max = uint64_t{1} << 30;

  std::unique_ptr<engine> start(storage::disk* on = nullptr) {
    static const system_clock time;
    kv_persistence kept;
    kept.disk = std::make_unique<borrowed_disk>(on == nullptr ? disk : *on);
    kept.worker = std::make_unique<storage::posix_io_worker>();
    kept.bytes_max = bytes_max;
    auto node = start_node(tests::built_in_model(), tests::shared_executor(), time, options,
                           std::move(kept));
    EXPECT_TRUE(node.has_value()) << node.error().why();
    return std::move(*node);
  }
  static std::string answer_of(engine& node, dataflow::generation_request request) {
    auto ended = std::make_shared<std::promise<void>>();
    auto text = std::make_shared<std::string>();
    auto sink = [ended, text](stream_event event) {
      *text += event.text;
      if (event.what == stream_event::kind::failed) *text += "FAILED";
      if (event.what == stream_event::kind::completed || event.what == stream_event::kind::failed)
        ended->set_value();
    };
    EXPECT_TRUE(node.submit(std::move(request), sink).has_value());
    EXPECT_EQ(ended->get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
    return *text;
  }
  // By an engine that keeps nothing.
  std::string expected(const dataflow::generation_request& request) const {
    static const system_clock time;
    auto node = start_node(tests::built_in_model(), tests::shared_executor(), time, options);
    return answer_of(**node, request);
  }
  std::vector<std::string> pages_on_disk() {
    auto names = disk.list().value();
    std::erase_if(names, [](const auto& name) { return !storage::parse_kv_page_name(name); });
    return names;
  }
};

TEST_F(kv_persistence_test, another_process_takes_up_where_the_first_one_ended) {
  const auto request = ask(story);
  std::string first;
  {
    const auto node = start();
    first = answer_of(*node, request);
    EXPECT_EQ(node->metrics().cached_tokens, 0u);
  }
  EXPECT_EQ(first, expected(request));
  const size_t full_pages = (request.prompt.size() + 23) / 8;
  EXPECT_EQ(pages_on_disk().size(), full_pages);

  const auto node = start();
  EXPECT_EQ(answer_of(*node, request), first);
  const auto metrics = node->metrics();
  EXPECT_EQ(metrics.cached_tokens, (request.prompt.size() - 1) / 8 * 8);
  EXPECT_EQ(metrics.kv_archive.pages_restored, (request.prompt.size() - 1) / 8);
  EXPECT_EQ(metrics.kv_archive.pages_unreadable, 0u);
  EXPECT_EQ(metrics.kv_archive.pages, full_pages);
  EXPECT_EQ(metrics.kv_archive.pages_written, 0u); // they are there
  // In memory from now on.
  EXPECT_EQ(answer_of(*node, request), first);
  EXPECT_EQ(node->metrics().kv_archive.pages_restored, metrics.kv_archive.pages_restored);
}

TEST_F(kv_persistence_test, the_bytes_do_not_depend_on_how_they_were_computed) {
  const auto request = ask(story);
  answer_of(*start(), request);
  crashing_disk other;
  options.prefill_chunk_max = 3;
  options.attention_stages = 2;
  answer_of(*start(&other), request);
  const auto pages_of = [](crashing_disk& of) {
    std::map<uint32_t, std::vector<std::byte>> out; // by place in the sequence
    const uint64_t bytes = kv_bytes_per_page(*tests::built_in_model()->description, 8);
    const auto names = of.list().value();
    for (const auto& name : names) {
      const auto page = storage::parse_kv_page_name(name);
      if (!page) continue;
      const auto file = of.read(name).value();
      out[page->pages_before] = {file.end() - static_cast<long>(bytes), file.end()};
    }
    return out;
  };
  const auto pages = pages_of(disk);
  EXPECT_GT(pages.size(), 8u);
  EXPECT_EQ(pages, pages_of(other));
}

TEST_F(kv_persistence_test, a_longer_prompt_uses_what_a_shorter_one_left) {
  answer_of(*start(), ask(story.substr(0, 150)));
  const auto request = ask(story);
  const auto node = start();
  EXPECT_EQ(answer_of(*node, request), expected(request));
  EXPECT_GT(node->metrics().cached_tokens, 16u);
  EXPECT_LT(node->metrics().cached_tokens, request.prompt.size() - 8);
}

TEST_F(kv_persistence_test, one_salt_never_finds_the_pages_of_another) {
  answer_of(*start(), ask(story, "tenant one"));
  const auto node = start();
  for (const std::string other : {"tenant two", "", "tenant one "}) {
    answer_of(*node, ask(story, other));
    EXPECT_EQ(node->metrics().cached_tokens, 0u) << other;
  }
  answer_of(*node, ask(story, "tenant one"));
  EXPECT_GT(node->metrics().cached_tokens, 0u);
  const auto names = disk.list().value();
  for (const auto& name : names) {
    const auto file = disk.read(name).value();
    EXPECT_EQ(
        std::string_view(reinterpret_cast<const char*>(file.data()), file.size()).find("tenant"),
        std::string_view::npos);
  }
}

TEST_F(kv_persistence_test, a_damaged_page_is_dropped_and_computed_again) {
  const auto request = ask(story);
  answer_of(*start(), request);
  const auto names = pages_on_disk();
  for (const auto& name : names) {
    auto file = disk.read(name).value();
    file[file.size() - 5] ^= std::byte{4};
    ASSERT_TRUE(disk.write(name, file).ok());
  }
  {
    const auto node = start();
    EXPECT_EQ(answer_of(*node, request), expected(request));
    const auto metrics = node->metrics();
    EXPECT_EQ(metrics.cached_tokens, 0u);
    EXPECT_EQ(metrics.kv_archive.pages_unreadable, 1u); // the first; none after it was wanted
    EXPECT_EQ(metrics.kv_archive.pages_restored, 0u);
  }
  // The first one has been written again, the others are found out one by one.
  const auto node = start();
  EXPECT_EQ(answer_of(*node, request), expected(request));
  EXPECT_EQ(node->metrics().cached_tokens, 8u);
}

TEST_F(kv_persistence_test, pages_torn_by_a_power_cut_are_not_used) {
  const auto request = ask(story);
  answer_of(*start(), request);
  disk.restart({storage::lost_power::contents::torn, true});
  const auto node = start();
  EXPECT_EQ(answer_of(*node, request), expected(request));
  EXPECT_EQ(node->metrics().cached_tokens, 0u);
}

TEST_F(kv_persistence_test, pages_of_another_model_or_layout_are_left_alone) {
  const auto request = ask(story);
  answer_of(*start(), request);
  const size_t before = pages_on_disk().size();
  options.page_tokens = 16;
  const auto node = start();
  EXPECT_EQ(answer_of(*node, request), expected(request));
  EXPECT_EQ(node->metrics().cached_tokens, 0u);
  EXPECT_EQ(node->metrics().kv_archive.pages_foreign, before);
  EXPECT_GT(pages_on_disk().size(), before);
}

TEST_F(kv_persistence_test, keeps_within_its_room) {
  answer_of(*start(), ask(story));
  const uint64_t page = disk.read(pages_on_disk().front()).value().size();
  bytes_max = page * 9 / 2;
  {
    const auto node = start(); // with less room than before
    EXPECT_LE(node->metrics().kv_archive.bytes, bytes_max);
    EXPECT_LE(pages_on_disk().size(), 4u);
    for (const char* other : {"There was a princess in a tower, and nobody knew her name at all.",
                              "A fox met a raven with a piece of cheese, and said to him: sing!"})
      answer_of(*node, ask(other));
    EXPECT_LE(node->metrics().kv_archive.bytes, bytes_max);
    EXPECT_GT(node->metrics().kv_archive.pages_evicted, 0u);
  }
  EXPECT_LE(pages_on_disk().size(), 4u);
}

// Pages that are being brought back fill the memory, but whoever runs comes first.
TEST_F(kv_persistence_test, what_runs_takes_the_room_of_what_is_brought_back) {
  const auto restored = ask(story);
  answer_of(*start(), restored);
  gated_disk gated(disk);
  options.positions_max = 120;
  options.kv_bytes = 15 * kv_bytes_per_page(*tests::built_in_model()->description, 8);
  auto runs = ask("A king");
  runs.tokens_max = 110;
  const std::string expected_of_both[] = {expected(runs), expected(restored)};
  const auto node = start(&gated);
  std::promise<void> ended[2];
  std::string texts[2];
  const auto sink_of = [&](int which) {
    return [&, which](const stream_event& event) {
      if (which == 0 && texts[0].empty() && !event.text.empty()) {
        // The other one comes while this one has almost all of its way before it.
        const auto handle = node->submit(restored, [&](const stream_event& other) {
          texts[1] += other.text;
          if (other.what == stream_event::kind::failed) texts[1] += "FAILED";
          if (other.what == stream_event::kind::completed ||
              other.what == stream_event::kind::failed)
            ended[1].set_value();
        });
        EXPECT_TRUE(handle.has_value());
      }
      texts[which] += event.text;
      if (event.what == stream_event::kind::failed) texts[which] += "FAILED " + event.why.why();
      if (event.what == stream_event::kind::completed || event.what == stream_event::kind::failed)
        ended[which].set_value();
    };
  };
  ASSERT_TRUE(node->submit(runs, sink_of(0)).has_value());
  EXPECT_EQ(ended[0].get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  gated.gate.set_value();
  EXPECT_EQ(ended[1].get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_EQ(texts[0], expected_of_both[0]);
  EXPECT_EQ(texts[1], expected_of_both[1]);
}

TEST_F(kv_persistence_test, a_full_disk_costs_no_answer_and_is_used_again_later) {
  full_disk full;
  const auto request = ask(story);
  const auto node = start(&full);
  EXPECT_EQ(answer_of(*node, request), expected(request));
  // What was written is told to the manager a moment later.
  for (int n = 0; n < 1000 && !node->metrics().kv_archive.stopped; ++n)
    answer_of(*node, ask("A king"));
  answer_of(*node, request);
  const auto metrics = node->metrics();
  EXPECT_TRUE(metrics.kv_archive.stopped);
  EXPECT_GT(metrics.kv_archive.write_failures, 0u);
  EXPECT_EQ(metrics.kv_archive.pages_written, 0u);
  EXPECT_GT(metrics.cached_tokens, 0u); // memory is as good as ever
  full.full = false;
  bool again = false;
  for (int n = 0; n < 3000 && !again; ++n) {
    auto other = ask("A king");
    other.prompt.insert(other.prompt.begin(), 20, 1 + n % 500);
    other.tokens_max = 2;
    answer_of(*node, other);
    again = node->metrics().kv_archive.pages_written > 0;
  }
  EXPECT_TRUE(again);
  EXPECT_TRUE(node->healthy());
}

// Every operation of the disk fails once, or is the last one before the power goes.
TEST_F(kv_persistence_test, whatever_the_disk_does_at_any_moment_answers_stay_the_same) {
  const auto request = ask(story.substr(0, 120));
  const std::string answer = expected(request);
  using trouble = crashing_disk::trouble;
  for (const auto what : {trouble::fails, trouble::crashes_before, trouble::crashes_after}) {
    bool reached = true;
    for (int at = 0; reached; at += 2) {
      crashing_disk folder;
      {
        const auto node = start(&folder);
        folder.plan(what, at); // the folder has a key by now, without which nothing starts
        EXPECT_EQ(answer_of(*node, request), answer) << at;
      }
      reached = folder.operations() > at;
      folder.restart({storage::lost_power::contents::torn, at % 2 == 0});
      const auto node = start(&folder);
      folder.plan(what, at % 5);
      EXPECT_EQ(answer_of(*node, request), answer) << at;
    }
  }
}

// An archive of six pages of memory with arbitrary contents.
class kv_archive_test : public testing::Test {
protected:
  kv_archive_test() {
    memory.page_count = 6;
    memory.page_tokens = 8;
    uint32_t word = 1;
    for (const auto& layer : bundle->description->layers) {
      const auto bytes = compute::kv_page_bytes(model::kv_shape_of(layer.attention, 8));
      memory.pages.push_back(tests::shared_executor().allocate(bytes * 6).value());
      for (auto& value : memory.pages.back().as<uint32_t>())
        value = word = word * 1664525 + 1013904223;
    }
  }
  std::unique_ptr<kv_archive> open(uint64_t bytes_max) {
    return kv_archive::open({.disk = &disk,
                             .worker = &worker,
                             .bytes_max = bytes_max,
                             .executor = &tests::shared_executor(),
                             .bundle = bundle.get(),
                             .memories = {&memory},
                             .page_tokens = 8,
                             .board = &board})
        .value();
  }
  size_t files() {
    const auto names = disk.list().value();
    return static_cast<size_t>(std::count_if(names.begin(), names.end(), [](const auto& name) {
      return storage::parse_kv_page_name(name).has_value();
    }));
  }

  std::shared_ptr<const model_bundle> bundle = tests::built_in_model();
  crashing_disk disk;
  metrics_board board{1, 1};
  stage_memory memory;
  storage::posix_io_worker worker; // the first to go
};

// The write of the first page ends after the page has gone to make room for the second.
TEST_F(kv_archive_test, a_page_that_goes_while_it_is_written_leaves_no_file) {
  const uint64_t page = open(uint64_t{1} << 30)->page_bytes();
  const auto archive = open(page * 3 / 2);
  const std::vector<int32_t> tokens(8, 42);
  std::promise<kv_archive::saved_page> saved[2];
  for (int n = 0; n < 2; ++n) {
    const auto chain = archive->extend(archive->begin(n == 0 ? "a" : "b", 1), tokens);
    ASSERT_EQ(archive->begin_save(chain, tokens, 3,
                                  [&saved, n](const auto& what) { saved[n].set_value(what); }),
              kv_archive::saving::begun);
  }
  for (auto& each : saved) {
    const auto what = each.get_future().get();
    EXPECT_EQ(what.code, status_code::ok);
    archive->saved(what);
  }
  std::promise<void> idle;
  ASSERT_TRUE(
      worker.submit([] { return status(); }, [&](const status&) { idle.set_value(); }).ok());
  idle.get_future().wait();
  EXPECT_EQ(files(), 1u);
  EXPECT_FALSE(archive->has(archive->extend(archive->begin("a", 1), tokens)));
  EXPECT_TRUE(archive->has(archive->extend(archive->begin("b", 1), tokens)));
}

// What is said of an older page of the same tokens is not taken for the newer one.
TEST_F(kv_archive_test, late_news_of_a_page_do_not_concern_the_next_one_like_it) {
  const auto archive = open(uint64_t{1} << 30);
  const std::vector<int32_t> tokens(8, 42);
  const auto chain = archive->extend(archive->begin("s", 1), tokens);
  const auto save = [&] {
    std::promise<kv_archive::saved_page> saved;
    EXPECT_EQ(archive->begin_save(chain, tokens, 3,
                                  [&saved](const auto& what) { saved.set_value(what); }),
              kv_archive::saving::begun);
    return saved.get_future().get();
  };
  const auto first = save();
  archive->noted({{}, status_code::not_found, first.page});
  EXPECT_FALSE(archive->has(chain));
  const auto second = save();
  archive->saved({first.page, status_code::unavailable});
  EXPECT_TRUE(archive->has(chain));
  archive->noted({{}, status_code::corrupt, first.page});
  EXPECT_TRUE(archive->has(chain));
  archive->saved(second);
  EXPECT_TRUE(archive->has(chain));
  archive->noted({{}, status_code::corrupt, second.page});
  EXPECT_FALSE(archive->has(chain));
}

TEST_F(kv_archive_test, what_is_placed_is_what_was_saved_bit_for_bit) {
  const auto archive = open(uint64_t{1} << 30);
  const auto tokens = std::make_shared<const std::vector<int32_t>>(8, 42);
  const auto chain = archive->extend(archive->begin("s", 1), *tokens);
  EXPECT_FALSE(archive->has(chain));
  std::promise<kv_archive::saved_page> saved;
  ASSERT_EQ(archive->begin_save(chain, *tokens, 3, [&](const auto& it) { saved.set_value(it); }),
            kv_archive::saving::begun);
  archive->saved(saved.get_future().get());
  EXPECT_TRUE(archive->has(chain));
  std::promise<std::shared_ptr<const kv_archive::read_result>> read;
  ASSERT_TRUE(archive->read({{chain, 8}}, tokens, [&](auto what) { read.set_value(what); }).ok());
  const auto what = read.get_future().get();
  ASSERT_EQ(what->files.size(), 1u);
  std::promise<status_code> placed;
  ASSERT_TRUE(archive->place(what, {5}, [&](status_code code) { placed.set_value(code); }).ok());
  ASSERT_EQ(placed.get_future().get(), status_code::ok);
  for (const auto& layer : memory.pages) {
    const size_t bytes = layer.bytes() / 6;
    EXPECT_EQ(std::memcmp(layer.data() + 3 * bytes, layer.data() + 5 * bytes, bytes), 0);
    EXPECT_NE(std::memcmp(layer.data() + 3 * bytes, layer.data() + 4 * bytes, bytes), 0);
  }
}

} // namespace
} // namespace troupe::actors
