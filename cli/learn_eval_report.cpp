// The matrix and its figures, for people and for programs.
#include "cli/learn_data.hpp"
#include "cli/learn_eval.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace troupe::cli {
namespace {

constexpr size_t column_width = 10;
constexpr size_t name_width_max = 40;

std::string padded(std::string text, size_t width, bool left) {
  if (text.size() >= width) return text;
  return left ? text + std::string(width - text.size(), ' ')
              : std::string(width - text.size(), ' ') + text;
}

// The end of a path says more than its beginning.
std::string shortened(const std::string& name) {
  if (name.size() <= name_width_max) return name;
  return "..." + name.substr(name.size() - name_width_max + 3);
}

std::string line(const std::string& name, size_t width, const std::vector<double>& values) {
  std::string out = padded(shortened(name), width, true);
  for (const double value : values) out += ' ' + padded(shown_figure(value), column_width, false);
  return out + '\n';
}

} // namespace

std::string table_of(const learn_eval_report& report) {
  size_t width = 18;
  for (const auto& name : report.models) width = std::max(width, shortened(name).size());
  std::string out = padded("bits per byte", width, true);
  for (const auto& name : report.domains) out += ' ' + padded(name, column_width, false);
  out += '\n';
  for (size_t i = 0; i < report.losses.size(); ++i)
    out += line(report.models[i], width, report.losses[i]);
  if (!report.joint.empty()) out += line("joint", width, report.joint);
  const auto figures = dataflow::measure_retention(report.losses, report.joint);
  const auto say = [&](std::string name, const std::optional<double>& value) {
    if (value)
      out += padded(std::move(name), width, true) + ' ' +
             padded(shown_figure(*value), column_width, false) + '\n';
  };
  say("average", figures.average);
  say("backward transfer", figures.backward_transfer);
  say("forward transfer", figures.forward_transfer);
  say("forgetting", figures.forgetting);
  say("retention", figures.retention);
  say("regret", figures.regret);
  return out;
}

std::string json_of(const learn_eval_report& report) {
  const auto figures = dataflow::measure_retention(report.losses, report.joint);
  const auto value = [](const std::optional<double>& from) {
    return from ? nlohmann::ordered_json(*from) : nlohmann::ordered_json();
  };
  nlohmann::ordered_json out{{"unit", "bits per byte"},
                             {"models", report.models},
                             {"domains", report.domains},
                             {"losses", report.losses}};
  if (!report.joint.empty()) out["joint"] = report.joint;
  out["average"] = figures.average;
  out["backward_transfer"] = value(figures.backward_transfer);
  out["forward_transfer"] = value(figures.forward_transfer);
  out["forgetting"] = value(figures.forgetting);
  out["retention"] = value(figures.retention);
  out["regret"] = value(figures.regret);
  return out.dump(2) + '\n';
}

} // namespace troupe::cli
