// Adjusts a row of logits, ranks it from the top as far as needed, and draws.
//
// Weights are exp((logit - best) / temperature) in double; what lies below e^-40 counts as nothing. The
// total is summed by id, cumulative sums run from the best candidate down (ties by lower id).
#include "model/sampler.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
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
constexpr double exponent_min = -40;

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
    return {status_code::invalid_argument, text("logit_bias names token ", token,
                                                "; the vocabulary has 0 to ", vocabulary - 1)};
  const status in_range = check_range(bias, {"logit_bias", -100, 100});
  return in_range.ok() ? in_range : in_range.within(text("token ", token));
}

// -- the row

// A row that a model can mean: no NaN, no +infinity, at least one token not masked by -infinity.
status check_row(std::span<const float> logits) {
  bool any = false;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!(logits[id] <= largest))
      return {status_code::corrupt, text("the logit of token ", id, " is ",
                                         std::isnan(logits[id]) ? "NaN" : "infinite")};
    any |= logits[id] >= -largest;
  }
  if (any) return {};
  return {status_code::corrupt, text("all ", logits.size(), " logits are -infinity or there are none")};
}

// Finite stays finite, whatever the factor; a masked logit stays masked.
float bounded(double value, float before) {
  if (before == -infinity) return before;
  return static_cast<float>(std::clamp<double>(value, -largest, largest));
}

void adjust(const sample_args& args, std::span<float> row) {
  const sampling_options& options = *args.options;
  for (const auto& [token, bias] : options.logit_bias) {
    float& logit = row[static_cast<size_t>(token)];
    logit = bounded(double{logit} + bias, logit);
  }
  const bool penalised = options.repetition_penalty != 1 || options.presence_penalty != 0 ||
                         options.frequency_penalty != 0;
  if (penalised && args.history != nullptr) {
    for (const auto& [token, seen] : args.history->tokens()) {
      if (token < 0 || static_cast<size_t>(token) >= row.size()) continue;
      float& logit = row[static_cast<size_t>(token)];
      double value = logit;
      value = value > 0 ? value / options.repetition_penalty : value * options.repetition_penalty;
      value -= double{options.frequency_penalty} * seen.output;
      if (seen.output > 0) value -= options.presence_penalty;
      logit = bounded(value, logit);
    }
  }
  for (const int32_t token : args.banned)
    if (token >= 0 && static_cast<size_t>(token) < row.size()) row[static_cast<size_t>(token)] = -infinity;
}

// -- ranking

struct candidate {
  float logit = 0;
  int32_t token = 0;
};

bool ranks_below(const candidate& a, const candidate& b) {
  return a.logit != b.logit ? a.logit < b.logit : a.token > b.token;
}

candidate best_of(std::span<const float> row) {
  const auto best = std::max_element(row.begin(), row.end()); // the first of equals
  return {*best, static_cast<int32_t>(best - row.begin())};
}

// Gives the tokens of a row best first, masked ones never. Looks at one band of logits at a time,
// because callers nearly always stop early: a heap of the few near the top instead of a sort of all.
class ranking {
public:
  // `best` is the largest logit, `unit` the width in logits of one e-fold of weight.
  ranking(std::span<const float> row, float best, double unit) : row_(row), best_(best), unit_(unit) {}

  bool next(candidate& out) {
    while (heap_.empty())
      if (!fill_next_band()) return false;
    std::pop_heap(heap_.begin(), heap_.end(), ranks_below);
    out = heap_.back();
    heap_.pop_back();
    return true;
  }

private:
  static constexpr std::array<double, 3> band_depths = {4, 12, 40};

  bool fill_next_band() {
    if (band_ > band_depths.size()) return false;
    const float above = floor_;
    const bool first = band_ == 0;
    floor_ = band_ < band_depths.size() ? bounded(best_ - band_depths[band_] * unit_, best_) : -largest;
    ++band_;
    for (size_t id = 0; id < row_.size(); ++id)
      if (row_[id] >= floor_ && (first || row_[id] < above))
        heap_.push_back({row_[id], static_cast<int32_t>(id)});
    std::make_heap(heap_.begin(), heap_.end(), ranks_below);
    return true;
  }

  std::span<const float> row_;
  float best_;
  double unit_;
  size_t band_ = 0;
  float floor_ = 0; // of the bands so far
  std::vector<candidate> heap_;
};

// -- weights

struct weighing {
  float best = 0;
  double temperature = 1;

