// The three traces.
#include "simulations/capacity/trace_profile.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "simulations/capacity/fixed_math.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::simulations::capacity {
namespace {

constexpr bool published = true;

trace_profile azure_code() {
  trace_profile out;
  out.name = "azure_code";
  out.published = {.rate_per_s = 2.57,
                   .span_s = 3436,
                   .gap_cv = 13.2,
                   .dispersion_1s = 13,
                   .dispersion_10s = 72,
                   .dispersion_60s = 164,
                   .autocorrelation_1s = 0.76,
                   .autocorrelation_10s = 0.47,
                   .autocorrelation_60s = 0.16,
                   .mean_input = 2048,
                   .mean_output = 27.9,
                   .correlation = 0.001,
                   .prefix_hit_rate = {},
                   .blocks_used_once = {}};
  out.arrivals = {.gate_on_s = 13.2,
                  .gate_off_s = 42,
                  .slow_deviation = 0.28,
                  .slow_tau_s = 300,
                  .clients = 100,
                  .client_on_s = 3,
                  .client_off_s = 18,
                  .gamma_halves = 2};
  out.input = {{0, 20},
               {0.1, 147, published},
               {0.5, 1469, published},
               {0.9, 5186, published},
               {0.99, 7436, published},
               {1, 7437, published}};
  out.output = {{0, 3},     {0.1, 7, published},    {0.5, 13, published}, {0.9, 55, published},
                {0.97, 95}, {0.99, 252, published}, {0.999, 400},         {1, 1899, published}};
  return out;
}

trace_profile azure_conversation() {
  trace_profile out;
  out.name = "azure_conversation";
  out.published = {.rate_per_s = 5.53,
                   .span_s = 3502,
                   .gap_cv = 1.09,
                   .dispersion_1s = 1.4,
                   .dispersion_10s = 3.9,
                   .dispersion_60s = 16,
                   .autocorrelation_1s = 0.22,
                   .autocorrelation_10s = 0.69,
                   .autocorrelation_60s = 0.81,
                   .mean_input = 1155,
                   .mean_output = 211,
                   .correlation = -0.112,
                   .prefix_hit_rate = {},
                   .blocks_used_once = {}};
  out.arrivals = {.gate_on_s = 0,
                  .gate_off_s = 0,
                  .slow_deviation = 0.22,
                  .slow_tau_s = 300,
                  .clients = 100,
                  .client_on_s = 0.7,
                  .client_off_s = 0.5,
                  .gamma_halves = 2};
  out.input = {{0, 20},
               {0.1, 207, published},
               {0.5, 1020, published},
               {0.9, 2735, published},
               {0.99, 4142, published},
               {0.999, 4142},
               {1, 14050, published}};
  out.output = {{0, 10},
                {0.1, 54, published},
                {0.5, 129, published},
                {0.7, 395}, // the second hump, 395 to 451
                {0.9, 424, published},
                {0.99, 601, published},
                {1, 1000, published}};
  out.antithetic_share = 0.13;
  return out;
}

trace_profile mooncake_conversation() {
  trace_profile out;
  out.name = "mooncake_conversation";
  out.published = {.rate_per_s = 3.40, // stamps lie on a 3 s grid: nothing finer is known
                   .span_s = 3537,
                   .gap_cv = {},
                   .dispersion_1s = {},
                   .dispersion_10s = {},
                   .dispersion_60s = {},
                   .autocorrelation_1s = {},
                   .autocorrelation_10s = {},
                   .autocorrelation_60s = {},
                   .mean_input = 12035,
                   .mean_output = 343,
                   .correlation = {},
                   .prefix_hit_rate = 0.366,
                   .blocks_used_once = 0.758};
  out.arrivals = azure_conversation().arrivals; // assumed alike
  out.input = {{0, 200},
               {0.1, 964, published},
               {0.5, 6909, published},
               {0.9, 27367, published},
               {0.99, 85401, published},
               {1, 126195, published}};
  out.output = {{0, 5},
                {0.1, 24, published},
                {0.5, 350, published},
                {0.9, 597, published},
                {0.99, 1120, published},
                {1, 2000, published}};
  out.sessions = {.block_tokens = 512,
                  .follow_up_share = 0.56,
                  .one_shot_share = 0.8,
                  .tries = 8,
                  .recent_max = 256,
                  .common_block = true};
  return out;
}

} // namespace

double table_mean(const length_table& table) {
  double sum = 0;
  for (size_t n = 1; n < table.size(); ++n) {
    const double a = table[n - 1].length, b = table[n].length;
    const double middle = b - a < 1e-9 ? a : (b - a) / (natural_log(b) - natural_log(a));
    sum += (table[n].share - table[n - 1].share) * middle;
  }
  return sum;
}

uint32_t length_at(const length_table& table, double share) {
  TROUPE_CHECK(table.size() >= 2);
  size_t n = 1;
  while (n + 1 < table.size() && table[n].share < share) ++n;
  const auto& low = table[n - 1];
  const auto& high = table[n];
  const double width = high.share - low.share;
  const double part = width <= 0 ? 1 : std::clamp((share - low.share) / width, 0.0, 1.0);
  if (high.length - low.length < 1e-9) return static_cast<uint32_t>(high.length);
  const double from = natural_log(low.length), to = natural_log(high.length);
  return std::max<uint32_t>(1, static_cast<uint32_t>(exponential(from + part * (to - from)) + 0.5));
}

std::vector<std::string> trace_profile_names() {
  return {"azure_code", "azure_conversation", "mooncake_conversation"};
}

result<trace_profile> trace_profile_named(std::string_view name) {
  if (name == "azure_code") return azure_code();
  if (name == "azure_conversation") return azure_conversation();
  if (name == "mooncake_conversation") return mooncake_conversation();
  const std::string near = nearest_name(name, trace_profile_names());
  return fail(status_code::invalid_argument,
              text("'", name,
                   "' is no trace; there are azure_code, azure_conversation and "
                   "mooncake_conversation",
                   near.empty() ? "" : text("; did you mean ", near, "?")));
}

} // namespace troupe::simulations::capacity
