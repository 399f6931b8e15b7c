// Pages on a disk: known hashes, no page taken for another, and after any failure, crash or damage
// either the page that was written or none.
#include "storage/kv_page_store.hpp"

#include "tests/unit/storage/crashing_disk.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace troupe::storage {
namespace {

using trouble = crashing_disk::trouble;

constexpr size_t page_bytes = 96;
constexpr uint32_t page_tokens = 4;
constexpr std::string_view identity = "model 7 page 4";
constexpr hash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

std::vector<int32_t> count_from(int32_t first, size_t count) {
  std::vector<int32_t> out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

kv_chain chain_of(std::span<const int32_t> tokens, std::string_view salt = "",
                  uint64_t version = 1) {
  auto out = begin_chain(key, salt, version);
  for (; tokens.size() >= page_tokens; tokens = tokens.subspan(page_tokens))
    out = extend_chain(key, out, tokens.first(page_tokens));
  return out;
}

// A page of some beginning of a sequence, its file and its name.
struct example {
  std::vector<int32_t> tokens = count_from(10, 8);
  kv_chain chain = chain_of(tokens);
  std::byte fill{0x5a};

  kv_page_facts facts() const { return {identity, chain, tokens}; }
  std::vector<std::byte> file() const {
    auto out = begin_kv_page_file(facts(), page_bytes);
    const auto page = page_of(out, page_bytes);
    std::fill(page.begin(), page.end(), fill);
    seal_kv_page_file(out);
    return out;
  }
  kv_page_name name(uint64_t number = 1) const {
    return {
        chain.hash, chain.parent, chain.pages - 1, number, kv_page_file_bytes(facts(), page_bytes),
        99};
  }
};

TEST(keyed_hash, is_the_published_one) {
  EXPECT_EQ(keyed_hash(key, {}), (keyed_digest{0xe6a825ba047f81a3, 0x930255c71472f66d}));
  EXPECT_NE(keyed_hash(key, {}), keyed_hash({1, 2}, {}));
  std::set<keyed_digest> seen;
  std::vector<std::byte> bytes;
  for (int n = 0; n < 40; ++n, bytes.push_back(std::byte{0}))
    EXPECT_TRUE(seen.insert(keyed_hash(key, bytes)).second) << n; // zeros count
}

TEST(kv_chain, tells_salts_versions_and_tokens_apart) {
  const auto tokens = count_from(10, 8);
  auto others = tokens;
  others[0] = 11;
  EXPECT_EQ(chain_of(tokens).hash, chain_of(tokens).hash);
  EXPECT_NE(chain_of(tokens).hash, chain_of(others).hash);
  EXPECT_NE(chain_of(tokens).hash, chain_of(tokens, "a").hash);
  EXPECT_NE(chain_of(tokens).hash, chain_of(tokens, "", 2).hash);
  EXPECT_EQ(chain_of(tokens).parent, chain_of(std::span(tokens).first(4)).hash);
  EXPECT_EQ(chain_of(tokens).pages, 2u);
}

TEST(kv_page_name, reads_back_and_is_nothing_else) {
  const auto name = example().name(77);
  EXPECT_EQ(parse_kv_page_name(to_file_name(name)), name);
  for (const std::string& other :
       std::vector<std::string>{"", "key", "page.new", "x" + to_file_name(name),
                                to_file_name(name) + "x", to_file_name(name).substr(1)})
    EXPECT_EQ(parse_kv_page_name(other), std::nullopt) << other;
}

TEST(kv_page_file, gives_the_page_to_whoever_asks_for_exactly_that_and_to_nobody_else) {
  const example it;
  const auto file = it.file();
  const auto page = open_kv_page_file(it.facts(), file, page_bytes);
  ASSERT_TRUE(page.has_value()) << page.error().why();
  EXPECT_EQ(page->size(), page_bytes);
  EXPECT_EQ(page->front(), it.fill);

  auto other_tokens = it.tokens;
  other_tokens[0] ^= 1; // of the page before
  auto facts = it.facts();
  facts.tokens = other_tokens;
  EXPECT_EQ(open_kv_page_file(facts, file, page_bytes).error().code(), status_code::not_found);
  facts = it.facts();
  facts.tokens = facts.tokens.first(4);
  EXPECT_EQ(open_kv_page_file(facts, file, page_bytes).error().code(), status_code::not_found);
  facts = it.facts();
  facts.identity = "model 8 page 4";
  EXPECT_EQ(open_kv_page_file(facts, file, page_bytes).error().code(), status_code::not_found);
  facts = it.facts();
  facts.chain.weight_version = 2;
  EXPECT_EQ(open_kv_page_file(facts, file, page_bytes).error().code(), status_code::not_found);
  facts = it.facts();
  facts.chain.salt = begin_chain(key, "salt", 1).salt;
  EXPECT_EQ(open_kv_page_file(facts, file, page_bytes).error().code(), status_code::not_found);
  EXPECT_EQ(open_kv_page_file(it.facts(), file, page_bytes + 1).error().code(),
            status_code::not_found);
}

TEST(kv_page_file, every_flipped_bit_and_every_cut_is_found) {
  const example it;
  const auto file = it.file();
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    auto damaged = file;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_EQ(open_kv_page_file(it.facts(), damaged, page_bytes).error().code(),
              status_code::corrupt)
        << bit;
  }
  for (size_t bytes = 0; bytes < file.size(); ++bytes)
    EXPECT_FALSE(open_kv_page_file(it.facts(), std::span(file).first(bytes), page_bytes));
}

TEST(kv_page_file, does_not_hold_the_salt) {
  example it;
  it.chain = chain_of(it.tokens, "a secret of the tenant");
  const auto file = it.file();
  const std::string content(reinterpret_cast<const char*>(file.data()), file.size());
  EXPECT_EQ(content.find("secret"), std::string::npos);
}

TEST(kv_page_store, another_process_finds_the_pages_in_order_and_keeps_the_key) {
  crashing_disk folder;
  example first;
  example second;
  second.tokens = count_from(50, 4);
  second.chain = chain_of(second.tokens);
  {
    kv_page_store store(folder);
    ASSERT_EQ(store.open(key)->pages.size(), 0u);
    ASSERT_TRUE(store.write(second.name(2), second.file()).ok());
    ASSERT_TRUE(store.write(first.name(1), first.file()).ok());
    ASSERT_TRUE(folder.write("notes.txt", {}).ok());
  }
  kv_page_store store(folder);
  const auto found = store.open({5, 6});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->key.first, key.first);
  EXPECT_EQ(found->key.second, key.second);
  EXPECT_EQ(found->pages, (std::vector{first.name(1), second.name(2)}));
  EXPECT_EQ(*store.read(first.name(1)), first.file());
  ASSERT_TRUE(store.remove(first.name(1)).ok());
  EXPECT_EQ(store.read(first.name(1)).error().code(), status_code::not_found);
}

