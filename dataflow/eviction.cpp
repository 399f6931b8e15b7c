// The ranks of the three policies, in whole numbers so that every machine agrees.
#include "dataflow/eviction.hpp"

#include <algorithm>
#include <bit>

namespace troupe::dataflow {
namespace {

constexpr std::array<std::string_view, 3> names = {"lru", "lfu", "cost"};

constexpr uint64_t unit = 1 << 12;         // as likely used again as not, at a sequence's front
constexpr uint64_t worth_max = 8 * unit;   // however likely
constexpr uint64_t cost_max = 4;           // times the first token's, however deep
constexpr uint32_t outcomes_max = 1 << 12; // then older ones count half

// 1, 2, 3 to 4, 5 to 8, more.
size_t class_of(uint32_t count) {
  return std::min<size_t>(4, std::bit_width(std::max(1u, count) - 1));
}

} // namespace

std::string_view to_string(eviction_policy policy) {
  return names[static_cast<size_t>(policy)];
}

std::optional<eviction_policy> parse_eviction_policy(std::string_view name) {
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return static_cast<eviction_policy>(i);
  return std::nullopt;
}

eviction_rank eviction_order::rank(const page_history& page) const {
  switch (options_.policy) {
    case eviction_policy::lru:
      break;
    case eviction_policy::lfu:
      return {page.uses, page.used_at};
    case eviction_policy::cost:
      return {level_ + worth_of(page), page.used_at};
  }
  return {0, page.used_at};
}

void eviction_order::used_again(const page_history& page) {
  auto& experience = of(page);
  count(experience.used_again, experience);
}

void eviction_order::gave_up(const eviction_rank& rank, const page_history& page, uint64_t key) {
  if (options_.policy != eviction_policy::cost) return;
  level_ = std::max(level_, rank.worth);
  auto& experience = of(page);
  count(experience.given_up, experience);
  if (options_.remembered_max == 0) return;
  if (const auto twin = remembered_.find(key); twin != remembered_.end()) {
    keys_.erase(twin->second.number);
    remembered_.erase(twin);
  }
  if (remembered_.size() == options_.remembered_max) forget_oldest();
  remembered_[key] = {++last_number_, page};
  keys_[last_number_] = key;
}

uint32_t eviction_order::computed(uint64_t key) {
  const auto known = remembered_.find(key);
  if (known == remembered_.end()) return 1;
  const page_history page = known->second.page;
  keys_.erase(known->second.number);
  remembered_.erase(known);
  auto& experience = of(page);
  if (experience.given_up > 1) --experience.given_up;
  count(experience.used_again, experience);
  return page.uses < UINT32_MAX ? page.uses + 1 : page.uses;
}

eviction_order::experience& eviction_order::of(const page_history& page) {
  return experiences_[class_of(page.uses) * turn_classes + class_of(page.turn)];
}

void eviction_order::count(uint32_t& outcome, experience& of) {
  ++outcome;
  if (of.used_again + of.given_up <= outcomes_max) return;
  of.used_again = (of.used_again + 1) / 2;
  of.given_up = (of.given_up + 1) / 2;
}

void eviction_order::forget_oldest() {
  const auto oldest = keys_.begin();
  remembered_.erase(oldest->second);
  keys_.erase(oldest);
}

uint64_t eviction_order::worth_of(const page_history& page) const {
  const auto& seen = experiences_[class_of(page.uses) * turn_classes + class_of(page.turn)];
  const uint64_t worth = std::min(unit * seen.used_again / seen.given_up, worth_max);
  if (options_.attention_positions == 0) return worth;
  const uint64_t deep =
      std::min<uint64_t>(page.position, (cost_max - 1) * options_.attention_positions);
  return worth + worth * deep / options_.attention_positions;
}

} // namespace troupe::dataflow
