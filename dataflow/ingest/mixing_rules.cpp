// A domain is drawn, then the curriculum chooses within it.
#include "dataflow/ingest/mixing_rules.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "dataflow/ingest/learning_draws.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace troupe::dataflow {
namespace {

constexpr uint64_t patience_windows = 4;
constexpr double share_scale = 1048576; // of whole numbers that stand for shares
constexpr double share_max = 0x1p52;

uint64_t share_of(const std::string& domain,
                  const std::map<std::string, uint64_t, std::less<>>& accepted,
                  const mixing_settings& settings) {
  const auto weight = settings.weights.find(domain);
  const auto count = accepted.find(domain);
  const double n = count == accepted.end() ? 1 : static_cast<double>(count->second);
  const double share =
      static_cast<double>(weight == settings.weights.end() ? weight_one : weight->second) /
      static_cast<double>(weight_one) * fixed_power(n, settings.temperature) * share_scale;
  return static_cast<uint64_t>(std::min(share, share_max));
}

// Shares of the domains that wait, by name. Those of weight 0 come when nothing else waits.
std::map<std::string_view, uint64_t> shares_of(
    const std::vector<waiting_document>& waiting,
    const std::map<std::string, uint64_t, std::less<>>& accepted, const mixing_settings& settings) {
  std::map<std::string_view, uint64_t> out;
  for (const auto& each : waiting) {
    const auto& domain = each.document.domain;
    if (!out.contains(domain)) out[domain] = share_of(domain, accepted, settings);
  }
  return out;
}

uint64_t rank_of(const waiting_document& document, curriculum order) {
  if (order == curriculum::length) return document.tokens.size();
  if (order == curriculum::difficulty) return document.difficulty;
  return 0;
}

// The first of the lowest rank; `domain` empty: of any.
size_t first_by_rank(const std::vector<waiting_document>& waiting, curriculum order,
                     const std::string_view* domain) {
  size_t best = waiting.size();
  for (size_t i = 0; i < waiting.size(); ++i) {
    if (domain != nullptr && waiting[i].document.domain != *domain) continue;
    if (best == waiting.size() || rank_of(waiting[i], order) < rank_of(waiting[best], order))
      best = i;
  }
  return best;
}

} // namespace

std::string mixing_settings::summary() const {
  static constexpr std::array<std::string_view, 3> orders = {"none", "length", "difficulty"};
  std::string out = text("window ", window, ", order ", orders[static_cast<size_t>(order)],
                         ", temperature ", temperature, ", weights");
  for (const auto& [domain, weight] : weights) out += text(" ", domain, "=", weight);
  return out;
}

double fixed_power(double x, uint32_t thousandths) {
  double out = 1;
  for (uint32_t whole = thousandths / 1000; whole > 0; --whole) out *= x;
  double root = x;
  uint32_t rest = thousandths % 1000;
  for (int bit = 0; bit < 24 && rest > 0; ++bit) { // rest / 1000 in binary
    root = std::sqrt(root);
    rest *= 2;
    if (rest < 1000) continue;
    rest -= 1000;
    out *= root;
  }
  return out;
}

mixing_choice choose_next(const std::vector<waiting_document>& waiting,
                          const std::map<std::string, uint64_t, std::less<>>& accepted,
                          const mixing_settings& settings, uint64_t seed, uint64_t n) {
  TROUPE_CHECK(!waiting.empty());
  const uint64_t span = waiting.back().document.offset - waiting.front().document.offset;
  if (span > patience_windows * settings.window) return {.index = 0, .drew = false};
  if (!settings.draws_domains())
    return {.index = first_by_rank(waiting, settings.order, nullptr), .drew = false};
  const auto shares = shares_of(waiting, accepted, settings);
  uint64_t total = 0;
  for (const auto& [domain, share] : shares) total += share;
  if (total == 0) return {.index = first_by_rank(waiting, settings.order, nullptr), .drew = false};
  uint64_t at = random_below(learning_key(seed, learning_draw::domain), n, total);
  for (const auto& [domain, share] : shares) {
    if (at < share) return {.index = first_by_rank(waiting, settings.order, &domain), .drew = true};
    at -= share;
  }
  return {.index = 0, .drew = true}; // not reached: the shares add up to `total`
}

} // namespace troupe::dataflow
