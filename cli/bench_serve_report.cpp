// Requests from a seed, and figures from answers.
#include "cli/bench_serve.hpp"

#include "base/random.hpp"
#include "base/text.hpp"
#include "cli/option_value.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace troupe::cli {
namespace {

constexpr uint64_t requests_max = 200'000; // of one measurement
constexpr uint32_t set_bits = 40;          // draws of one set of requests
constexpr uint32_t moments_of = 0;         // entities of the random key: moments, then prompts
constexpr size_t rates_max = 64;

std::string body_of(const bench_serve_settings& of, const std::string& model, uint32_t set,
                    uint64_t number) {
  const random_key key{.seed = of.seed,
                       .subsystem = random_subsystem::workload,
                       .entity = static_cast<uint32_t>(number + 1)};
  nlohmann::json prompt = nlohmann::json::array();
  for (uint32_t i = 0; i < of.prompt_length; ++i)
    prompt.push_back(random_below(key, (uint64_t{set} << set_bits) + i, of.token_ids));
  return nlohmann::json{{"model", model},
                        {"prompt", std::move(prompt)},
                        {"max_tokens", of.answer_length},
                        {"temperature", 0},
                        {"ignore_eos", true},
                        {"stream", true},
                        {"stream_options", {{"include_usage", true}}}}
      .dump();
}

// Nearest rank.
spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(values.size())));
    return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
  };
  return {at(0.5), at(0.9), at(0.99), values.back()};
}

double ms(duration from) {
  return std::chrono::duration<double, std::milli>(from).count();
}

nlohmann::ordered_json json_of(const spread& from) {
  return {{"p50", from.p50}, {"p90", from.p90}, {"p99", from.p99}, {"max", from.most}};
}

} // namespace

std::vector<server::load_request> requests_at(double per_second, const bench_serve_settings& of,
                                              const std::string& model, uint32_t set) {
  const random_key key{
      .seed = of.seed, .subsystem = random_subsystem::workload, .entity = moments_of};
  std::vector<server::load_request> out;
  double at = 0;
  for (uint64_t n = 0; n < requests_max; ++n) {
    at += -std::log1p(-static_cast<double>(random_unit(key, (uint64_t{set} << set_bits) + n))) /
          per_second;
    if (at >= of.window) break;
    out.push_back({std::chrono::nanoseconds(std::llround(at * 1e9)), body_of(of, model, set, n)});
  }
  if (out.empty()) out.push_back({duration::zero(), body_of(of, model, set, 0)});
  return out;
}

load_row row_of(const std::vector<server::load_answer>& answers, const good_enough& limits) {
  load_row row;
  std::vector<double> first, per_token, gaps;
  uint64_t tokens = 0;
  duration begin = duration::max(), end{};
  for (const auto& answer : answers) {
    if (!answer.sent) continue;
    ++row.sent;
    begin = std::min(begin, answer.asked);
    end = std::max(end, answer.last);
    tokens += answer.tokens;
    if (answer.tokens > 0) first.push_back(ms(answer.first - answer.asked));
    for (const auto gap : answer.gaps) gaps.push_back(ms(gap));
    if (!answer.complete) {
      ++(answer.status == 429 || answer.status == 503 ? row.refused : row.failed);
      if (answer.status != 429 && row.trouble.empty()) row.trouble = answer.trouble;
      continue;
    }
    ++row.complete;
    const auto others = static_cast<int64_t>(std::max<uint64_t>(answer.tokens, 2) - 1);
    const duration each = (answer.last - answer.first) / others;
    if (answer.tokens > 1) per_token.push_back(ms(each));
    row.good += answer.first - answer.asked <= limits.first_token && each <= limits.per_token;
  }
  row.first_token = spread_of(std::move(first));
  row.per_token = spread_of(std::move(per_token));
  row.gap = spread_of(std::move(gaps));
  if (row.sent == 0 || end <= begin) return row;
  row.seconds = std::chrono::duration<double>(end - begin).count();
  row.tokens_per_s = static_cast<double>(tokens) / row.seconds;
  row.complete_per_s = static_cast<double>(row.complete) / row.seconds;
  row.good_per_s = static_cast<double>(row.good) / row.seconds;
  return row;
}