TEST(kv_page_store, a_damaged_key_makes_an_empty_folder_with_a_new_one) {
  crashing_disk folder;
  const example it;
  {
    kv_page_store store(folder);
    ASSERT_TRUE(store.open(key).has_value());
    ASSERT_TRUE(store.write(it.name(), it.file()).ok());
  }
  auto bytes = *folder.read("key");
  bytes.back() ^= std::byte{1};
  ASSERT_TRUE(folder.write("key", bytes).ok());
  kv_page_store store(folder);
  const auto found = store.open({5, 6});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->key.first, 5u);
  EXPECT_EQ(found->unreadable, 1u);
  EXPECT_TRUE(found->pages.empty());
  EXPECT_EQ(*folder.list(), (std::vector<std::string>{"key"}));
}

// Writes a page where there is one already of the same beginning, whatever happens meanwhile.
TEST(kv_page_store, whatever_goes_wrong_at_any_moment_a_page_is_whole_or_not_there) {
  const example before;
  example after;
  after.fill = std::byte{0x77};
  int points = 0;
  for (const auto what : {trouble::fails, trouble::crashes_before, trouble::crashes_after}) {
    for (const auto bytes :
         {lost_power::contents::lost, lost_power::contents::torn, lost_power::contents::kept}) {
      for (const bool names_kept : {false, true}) {
        bool reached = true;
        for (int at = 0; reached; ++at, ++points) {
          crashing_disk folder;
          folder.plan(what, at);
          bool wrote = false;
          {
            kv_page_store store(folder);
            if (store.open(key))
              wrote = store.write(before.name(1), before.file()).ok() &&
                      store.remove(before.name(1)).ok() &&
                      store.write(after.name(2), after.file()).ok();
          }
          reached = folder.operations() > at;
          EXPECT_TRUE(reached || wrote);
          folder.restart({bytes, names_kept});

          kv_page_store store(folder);
          const auto found = store.open({5, 6});
          ASSERT_TRUE(found.has_value()) << found.error().why();
          const bool same_key = found->key.first == key.first && found->key.second == key.second;
          EXPECT_TRUE(same_key || found->pages.empty());
          for (const auto& page : found->pages) {
            const auto file = store.read(page);
            ASSERT_TRUE(file.has_value());
            const auto opened = open_kv_page_file(before.facts(), *file, page_bytes);
            if (!opened) {
              EXPECT_EQ(opened.error().code(), status_code::corrupt);
              continue;
            }
            const auto fill = page.number == 1 ? before.fill : after.fill;
            for (const std::byte byte : *opened) ASSERT_EQ(byte, fill);
          }
          // And the folder works.
          ASSERT_TRUE(store.write(after.name(3), after.file()).ok());
          EXPECT_EQ(*store.read(after.name(3)), after.file());
        }
      }
    }
  }
  EXPECT_GT(points, 100);
}

} // namespace
} // namespace troupe::storage
