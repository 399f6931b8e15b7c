// Reading the batch list, and printing the measurements.
#include "cli/bench.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>

namespace troupe::cli {

namespace {

constexpr size_t line_max = 240;

double mean_limit(const bench_row& row, double compute::machine_limits::*which) {
  double sum = 0;
  for (const auto& each : row.limits) sum += each.*which;
  return row.limits.empty() ? 0 : sum / double(row.limits.size());
}

double per_second(const bench_row& row, uint64_t amount) {
  const double seconds = std::chrono::duration<double>(row.time.total()).count();
  return seconds > 0 ? double(amount) / seconds : 0;
}

double median_or_zero(const std::vector<double>& values) {
  return values.empty() ? 0 : median(values);
}

// Rates of reading and multiplying, and what share of the machine's that is.
std::string limits_table(const bench_report& report) {
  std::array<char, line_max> line;
  std::snprintf(line.data(), line.size(), "%-10s %6s %10s %10s %8s %10s %10s %8s\n", "test",
                "batch", "GB/s", "possible", "of read", "GOP/s", "possible", "of int8");
  std::string out = line.data();
  for (const auto& row : report.rows) {
    const double products = mean_limit(row, &compute::machine_limits::int8_operations_per_s);
    std::snprintf(line.data(), line.size(),
                  "%-10s %6u %10.1f %10.1f %7.1f%% %10.1f %10.1f %7.1f%%\n", row.test.c_str(),
                  row.batch, per_second(row, row.time.weight_bytes) / 1e9,
                  mean_limit(row, &compute::machine_limits::read_bytes_per_s) / 1e9,
                  median_or_zero(row.read_share) * 100, per_second(row, row.time.operations) / 1e9,
                  products / 1e9, median_or_zero(row.integer_share) * 100);
    out += line.data();
  }
  return out;
}

std::string parts_table(const bench_report& report) {
  std::array<char, line_max> line;
  std::snprintf(line.data(), line.size(), "%-10s %6s %12s", "test", "batch", "us per token");
  std::string out = line.data();
  for (const auto& each : time_shares({})) {
    std::snprintf(line.data(), line.size(), " %9s", each.name.c_str());
    out += line.data();
  }
  out += "\n";
  for (const auto& row : report.rows) {
    const double each_us =
        row.tokens_timed == 0
            ? 0
            : std::chrono::duration<double, std::micro>(row.time.total()).count() /
                  double(row.tokens_timed);
    std::snprintf(line.data(), line.size(), "%-10s %6u %12.1f", row.test.c_str(), row.batch,
                  each_us);
    out += line.data();
    for (const auto& each : time_shares(row.time)) {
      std::snprintf(line.data(), line.size(), " %8.1f%%", each.share * 100);
      out += line.data();
    }
    out += "\n";
  }
  return out;
}

} // namespace

result<std::vector<uint32_t>> parse_batches(std::string_view list, std::string_view mode) {
  constexpr uint32_t batch_max = 4096;
  if (list.empty()) list = mode == "batch" ? "1,2,4,8,16,32" : "1";
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

std::vector<time_share> time_shares(const compute::meter_reading& reading) {
  const double total = std::chrono::duration<double>(reading.total()).count();
  std::vector<time_share> out;
  const auto add = [&](std::string_view name, duration part) {
    const double seconds = std::chrono::duration<double>(part).count();
    out.push_back({std::string(name), total > 0 ? seconds / total : 0});
  };
  using compute::part;
  for (const auto each : {part::embedding, part::attention, part::router, part::experts, part::head,
                          part::sampling, part::other})
    add(compute::to_string(each), reading.computing[static_cast<size_t>(each)]);
  add("waiting", reading.waiting);
  add("messages", reading.between);
  return out;
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
  std::array<char, line_max> line;
  std::snprintf(line.data(), line.size(), "loaded and started in %.1f s\n", report.load_s);
  out += line.data();
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
  if (report.rows.empty()) return out;
  return text(out, "\n", limits_table(report), "\n", parts_table(report));
}

std::string report_json(const bench_report& report) {
  nlohmann::ordered_json out;
  out["model"] = report.model;
  out["weights"] = report.format;
  out["device"] = report.device;
  out["load_s"] = report.load_s;
  out["checked_sequences"] = report.checked_sequences;
  out["results"] = nlohmann::ordered_json::array();
  for (const auto& row : report.rows) {
    const auto [least, most] =
        std::minmax_element(row.tokens_per_s.begin(), row.tokens_per_s.end());
    nlohmann::ordered_json shares;
    for (const auto& each : time_shares(row.time)) shares[each.name] = each.share;
    out["results"].push_back(
        {{"test", row.test},
         {"batch", row.batch},
         {"tokens", row.tokens},
         {"repetitions", row.tokens_per_s.size()},
         {"median_tokens_per_s", median(row.tokens_per_s)},
         {"min_tokens_per_s", *least},
         {"max_tokens_per_s", *most},
         {"weights_read_bytes_per_s", per_second(row, row.time.weight_bytes)},
         {"possible_read_bytes_per_s", mean_limit(row, &compute::machine_limits::read_bytes_per_s)},
         {"share_of_read", median_or_zero(row.read_share)},
         {"products_operations_per_s", per_second(row, row.time.operations)},
         {"possible_int8_operations_per_s",
          mean_limit(row, &compute::machine_limits::int8_operations_per_s)},
         {"share_of_int8", median_or_zero(row.integer_share)},
         {"jobs", row.time.jobs},
         {"time_shares", std::move(shares)}});
  }
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

} // namespace troupe::cli