result<std::vector<double>> parse_rates(std::string_view flag, std::string_view list) {
  std::vector<double> out;
  for (;;) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view word = list.substr(0, comma);
    double value = 0;
    if (!parse_value(word, value).ok() || !std::isfinite(value) || value <= 0 || value > 1e6 ||
        out.size() == rates_max)
      return fail(status_code::invalid_argument,
                  text(flag, ": '", word,
                       "' is no rate; give positive numbers such as 0.5,2,8, at most ", rates_max));
    out.push_back(value);
    if (comma == list.size()) return out;
    list.remove_prefix(comma + 1);
  }
}

std::string load_table(const std::vector<load_row>& rows) {
  std::array<char, 256> line;
  std::string out;
  const auto put = [&](int size) { out.append(line.data(), static_cast<size_t>(size)); };
  put(std::snprintf(line.data(), line.size(), "%9s %6s %6s %7s %7s %9s %8s %19s %19s %19s\n",
                    "requests", "", "", "", "", "", "good", "first token ms", "per token ms",
                    "between tokens ms"));
  put(std::snprintf(line.data(), line.size(),
                    "%9s %6s %6s %7s %7s %9s %8s %9s %9s %9s %9s %9s %9s\n", "per s", "load",
                    "sent", "refused", "failed", "tokens/s", "per s", "p50", "p99", "p50", "p99",
                    "p50", "p99"));
  for (const auto& row : rows) {
    const std::string rate =
        row.rate > 0 ? text(double(std::lround(row.rate * 1000)) / 1000) : "capacity";
    const std::string load = row.percent > 0 ? text(row.percent, "%") : "-";
    put(std::snprintf(line.data(), line.size(),
                      "%9s %6s %6llu %7llu %7llu %9.1f %8.3f %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f\n",
                      rate.c_str(), load.c_str(), static_cast<unsigned long long>(row.sent),
                      static_cast<unsigned long long>(row.refused),
                      static_cast<unsigned long long>(row.failed), row.tokens_per_s, row.good_per_s,
                      row.first_token.p50, row.first_token.p99, row.per_token.p50,
                      row.per_token.p99, row.gap.p50, row.gap.p99));
  }
  for (const auto& row : rows)
    if (!row.trouble.empty()) out += text("one that failed: ", row.trouble, "\n");
  return out;
}

std::string load_json(const std::vector<load_row>& rows, const bench_serve_settings& settings,
                      const std::string& model) {
  nlohmann::ordered_json out{{"server", settings.server},
                             {"model", model},
                             {"prompt_length", settings.prompt_length},
                             {"answer_length", settings.answer_length},
                             {"window_s", settings.window},
                             {"first_token_max_ms", settings.first_token_max_ms},
                             {"per_token_max_ms", settings.per_token_max_ms},
                             {"rows", nlohmann::ordered_json::array()}};
  for (const auto& row : rows)
    out["rows"].push_back({{"rate", row.rate},
                           {"percent", row.percent},
                           {"sent", row.sent},
                           {"complete", row.complete},
                           {"refused", row.refused},
                           {"failed", row.failed},
                           {"good", row.good},
                           {"seconds", row.seconds},
                           {"tokens_per_s", row.tokens_per_s},
                           {"complete_per_s", row.complete_per_s},
                           {"good_per_s", row.good_per_s},
                           {"first_token_ms", json_of(row.first_token)},
                           {"per_token_ms", json_of(row.per_token)},
                           {"gap_ms", json_of(row.gap)},
                           {"trouble", row.trouble}});
  return out.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace troupe::cli