  double weight(float logit) const {
    const double x = (double{logit} - best) / temperature;
    return x < exponent_min ? 0 : sampling_exp(x);
  }
  double total(std::span<const float> row) const {
    double sum = 0;
    for (const float logit : row) sum += weight(logit);
    return sum;
  }
};

struct weighted_token {
  int32_t token = 0;
  double weight = 0;
};

// The first token at which the cumulative weight exceeds the share u of the total.
int32_t pick(std::span<const weighted_token> kept, double total, double u) {
  double cumulative = 0;
  for (const weighted_token& one : kept) {
    cumulative += one.weight;
    if (cumulative > u * total) return one.token;
  }
  return kept.back().token; // rounding
}

// No truncation: walk down from the best token until the cumulative weight exceeds u.
int32_t draw_from_all(std::span<const float> row, const weighing& weigh, double u) {
  const double target = weigh.total(row) * u;
  ranking ranked(row, weigh.best, weigh.temperature);
  double cumulative = 0;
  candidate next;
  int32_t last = 0;
  while (ranked.next(next)) {
    const double weight = weigh.weight(next.logit);
    if (weight == 0) break;
    last = next.token;
    cumulative += weight;
    if (cumulative > target) break;
  }
  return last;
}

// The best tokens that top-k, then top-p, then min-p leave.
std::vector<weighted_token> truncate(std::span<const float> row, const weighing& weigh,
                                     const sampling_options& options) {
  const bool limited = options.top_k > 0 && options.top_k < row.size();
  const size_t count_max = limited ? options.top_k : row.size();
  double nucleus = infinity; // weight at which top-p stops
  if (options.top_p < 1 && !limited) nucleus = weigh.total(row) * options.top_p;
  std::vector<weighted_token> kept;
  ranking ranked(row, weigh.best, weigh.temperature);
  double cumulative = 0;
  candidate next;
  while (kept.size() < count_max && cumulative < nucleus && ranked.next(next)) {
    const double weight = weigh.weight(next.logit);
    // What min-p drops still counts for the total of top-p within top-k.
    const bool counted = limited && options.top_p < 1;
    if (weight == 0 || (weight < options.min_p && !counted)) break;
    kept.push_back({next.token, weight});
    cumulative += weight;
  }
  if (limited && options.top_p < 1) {
    nucleus = cumulative * options.top_p;
    cumulative = 0;
    size_t count = 0;
    while (count < kept.size() && cumulative < nucleus) cumulative += kept[count++].weight;
    kept.resize(count);
  }
  while (kept.size() > 1 && kept.back().weight < options.min_p) kept.pop_back();
  return kept;
}

int32_t draw(std::span<const float> row, const sample_args& args, float best) {
  const sampling_options& options = *args.options;
  const weighing weigh{best, options.temperature};
  const double u =
      random_unit({options.seed, random_subsystem::sampling, args.choice}, args.position);
  if (options.top_k == 0 && options.top_p >= 1 && options.min_p <= 0)
    return draw_from_all(row, weigh, u);
  const std::vector<weighted_token> kept = truncate(row, weigh, options);
  double total = 0;
  for (const weighted_token& one : kept) total += one.weight;
  return pick(kept, total, u);
}

// Requires check_row(logits).ok().
void fill_logprobs(std::span<const float> logits, uint32_t count, sampled_token& out) {
  const weighing weigh{best_of(logits).logit, 1};
  const double log_total = sampling_log(weigh.total(logits));
  const auto logprob = [&](float logit) {
    return static_cast<float>(double{logit} - weigh.best - log_total);
  };
  out.logprob = logprob(logits[static_cast<size_t>(out.token)]);
  ranking ranked(logits, weigh.best, 1);
  candidate next;
  while (out.top.size() < count && ranked.next(next)) out.top.push_back({next.token, logprob(next.logit)});
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

void token_history::add_output(int32_t token) { ++tokens_[token].output; }

result<sampled_token> sample(const sample_args& args, std::vector<float>& scratch) {
  TROUPE_CHECK(args.options != nullptr);
  if (status s = check_row(args.logits); !s.ok()) return fail(std::move(s));
  scratch.assign(args.logits.begin(), args.logits.end());
  adjust(args, scratch);
  const candidate best = best_of(scratch);
  if (best.logit == -infinity)
    return fail(status_code::invalid_argument,
                "no token may be drawn: all that the model allows are banned");
  sampled_token out;
  out.token = args.options->temperature == 0 ? best.token : draw(scratch, args, best.logit);
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
