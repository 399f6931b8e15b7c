// Ids of events: there and back, and nothing else is taken for one.
#include "server/event_id.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe::server {
namespace {

class draws {
public:
  explicit draws(uint64_t seed) : key_{seed, random_subsystem::workload, 0} {}
  uint64_t below(uint64_t bound) { return random_below(key_, n_++, bound); }
  uint64_t bits() { return random_bits(key_, n_++); }

private:
  random_key key_;
  uint64_t n_ = 0;
};

event_id some_id(uint64_t seed) {
  draws draw(seed);
  event_id out;
  out.of.chat = draw.below(2) == 0;
  out.of.offsets = draw.below(2) == 0;
  if (draw.below(2) == 0) {
    const uint64_t high = draw.bits();
    out.of.name = own_name(high, draw.bits());
    out.of.nonce = nonce_of_own(out.of.name);
  } else {
    for (uint64_t i = 1 + draw.below(answer_name_bytes_max); i > 0; --i)
      out.of.name += static_cast<char>('!' + draw.below(94));
    out.of.nonce = draw.bits();
  }
  out.of.created = static_cast<int64_t>(draw.below(event_id_number_max + 1));
  out.of.request_hash = draw.bits();
  out.of.model_hash = static_cast<uint32_t>(draw.bits());
  bool finished = true;
  for (uint64_t i = 1 + draw.below(9); i > 0; --i) {
    choice_position choice;
    choice.tokens = static_cast<uint32_t>(draw.bits() >> (32 + draw.below(32)));
    choice.text_bytes = draw.below(uint64_t{1} << draw.below(41));
    if (out.of.offsets) choice.text_offset = draw.below(event_id_number_max + 1);
    choice.opened = draw.below(2) == 0;
    choice.finished = draw.below(3) != 0;
    finished = finished && choice.finished;
    out.after.choices.push_back(choice);
  }
  if (finished) out.after.tail = static_cast<stream_position::tail_part>(draw.below(3));
  return out;
}

std::string text_of(const event_id& id) {
  return event_id_writer(id.of)(id.after);
}

TEST(event_id, comes_back_as_it_was) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const event_id id = some_id(seed);
    const auto back = parse_event_id(text_of(id));
    ASSERT_TRUE(back.has_value()) << seed << back.error().why();
    EXPECT_EQ(back->of, id.of);
    EXPECT_EQ(back->after, id.after);
  }
}

TEST(event_id, is_short_and_fit_for_urls_and_header_fields) {
  event_id id;
  id.of.name = own_name(1, 2);
  id.of.nonce = nonce_of_own(id.of.name);
  id.of.created = 1'800'000'000;
  id.after.choices.push_back({.tokens = 1000, .text_bytes = 4000, .opened = true});
  const std::string text = text_of(id);
  EXPECT_LE(text.size(), 64u);
  EXPECT_EQ(
      text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
      std::string::npos);
}

TEST(event_id, every_changed_missing_or_added_character_is_noticed) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const std::string good = text_of(some_id(seed));
    for (size_t at = 0; at < good.size(); ++at) {
      for (const char other : {'A', 'B', '-', '_', '0', '9', 'z', '=', ' ', '+', '\0', '\xff'}) {
        std::string bad = good;
        bad[at] = other;
        EXPECT_EQ(parse_event_id(bad).has_value(), bad == good) << good << at << other;
      }
      EXPECT_FALSE(parse_event_id(good.substr(0, at)).has_value());
      EXPECT_FALSE(parse_event_id(good.substr(at + 1)).has_value());
      EXPECT_FALSE(parse_event_id(good.substr(0, at) + "A" + good.substr(at)).has_value());
    }
    EXPECT_FALSE(parse_event_id(good + "A").has_value());
    EXPECT_FALSE(parse_event_id(good + "=").has_value());
  }
}

// Bytes that are whole but mean nothing: what a checksum does not find. They are made by changing
// what a writer is given, or by mutating bytes and sealing them again.
TEST(event_id, nonsense_with_a_good_checksum_is_refused_or_means_exactly_itself) {
  size_t taken = 0;
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    draws draw(seed + (uint64_t{1} << 40));
    std::vector<uint8_t> bytes = unseal_event_id(text_of(some_id(seed % 50))).value();
    for (uint64_t i = 1 + draw.below(3); i > 0 && !bytes.empty(); --i) {
      const size_t at = draw.below(bytes.size());
      const uint64_t what = draw.below(4);
      if (what == 0) bytes.erase(bytes.begin() + static_cast<long>(at));
      if (what == 1) bytes.insert(bytes.begin() + static_cast<long>(at), uint8_t(draw.bits()));
      if (what == 2) bytes[at] = uint8_t(draw.bits());
      if (what == 3) bytes[at] = draw.below(2) == 0 ? 0xFF : 0;
    }
    const std::string text = seal_event_id(bytes);
    const auto id = parse_event_id(text);
    if (!id) continue;
    ++taken;
    EXPECT_EQ(text_of(*id), text);
    EXPECT_LE(id->after.choices.size(), event_id_choices_max);
    EXPECT_LE(id->of.name.size(), answer_name_bytes_max);
    for (const auto& choice : id->after.choices) EXPECT_LE(choice.text_bytes, event_id_number_max);
  }
  EXPECT_GT(taken, 500u) << "changed hashes and numbers are still ids";
}

TEST(event_id, what_no_answer_can_be_is_refused) {
  const auto refused = [](const event_id& id) { return !parse_event_id(text_of(id)).has_value(); };
  event_id id;
  id.of.name = "x";
  EXPECT_TRUE(refused(id)) << "no choice";
  id.after.choices.resize(1);
  EXPECT_FALSE(refused(id));
  id.after.tail = stream_position::tail_part::done;
  EXPECT_TRUE(refused(id)) << "done, and a choice is not finished";
  id.after.choices[0].finished = true;
  EXPECT_FALSE(refused(id));
  id.after.choices[0].text_bytes = event_id_number_max + 1;
  EXPECT_TRUE(refused(id));
  id.after.choices[0].text_bytes = 0;
  id.of.name = "a b";
  EXPECT_TRUE(refused(id));
  id.of.name = "a";
  id.after.choices.resize(event_id_choices_max + 1, id.after.choices[0]);
  EXPECT_TRUE(refused(id));
  for (const char* text : {"", "7", "AAAA", "cmpl-1", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
    EXPECT_FALSE(parse_event_id(text).has_value()) << text;
  EXPECT_FALSE(parse_event_id(std::string(1 << 20, 'A')).has_value());
}

TEST(event_id, seeds_differ_by_prompt_and_answer) {
  std::set<uint64_t> seeds;
  for (uint64_t nonce = 0; nonce < 30; ++nonce)
    for (uint64_t prompt = 0; prompt < 30; ++prompt) seeds.insert(seed_of(nonce, prompt));
  EXPECT_EQ(seeds.size(), 900u);
  EXPECT_NE(nonce_of_own(own_name(1, 2)), nonce_of_own(own_name(2, 1)));
  EXPECT_EQ(own_name(1, 0xabcdef0123456789), "0000000000000001abcdef0123456789");
}

} // namespace
} // namespace troupe::server
