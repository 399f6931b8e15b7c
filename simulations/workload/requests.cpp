// Draws requests: their contents from a fixed key, who asks for which and when from the seed.
#include "simulations/workload/requests.hpp"

#include "base/check.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "simulations/seams/tiny_model.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <tuple>
#include <utility>

namespace troupe::simulations {
namespace {

constexpr uint64_t family_seed = 0x74726f757065; // part of what a variant means
constexpr uint32_t prefixes = 4;
constexpr uint32_t prefix_entity = 1u << 20; // apart from the variants
constexpr uint32_t burst_entity = 1u << 24;  // apart from the clients of the workload proper
constexpr uint32_t burst_clients_max = 1u << 12;

// Ids that every vocabulary of bytes has, and that are letters, digits and signs there.
constexpr int32_t token_first = 33;
constexpr uint64_t token_count = 94;

// The draws of one key, one after the other.
class draws {
public:
  draws(uint64_t seed, uint32_t entity) : key_{seed, random_subsystem::workload, entity} {}
  uint64_t bits() { return random_bits(key_, n_++); }
  uint64_t below(uint64_t bound) { return random_below(key_, n_++, bound); }
  uint32_t between(uint32_t low, uint32_t high) {
    return low + static_cast<uint32_t>(below(uint64_t{std::max(low, high)} - low + 1));
  }
  bool percent(uint32_t chance) { return below(100) < chance; }
  template <size_t N>
  float one_of(const std::array<float, N>& values) {
    return values[below(N)];
  }
  int32_t token() { return token_first + static_cast<int32_t>(below(token_count)); }

private:
  random_key key_;
  uint64_t n_ = 0;
};

std::vector<int32_t> draw_prompt(const scenario_workload& what, draws& from) {
  const uint32_t length =
      std::max(1u, from.between(what.prompt_tokens_min, what.prompt_tokens_max));
  std::vector<int32_t> prompt;
  if (from.percent(what.shared_prefix_percent)) {
    draws prefix(family_seed, prefix_entity + static_cast<uint32_t>(from.below(prefixes)));
    // The last token is the request's own, so that not all of them are one request.
    while (prompt.size() + 1 < length) prompt.push_back(prefix.token());
    if (length > 8) prompt.resize(length - 1 - from.below(4));
  }
  while (prompt.size() < length) prompt.push_back(from.token());
  return prompt;
}

model::sampling_options draw_sampling(const scenario_workload& what, draws& from) {
  static constexpr std::array temperatures = {0.5f, 0.7f, 0.8f, 1.0f, 1.3f};
  static constexpr std::array top_ps = {1.0f, 1.0f, 0.95f, 0.7f};
  static constexpr std::array<uint32_t, 4> top_ks = {0, 0, 4, 40};
  static constexpr std::array min_ps = {0.0f, 0.0f, 0.05f};
  static constexpr std::array repetitions = {1.0f, 1.0f, 1.2f};
  static constexpr std::array presences = {0.0f, 0.0f, 0.4f};
  static constexpr std::array frequencies = {0.0f, 0.0f, 0.3f, -0.2f};
  model::sampling_options out;
  out.temperature = from.percent(what.greedy_percent) ? 0.0f : from.one_of(temperatures);
  out.top_p = from.one_of(top_ps);
  out.top_k = top_ks[from.below(top_ks.size())];
  out.min_p = from.one_of(min_ps);
  out.repetition_penalty = from.one_of(repetitions);
  out.presence_penalty = from.one_of(presences);
  out.seed = from.bits();
  out.frequency_penalty = from.one_of(frequencies);
  return out;
}

// Stop texts of one and two characters, so that some text is held back, and a bias towards their
// letters, so that a random model writes them now and then.
void add_stops(dataflow::generation_request& request, draws& from) {
  for (int i = 0; i < 2; ++i) {
    const int32_t token = from.token();
    request.stop_texts.push_back(std::string(1, static_cast<char>(token)));
    request.sampling.logit_bias.emplace_back(token, 2.0f);
  }
  const int32_t first = from.token();
  request.stop_texts.push_back({static_cast<char>(first), static_cast<char>(from.token())});
  request.sampling.logit_bias.emplace_back(first, 4.0f);
  const std::vector<int32_t> ids = {from.token(), from.token()};
  if (first % 2 == 0) { // else nobody but the door knows of the end
    request.stop_ids = ids;
    request.sampling.logit_bias.emplace_back(ids[0], 4.0f);
  }
  request.include_stop_text = from.percent(40);
  request.tokens_min = static_cast<uint32_t>(from.below(5));
}

// What changes when and next to whom a request is served, and none of its tokens.
void add_circumstances(const scenario_workload& what, draws& from,
                       dataflow::generation_request& request, client_request& out) {
  const bool special = from.percent(what.priority_percent);
  const auto priority = static_cast<int32_t>(from.below(2)) * 2 - 1;
  if (special) request.priority = priority;
  const bool salted = from.percent(what.salt_percent);
  out.salt_is_own = salted && from.percent(50);
  const uint64_t own = from.bits();
  if (salted) request.cache_salt = out.salt_is_own ? text("own-", own) : std::string("shared");
  const bool hurries = from.percent(what.deadline_percent);
  const auto most = static_cast<uint64_t>(std::max<int64_t>(what.deadline_max.count(), 1));
  const duration left(static_cast<int64_t>(from.below(most) + 1));
  if (hurries) out.deadline = left;
}

client_request draw_client(const scenario_workload& what, draws& from) {
  client_request out;
  out.door = static_cast<uint32_t>(from.below(1u << 16));
  const auto variant = static_cast<uint32_t>(from.below(request_variants));
  auto request = make_request(what, variant);
  const bool leaves = from.percent(what.cancel_percent);
  const uint64_t after = from.below(uint64_t{request.choices} * request.tokens_max + 1);
  if (leaves) out.cancel_after = static_cast<uint32_t>(after);
  add_circumstances(what, from, request, out);
  out.request = std::make_shared<const dataflow::generation_request>(std::move(request));
  return out;
}

} // namespace

dataflow::generation_request make_request(const scenario_workload& what, uint32_t variant) {
  variant %= request_variants;
  draws from(family_seed, variant);
  dataflow::generation_request out;
  out.id = text("variant-", variant);
  out.tokens_max = std::max(1u, from.between(what.answer_tokens_min, what.answer_tokens_max));
  out.choices = from.between(1, std::max(1u, what.choices_max));
  out.prompt = draw_prompt(what, from);
  out.sampling = draw_sampling(what, from);
  out.ignore_eos = !from.percent(12);
  if (from.percent(what.logprobs_percent)) {
    out.top_logprobs = static_cast<uint32_t>(from.below(5));
    out.prompt_logprobs = from.percent(30);
  }
  if (from.percent(what.stop_percent)) add_stops(out, from);
  out.skip_special_tokens = !from.percent(20);
  if (!out.ignore_eos) out.sampling.logit_bias.emplace_back(tiny_model_end, 6.0f);
  // Now and then only the prompt is to be scored.
  if (out.prompt_logprobs && from.percent(15)) out.tokens_max = 0;
  return out;
}

std::vector<client_request> make_workload(const scenario_workload& what, uint64_t seed) {
  TROUPE_CHECK(what.requests < prefix_entity);
  std::vector<client_request> out;
  for (uint32_t i = 0; i < what.requests; ++i) {
    draws from(seed, i);
    const auto over = static_cast<uint64_t>(std::max<int64_t>(0, what.over.count()));
    const duration arrives(static_cast<int64_t>(from.below(over + 1)));
    out.push_back(draw_client(what, from));
    out.back().arrives = arrives;
    out.back().client = i; // settles ties until numbered
  }
  std::sort(out.begin(), out.end(), [](const client_request& a, const client_request& b) {
    return std::tie(a.arrives, a.client) < std::tie(b.arrives, b.client);
  });
  for (uint32_t i = 0; i < out.size(); ++i) out[i].client = i;
  return out;
}

std::vector<client_request> make_burst(const scenario_workload& what, uint64_t seed,
                                       uint32_t number, uint32_t first_client, uint32_t requests) {
  TROUPE_CHECK(requests <= burst_clients_max);
  std::vector<client_request> out;
  for (uint32_t i = 0; i < requests; ++i) {
    draws from(seed, burst_entity + number % burst_clients_max * burst_clients_max + i);
    out.push_back(draw_client(what, from));
    out.back().client = first_client + i;
  }
  return out;
}

} // namespace troupe::simulations
