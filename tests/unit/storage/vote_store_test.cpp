// Votes outlive crashes at any point, and are the earlier or the later ones, never a mix.
#include "storage/vote_store.hpp"

#include "tests/support/random_frames.hpp"
#include "tests/unit/storage/crashing_disk.hpp"

#include <gtest/gtest.h>

namespace troupe::storage {
namespace {

using schemas::acceptor_state;
using trouble = crashing_disk::trouble;

acceptor_state sample(uint64_t seed) {
  auto state = tests::random_frames(seed).acceptor();
  state.promised.round = seed; // tells them apart in any case
  return state;
}

std::vector<lost_power> losses() {
  std::vector<lost_power> out;
  for (const auto bytes :
       {lost_power::contents::lost, lost_power::contents::torn, lost_power::contents::kept}) {
    for (const bool names_kept : {false, true}) out.push_back({bytes, names_kept});
  }
  return out;
}

status_code code_of(const result<acceptor_state>& answer) {
  return answer ? status_code::ok : answer.error().code();
}

TEST(vote_store, what_was_stored_is_loaded) {
  crashing_disk folder;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    ASSERT_TRUE(vote_store(folder).store(sample(seed)).ok());
    EXPECT_EQ(*vote_store(folder).load(), sample(seed));
  }
  EXPECT_EQ(*folder.list(), (std::vector<std::string>{"votes"}));
}

TEST(vote_store, an_empty_folder_is_not_found) {
  crashing_disk folder;
  EXPECT_EQ(code_of(vote_store(folder).load()), status_code::not_found);
}

// Every operation of store(), with every kind of loss; the voter has voted before, or never.
TEST(vote_store, after_a_crash_there_is_the_old_or_the_new_state) {
  for (const bool voted_before : {true, false}) {
    for (const auto what : {trouble::crashes_before, trouble::crashes_after}) {
      for (const auto& loss : losses()) {
        int at = 0;
        for (bool crashed = true; crashed; ++at) {
          crashing_disk folder;
          vote_store votes(folder);
          ASSERT_TRUE(!voted_before || votes.store(sample(1)).ok());
          folder.plan(what, at);
          const bool stored = votes.store(sample(2)).ok();
          crashed = folder.crashed();
          EXPECT_NE(stored, crashed);
          folder.restart(loss);
          const auto found = votes.load();
          const bool is_new = found && *found == sample(2);
          const bool is_old = voted_before ? found && *found == sample(1)
                                           : code_of(found) == status_code::not_found;
          EXPECT_TRUE(stored ? is_new : is_new || is_old) << "operation " << at;
          // And the voter goes on from there.
          EXPECT_TRUE(votes.store(sample(3)).ok());
          EXPECT_EQ(*votes.load(), sample(3));
          EXPECT_EQ(*folder.list(), (std::vector<std::string>{"votes"}));
        }
        EXPECT_EQ(at, 5) << "store() is four operations, and then it went through";
      }
    }
  }
}

TEST(vote_store, an_error_leaves_the_old_or_the_new_state) {
  for (int at = 0; at < 4; ++at) {
    crashing_disk folder;
    vote_store votes(folder);
    ASSERT_TRUE(votes.store(sample(1)).ok());
    folder.plan(trouble::fails, at);
    EXPECT_EQ(votes.store(sample(2)).code(), status_code::unavailable) << at;
    folder.plan(trouble::none, 0);
    const auto found = votes.load();
    ASSERT_TRUE(found.has_value()) << at;
    EXPECT_EQ(*found, sample(at < 3 ? 1 : 2)) << at;
    EXPECT_TRUE(votes.store(sample(2)).ok());
    EXPECT_EQ(*votes.load(), sample(2));
  }
}

// The process dies after the rename, another one loads, then the power fails: what the voter may
// have answered from is still there.
TEST(vote_store, what_was_loaded_is_durable) {
  for (const auto& loss : losses()) {
    crashing_disk folder;
    vote_store votes(folder);
    ASSERT_TRUE(votes.store(sample(1)).ok());
    folder.plan(trouble::fails, 3); // the folder is not synced
    EXPECT_FALSE(votes.store(sample(2)).ok());
    folder.plan(trouble::none, 0);
    ASSERT_EQ(*votes.load(), sample(2));
    folder.restart(loss);
    EXPECT_EQ(*votes.load(), sample(2));
  }
}

TEST(vote_store, what_cannot_be_made_durable_is_not_returned) {
  crashing_disk folder;
  vote_store votes(folder);
  ASSERT_TRUE(votes.store(sample(1)).ok());
  for (const int at : {0, 2, 3}) { // 1 removes what is left over
    folder.plan(trouble::fails, at);
    EXPECT_EQ(code_of(votes.load()), status_code::unavailable) << at;
  }
}

TEST(vote_store, a_leftover_is_neither_read_nor_kept) {
  crashing_disk folder;
  vote_store votes(folder);
  folder.plan(trouble::crashes_before, 2); // written and synced, not renamed
  EXPECT_FALSE(votes.store(sample(1)).ok());
  folder.restart({lost_power::contents::kept, true});
  ASSERT_EQ(*folder.list(), (std::vector<std::string>{"votes.new"}));
  EXPECT_EQ(code_of(votes.load()), status_code::not_found);
  EXPECT_TRUE(folder.list()->empty());
}

TEST(vote_store, every_flipped_bit_and_every_truncation_is_corrupt) {
  crashing_disk folder;
  vote_store votes(folder);
  ASSERT_TRUE(votes.store(sample(5)).ok());
  const auto whole = *folder.read("votes");
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    auto bytes = whole;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    ASSERT_TRUE(folder.write("votes", bytes).ok());
    ASSERT_EQ(code_of(votes.load()), status_code::corrupt) << bit;
  }
  for (size_t length = 0; length < whole.size(); ++length) {
    ASSERT_TRUE(folder.write("votes", std::span(whole).first(length)).ok());
    ASSERT_EQ(code_of(votes.load()), status_code::corrupt) << length;
  }
  EXPECT_NE(votes.load().error().why().find("votes: "), std::string::npos);
}

TEST(vote_store, a_state_that_cannot_be_is_not_stored) {
  crashing_disk folder;
  auto impossible = sample(1);
  impossible.value.where.sequencer = static_cast<uint32_t>(impossible.value.members.size());
  EXPECT_EQ(vote_store(folder).store(impossible).code(), status_code::corrupt);
  EXPECT_TRUE(folder.list()->empty());
}

} // namespace
} // namespace troupe::storage
