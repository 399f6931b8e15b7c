// Checks options and rows, applies biases and penalties, cuts and draws.
#include "model/sampler.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "model/sampler_bands.hpp"
#include "model/sampler_math.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace troupe::model {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float largest = std::numeric_limits<float>::max();

// -- options

std::string shortest(float value) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return std::string(buffer.data(), end.ptr);
}

struct field_range {
  std::string_view name;
  float least;
  float most;
  bool least_allowed = true;
};

status check_range(float value, const field_range& range) {
  const bool enough = range.least_allowed ? value >= range.least : value > range.least;
  if (enough && value <= range.most) return {}; // false for NaN
  const std::string bound =
      text(range.least_allowed ? "at least " : "greater than ", shortest(range.least),
           range.most == largest ? "" : " and at most ",
           range.most == largest ? "" : shortest(range.most));
  return {status_code::invalid_argument,
          text(range.name, " is ", shortest(value), "; it must be ", bound)};
}

status validate_bias(const std::pair<int32_t, float>& entry, uint32_t vocabulary) {
  const auto& [token, bias] = entry;
  if (token < 0 || static_cast<uint32_t>(token) >= vocabulary)
    return {status_code::invalid_argument,
            text("logit_bias names token ", token, "; the vocabulary has 0 to ", vocabulary - 1)};
  const status in_range = check_range(bias, {"logit_bias", -100, 100});
  return in_range.ok() ? in_range : in_range.within(text("token ", token));
}

// -- the row

// A row that a model can mean: no NaN, no +infinity, at least one token not masked by -infinity.
status check_row(std::span<const float> logits) {
  bool any = false;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!(logits[id] <= largest))
      return {status_code::corrupt,
              text("the logit of token ", id, " is ", std::isnan(logits[id]) ? "NaN" : "infinite")};
    any |= logits[id] >= -largest;
  }
  if (any) return {};
  return {status_code::corrupt,
          text("all ", logits.size(), " logits are -infinity or there are none")};
}

// Finite stays finite, whatever the factor; a masked logit stays masked.
float bounded(double value, float before) {
  if (before == -infinity) return before;
  return static_cast<float>(std::clamp<double>(value, -largest, largest));
}

// Null for what is no token of the row.
float* find(std::span<float> row, int32_t token) {
  return token >= 0 && static_cast<size_t>(token) < row.size() ? &row[static_cast<size_t>(token)]
                                                               : nullptr;
}

void adjust(const sample_args& args, std::span<float> row) {
  const sampling_options& options = *args.options;
  for (const auto& [token, bias] : options.logit_bias)
    if (float* logit = find(row, token)) *logit = bounded(double{*logit} + bias, *logit);
  const bool penalised = options.repetition_penalty != 1 || options.presence_penalty != 0 ||
                         options.frequency_penalty != 0;
  if (penalised && args.history != nullptr) {
    for (const auto& [token, seen] : args.history->tokens()) {
      float* logit = find(row, token);
      if (logit == nullptr) continue;
      double value = *logit;
      value = value > 0 ? value / options.repetition_penalty : value * options.repetition_penalty;
      value -= double{options.frequency_penalty} * seen.output;
      if (seen.output > 0) value -= options.presence_penalty;
      *logit = bounded(value, *logit);
    }
  }
  for (const int32_t token : args.banned)
    if (float* logit = find(row, token)) *logit = -infinity;
}

float best_of(std::span<const float> row) {
  return *std::max_element(row.begin(), row.end());
}

int32_t draw(std::span<const float> row, const sample_args& args) {
  const sampling_options& options = *args.options;
  weight_bands bands(row, best_of(row), options.temperature);
  band_cut kept = bands.all();
  if (options.top_k > 0 && options.top_k < row.size()) kept = bands.best_count(kept, options.top_k);
  if (options.top_p < 1) kept = bands.best_share(kept, options.top_p);
  if (options.min_p > 0) kept = bands.at_least(kept, options.min_p);
  const random_key key{options.seed, random_subsystem::sampling, args.choice};
  return bands.pick(kept, random_unit(key, args.position));
}

// Requires check_row(logits).ok().
void fill_logprobs(std::span<const float> logits, uint32_t count, sampled_token& out) {
  const float best = best_of(logits);
  weight_bands bands(logits, best, 1);
  const double log_total = sampling_log(bands.all().total);
  const auto logprob = [&](float logit) {
    return static_cast<float>(double{logit} - best - log_total);
  };
  out.logprob = logprob(logits[static_cast<size_t>(out.token)]);
  for (const auto& one : bands.best(count)) out.top.push_back({one.token, logprob(one.logit)});
}

} // namespace

status validate(const sampling_options& options, uint32_t vocabulary) {
  TROUPE_RETURN_IF_ERROR(check_range(options.temperature, {"temperature", 0, largest}));
  TROUPE_RETURN_IF_ERROR(check_range(options.top_p, {"top_p", 0, 1, false}));
  TROUPE_RETURN_IF_ERROR(check_range(options.min_p, {"min_p", 0, 1}));
  TROUPE_RETURN_IF_ERROR(
      check_range(options.repetition_penalty, {"repetition_penalty", 0, largest, false}));
  TROUPE_RETURN_IF_ERROR(check_range(options.presence_penalty, {"presence_penalty", -2, 2}));
  TROUPE_RETURN_IF_ERROR(check_range(options.frequency_penalty, {"frequency_penalty", -2, 2}));
  for (const auto& entry : options.logit_bias)
    TROUPE_RETURN_IF_ERROR(validate_bias(entry, vocabulary));
  return {};
}

void token_history::add_prompt(std::span<const int32_t> tokens) {
  for (const int32_t token : tokens) tokens_[token].in_prompt = true;
}

void token_history::add_output(int32_t token) {
  ++tokens_[token].output;
}

result<sampled_token> sample(const sample_args& args, std::vector<float>& scratch) {
  TROUPE_CHECK(args.options != nullptr);
  if (status s = check_row(args.logits); !s.ok()) return fail(std::move(s));
  scratch.assign(args.logits.begin(), args.logits.end());
  adjust(args, scratch);
  const auto best = std::max_element(scratch.begin(), scratch.end()); // the first of equals
  if (*best == -infinity)
    return fail(status_code::invalid_argument,
                "no token may be drawn: all that the model allows are banned");
  sampled_token out;
  const bool greedy = args.options->temperature == 0;
  out.token = greedy ? static_cast<int32_t>(best - scratch.begin()) : draw(scratch, args);
  if (args.top_logprobs) fill_logprobs(args.logits, *args.top_logprobs, out);
  return out;
}

result<sampled_token> score(std::span<const float> logits, int32_t token, uint32_t top_logprobs) {
  if (status s = check_row(logits); !s.ok()) return fail(std::move(s));
  if (token < 0 || static_cast<size_t>(token) >= logits.size())
    return fail(status_code::invalid_argument,
                text("token ", token, " is not in the vocabulary of ", logits.size()));
  sampled_token out;
  out.token = token;
  fill_logprobs(logits, top_logprobs, out);
  return out;
}

} // namespace troupe::model
