// Algorithm R: the n-th document, counted from zero, takes a place drawn from 0 to n, if there is
// one of that number.
#include "dataflow/ingest/replay_reservoir.hpp"

#include "base/text.hpp"
#include "dataflow/ingest/learning_draws.hpp"

#include <algorithm>

namespace troupe::dataflow {
namespace {

bool is_inside_character(char byte) {
  return (static_cast<uint8_t>(byte) & 0xC0) == 0x80;
}

} // namespace

std::vector<uint32_t> replay_reservoir::sample::filled() const {
  std::vector<uint32_t> out;
  for (uint32_t slot = 0; slot < slots.size(); ++slot)
    if (!slots[slot].text.empty()) out.push_back(slot);
  return out;
}

replay_reservoir::sample& replay_reservoir::sample_of(const std::string& domain) {
  const std::string name = settings_.by_domain ? domain : std::string();
  const auto found = samples_.find(name);
  if (found != samples_.end()) return found->second;
  const auto last = std::max_element(samples_.begin(), samples_.end(), [](auto& a, auto& b) {
    return a.second.number < b.second.number;
  });
  if (samples_.size() == reservoir_domains_max) return last->second;
  sample& made = samples_[name];
  made.number = static_cast<uint32_t>(samples_.size() - 1);
  return made;
}

void replay_reservoir::offer(const schemas::learning_document& document) {
  if (settings_.documents_max == 0 || document.text.empty()) return;
  sample& to = sample_of(document.domain);
  const uint64_t n = to.offered;
  if (n < settings_.documents_max) {
    to.slots.push_back(part_of(document, to));
  } else {
    const uint64_t slot =
        random_below(learning_key(seed_, learning_draw::kept, to.number), n, n + 1);
    if (slot < to.slots.size()) to.slots[slot] = part_of(document, to);
  }
  ++to.offered;
}

schemas::learning_document replay_reservoir::part_of(const schemas::learning_document& document,
                                                     const sample& of) const {
  const std::string_view all = document.text;
  if (all.size() <= settings_.bytes_max) return document;
  size_t begin = random_below(learning_key(seed_, learning_draw::kept_part, of.number), of.offered,
                              all.size() - settings_.bytes_max + 1);
  size_t end = begin + settings_.bytes_max;
  while (begin < end && is_inside_character(all[begin])) ++begin;
  while (end > begin && end < all.size() && is_inside_character(all[end])) --end;
  return {.offset = document.offset,
          .id = document.id,
          .domain = document.domain,
          .text = std::string(all.substr(begin, end - begin))};
}

size_t replay_reservoir::erase(std::string_view id) {
  size_t erased = 0;
  for (auto& [domain, sample] : samples_)
    for (auto& slot : sample.slots) {
      if (id.empty() || slot.id != id) continue;
      slot = {.offset = slot.offset, .id = {}, .domain = {}, .text = {}};
      ++erased;
    }
  return erased;
}

const schemas::learning_document* replay_reservoir::draw(
    uint64_t n, const std::map<std::string, uint64_t, std::less<>>& weights) const {
  struct choice {
    const sample* from;
    std::vector<uint32_t> slots;
    uint64_t weight;
  };
  std::vector<choice> choices;
  uint64_t total = 0;
  for (const auto& [domain, sample] : samples_) {
    const auto weight = weights.find(domain);
    choices.push_back({&sample, sample.filled(), weight == weights.end() ? 1 : weight->second});
    if (choices.back().slots.empty()) choices.back().weight = 0;
    total += choices.back().weight;
  }
  if (total == 0) return nullptr;
  const auto key = learning_key(seed_, learning_draw::replayed);
  uint64_t at = random_below(key, 2 * n, total);
  for (const auto& each : choices) {
    if (at < each.weight)
      return &each.from->slots[each.slots[random_below(key, 2 * n + 1, each.slots.size())]];
    at -= each.weight;
  }
  return nullptr; // not reached: the weights add up to `total`
}

size_t replay_reservoir::documents() const {
  size_t out = 0;
  for (const auto& [domain, sample] : samples_) out += sample.filled().size();
  return out;
}

uint64_t replay_reservoir::bytes() const {
  uint64_t out = 0;
  for (const auto& [domain, sample] : samples_)
    for (const auto& slot : sample.slots) out += slot.text.size();
  return out;
}

std::vector<schemas::learning_reservoir> replay_reservoir::save() const {
  std::vector<schemas::learning_reservoir> out(samples_.size());
  for (const auto& [domain, sample] : samples_)
    out[sample.number] = {.domain = domain, .offered = sample.offered, .slots = sample.slots};
  return out;
}

status replay_reservoir::restore(std::span<const schemas::learning_reservoir> from) {
  samples_.clear();
  for (const auto& each : from) {
    const uint64_t expected = std::min<uint64_t>(each.offered, settings_.documents_max);
    if (each.slots.size() != expected)
      return status(status_code::corrupt, text("replay of '", each.domain, "': ", each.slots.size(),
                                               " places where there should be ", expected));
    const auto number = static_cast<uint32_t>(samples_.size());
    if (!samples_.emplace(each.domain, sample{number, each.offered, each.slots}).second)
      return status(status_code::corrupt, text("replay of '", each.domain, "' comes twice"));
  }
  return {};
}

} // namespace troupe::dataflow
