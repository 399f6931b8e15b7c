// Which cached KV page goes first when room is needed: pure, without a clock. Of the pages that may
// go (nobody holds them and none hangs below them) the one of the least rank does.
//
//   lru   the one whose last use is longest ago
//   lfu   the one fewest sequences have used; of these the one unused for longest
//   cost  the one that is worth least: how likely pages like it are used again, times what
//         computing it again would cost, counted from a level that rises with every page given up,
//         so that worth not renewed by use is overtaken (as in greedy dual size frequency:
//         Cherkasova 1998)
//
// How likely is learned. Pages are alike when about as many sequences have used them and about as
// many turns of a conversation led to them: system prompts, the middle of a conversation, prompts
// asked once. A page given up is remembered for as long as the cache takes to be replaced about
// once, so that it counts as used again when it is computed again, and has its history back.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

namespace troupe::dataflow {

enum class eviction_policy : uint8_t { lru, lfu, cost };

std::string_view to_string(eviction_policy policy);
std::optional<eviction_policy> parse_eviction_policy(std::string_view name);

// What is known of a page when its last holder lets go.
struct page_history {
  uint64_t used_at = 0;  // tick of that moment
  uint32_t uses = 1;     // sequences that have held it, the one that computed it among them
  uint32_t turn = 1;     // 1 + that of the page from which on its computer found nothing cached
  uint32_t position = 0; // of its first token
};

// The least goes first. Fixed until the page is used again.
struct eviction_rank {
  uint64_t worth = 0;
  uint64_t used_at = 0;
  auto operator<=>(const eviction_rank&) const = default;
};

struct eviction_options {
  eviction_policy policy = eviction_policy::cost;
  uint32_t attention_positions = 0; // a token there costs twice the first one's; 0: all the same
  uint32_t remembered_max = 0;      // pages given up
};

class eviction_order {
public:
  explicit eviction_order(const eviction_options& options) : options_(options) {}

  eviction_rank rank(const page_history& page) const;
  // A page that nobody held, of this history, is used again.
  void used_again(const page_history& page);
  // One has been given up for want of room. `key` is what it would be known by if it came back.
  void gave_up(const eviction_rank& rank, const page_history& page, uint64_t key);
  // A page has been computed. How many have used it, itself included: more than 1 when it was given
  // up not long ago.
  uint32_t computed(uint64_t key);

private:
  static constexpr size_t use_classes = 5;
  static constexpr size_t turn_classes = 5;
  struct experience {
    uint32_t used_again = 1; // as if one of two had been
    uint32_t given_up = 1;
  };
  struct memory {
    uint64_t number = 0; // later ones were given up later
    page_history page;
  };

  experience& of(const page_history& page);
  uint64_t worth_of(const page_history& page) const;
  static void count(uint32_t& outcome, experience& of);
  void forget_oldest();

  eviction_options options_;
  std::array<experience, use_classes * turn_classes> experiences_;
  std::map<uint64_t, memory> remembered_;
  std::map<uint64_t, uint64_t> keys_; // of the remembered, by number
  uint64_t last_number_ = 0;
  uint64_t level_ = 0;
};

} // namespace troupe::dataflow
