// Reading the batch list, and printing the measurements.
#include "cli/bench.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>

namespace troupe::cli {

result<std::vector<uint32_t>> parse_batches(std::string_view list) {
  constexpr uint32_t batch_max = 4096;
  std::vector<uint32_t> out;
  for (;;) {
    const size_t comma = std::min(list.find(','), list.size());
    uint32_t size = 0;
    const std::string_view word = list.substr(0, comma);
    if (!parse_value(word, size).ok() || size == 0 || size > batch_max)
      return fail(status_code::invalid_argument,
                  text("--batch: '", word, "' is no batch size; give numbers from 1 to ", batch_max,
                       " such as 1,4,16"));
    out.push_back(size);
    if (comma == list.size()) return out;
    list.remove_prefix(comma + 1);
  }
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::string report_table(const bench_report& report) {
  std::string out = text("model ", report.model, ", weights ", report.format, ", ", report.device,
                         "\n", "checked: ", report.checked_sequences,
                         " sequences alone and in a batch give the same tokens\n");
  std::array<char, 160> line;
  std::snprintf(line.data(), line.size(), "%-10s %6s %8s %14s %12s %12s\n", "test", "batch",
                "tokens", "median tok/s", "min", "max");
  out += line.data();
  for (const auto& row : report.rows) {
    const auto [least, most] =
        std::minmax_element(row.tokens_per_s.begin(), row.tokens_per_s.end());
    std::snprintf(line.data(), line.size(), "%-10s %6u %8llu %14.1f %12.1f %12.1f\n",
                  row.test.c_str(), row.batch, static_cast<unsigned long long>(row.tokens),
                  median(row.tokens_per_s), *least, *most);
    out += line.data();
  }
  return out;
}

std::string report_json(const bench_report& report) {
  nlohmann::ordered_json out;
  out["model"] = report.model;
  out["weights"] = report.format;
  out["device"] = report.device;
  out["checked_sequences"] = report.checked_sequences;
  out["results"] = nlohmann::ordered_json::array();
  for (const auto& row : report.rows) {
    const auto [least, most] =
        std::minmax_element(row.tokens_per_s.begin(), row.tokens_per_s.end());
    out["results"].push_back({{"test", row.test},
                              {"batch", row.batch},
                              {"tokens", row.tokens},
                              {"repetitions", row.tokens_per_s.size()},
                              {"median_tokens_per_s", median(row.tokens_per_s)},
                              {"min_tokens_per_s", *least},
                              {"max_tokens_per_s", *most}});
  }
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

} // namespace troupe::cli
