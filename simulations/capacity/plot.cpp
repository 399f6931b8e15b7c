// A small writer of SVG: axes, lines with marks, stacked bars.
#include "simulations/capacity/plot.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace troupe::simulations::capacity {
namespace {

constexpr double width = 880, panel_height = 300, left = 90, right = 90, top = 46, bottom = 48;
constexpr std::string_view ink = "#222222", faint = "#dddddd";
constexpr std::array<std::string_view, 6> colours = {"#2166ac", "#67a9cf", "#b2182b",
                                                     "#ef8a62", "#1b7837", "#999999"};

std::string number(double value) {
  std::array<char, 40> out;
  const double size = std::abs(value);
  const char* format = size >= 1e6 ? "%.3g" : size >= 100 || size == 0 ? "%.0f" : "%.3g";
  std::snprintf(out.data(), out.size(), format, value);
  return out.data();
}

std::string at(double value) {
  std::array<char, 40> out;
  std::snprintf(out.data(), out.size(), "%.2f", value);
  return out.data();
}

std::string escaped(std::string_view from) {
  std::string out;
  for (const char c : from) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

struct label_args {
  double x, y;
  std::string_view anchor = "start";
  std::string_view colour = ink;
  int size = 12;
};

std::string label(const label_args& args, std::string_view words) {
  return text("<text x=\"", at(args.x), "\" y=\"", at(args.y), "\" text-anchor=\"", args.anchor,
              "\" font-size=\"", args.size, "\" fill=\"", args.colour, "\">", escaped(words),
              "</text>\n");
}

std::string stroke(double x1, double y1, double x2, double y2, std::string_view colour) {
  return text("<line x1=\"", at(x1), "\" y1=\"", at(y1), "\" x2=\"", at(x2), "\" y2=\"", at(y2),
              "\" stroke=\"", colour, "\"/>\n");
}

// The next of 1, 2, 5, 10, … times a power of ten.
double round_up(double value) {
  if (value <= 0) return 1;
  double unit = 1;
  while (unit > value) unit /= 10;
  while (unit * 10 <= value) unit *= 10;
  for (const double step : {1.0, 2.0, 5.0, 10.0})
    if (step * unit >= value) return step * unit;
  return 10 * unit;
}

// One place of the horizontal axis; a line joins those with as many copies.
struct mark {
  uint32_t nodes, copies;
};

struct series {
  std::string name;
  std::vector<double> values;
  bool right_axis = false;
  std::string_view colour;
};

std::string axis(double y0, double most, bool right_side, std::string_view name) {
  const double height = panel_height - top - bottom;
  std::string out;
  for (int n = 0; n <= 5; ++n) {
    const double y = y0 + top + height * (1 - n / 5.0);
    if (!right_side) out += stroke(left, y, width - right, y, n == 0 ? ink : faint);
    out += label({.x = right_side ? width - right + 8 : left - 8,
                  .y = y + 4,
                  .anchor = right_side ? "start" : "end"},
                 number(most * n / 5));
  }
  return out + label({.x = right_side ? width - 8 : 8,
                      .y = y0 + top - 12,
                      .anchor = right_side ? "end" : "start"},
                     name);
}

std::string line_panel(double y0, const std::vector<mark>& marks, const std::vector<series>& all) {
  const double height = panel_height - top - bottom, span = width - left - right;
  double most[2] = {0, 0};
  for (const auto& each : all)
    for (const double value : each.values)
      most[each.right_axis] = std::max(most[each.right_axis], value);
  for (double& each : most) each = round_up(each);
  std::string out =
      axis(y0, most[0], false, "goodput, tokens/s") + axis(y0, most[1], true, "p99, ms");
  const auto x_of = [&](size_t n) {
    return marks.size() < 2 ? left + span / 2 : left + span * double(n) / double(marks.size() - 1);
  };
  for (size_t n = 0; n < marks.size(); ++n)
    out += label({.x = x_of(n), .y = y0 + panel_height - bottom + 18, .anchor = "middle"},
                 text(marks[n].nodes, " (", marks[n].copies, ")"));
  out += label({.x = width / 2, .y = y0 + panel_height - 10, .anchor = "middle"},
               "nodes (copies of each expert)");
  double key = left;
  for (const auto& each : all) {
    std::string points;
    for (size_t n = 0; n < each.values.size(); ++n) {
      const double y = y0 + top + height * (1 - each.values[n] / most[each.right_axis]);
      points += text(at(x_of(n)), ",", at(y), " ");
      out += text("<circle cx=\"", at(x_of(n)), "\" cy=\"", at(y), "\" r=\"3.5\" fill=\"",
                  each.colour, "\"/>\n");
      if (n + 1 < marks.size() && marks[n + 1].copies == marks[n].copies) continue;
      out += text("<polyline points=\"", points, "\" fill=\"none\" stroke=\"", each.colour,
                  "\" stroke-width=\"2\"/>\n");
      points.clear();
    }
    out += text("<rect x=\"", at(key + 120), "\" y=\"", at(y0 + top - 24),
                "\" width=\"12\" height=\"4\" fill=\"", each.colour, "\"/>\n");
    out += label({.x = key + 138, .y = y0 + top - 18}, each.name);
    key += 150;
  }
  return out;
}

struct bar {
  std::string name;
  std::vector<double> parts;
  double waits = 0; // would dwarf the parts: written above them
};

std::string bar_panel(double y0, const std::vector<bar>& bars,
                      const std::vector<std::string>& parts) {
  const double height = panel_height - top - bottom, span = width - left - right;
  double most = 0;
  for (const auto& each : bars) {
    double sum = 0;
    for (const double part : each.parts) sum += part;
    most = std::max(most, sum);
  }
  most = round_up(most);
  std::string out = axis(y0, most, false, "seconds of a replica");
  const double slot = span / static_cast<double>(std::max<size_t>(1, bars.size()));
  for (size_t n = 0; n < bars.size(); ++n) {
    const double x = left + slot * (double(n) + 0.2);
    double y = y0 + top + height;
    for (size_t k = 0; k < bars[n].parts.size(); ++k) {
      const double part = height * bars[n].parts[k] / most;
      y -= part;
      out += text("<rect x=\"", at(x), "\" y=\"", at(y), "\" width=\"", at(slot * 0.6),
                  "\" height=\"", at(part), "\" fill=\"", colours[k % colours.size()], "\"/>\n");
    }
    if (bars[n].waits > 0)
      out += label({.x = x + slot * 0.3, .y = y - 6, .anchor = "middle", .size = 11},
                   text("+ ", number(bars[n].waits), " s no node"));
    out += label(
        {.x = x + slot * 0.3, .y = y0 + panel_height - bottom + 18, .anchor = "middle", .size = 11},
        bars[n].name);
  }
  for (size_t k = 0; k < parts.size(); ++k) {
    const double x = left + 140 + 95 * double(k);
    out += text("<rect x=\"", at(x), "\" y=\"", at(y0 + top - 28),
                "\" width=\"10\" height=\"10\" fill=\"", colours[k % colours.size()], "\"/>\n");
    out += label({.x = x + 14, .y = y0 + top - 19}, parts[k]);
  }
  return out;
}

struct point {
  uint32_t nodes, copies;
  const run_result* result;
};

std::vector<point> points_of(const report& what) {
  std::vector<point> out;
  for (const auto& row : what.rows)
    if (row.why_not.empty()) out.push_back({row.nodes, row.copies, &row.result});
  if (what.found)
    for (const auto& each : what.found->tried)
      if (each.why_not.empty()) out.push_back({each.nodes, each.copies, &each.result});
  std::sort(out.begin(), out.end(), [](const point& a, const point& b) {
    return a.copies != b.copies ? a.copies < b.copies : a.nodes < b.nodes;
  });
  return out;
}

const availability_result* availability_of(const report& what) {
  if (what.found && !what.found->choices.empty())
    return &what.found->choices[what.found->best.value_or(0)].availability;
  for (auto row = what.rows.rbegin(); row != what.rows.rend(); ++row)
    if (row->availability && !row->availability->classes.empty()) return &*row->availability;
  return nullptr;
}

} // namespace

std::string report_svg(const report& what) {
  const auto points = points_of(what);
  std::vector<mark> marks;
  series goodput{"goodput", {}, false, colours[0]}, ttft{"TTFT p99", {}, true, colours[2]},
      tpot{"TPOT p99", {}, true, colours[4]};
  for (const auto& each : points) {
    marks.push_back({each.nodes, each.copies});
    goodput.values.push_back(each.result->goodput_per_s);
    ttft.values.push_back(each.result->ttft.p99_ms);
    tpot.values.push_back(each.result->tpot.p99_ms);
  }
  const auto* recovery = availability_of(what);
  if (recovery != nullptr && recovery->classes.empty()) recovery = nullptr;
  const double height = 40 + panel_height * (recovery != nullptr ? 2 : 1);
  std::string out = text(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", at(width), "\" height=\"", at(height),
      "\" viewBox=\"0 0 ", at(width), " ", at(height),
      "\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
  out += label({.x = 8, .y = 22, .size = 15},
               text(what.of.system.model.name, " on ", what.of.system.device.name, ", ",
                    what.of.profile.name, " at ", number(what.of.rate_per_s), " requests/s"));
  out += line_panel(32, marks, {goodput, ttft, tpot});
  if (recovery != nullptr) {
    std::vector<bar> bars;
    for (const auto& each : recovery->classes)
      bars.push_back({text(to_string(each.kind), each.hang ? ", hangs" : ""),
                      {each.detect.mean(), each.decide.mean(), each.restore.mean(),
                       each.refill.mean(), each.rejoin.mean()},
                      each.down.mean()});
    out += bar_panel(32 + panel_height, bars, {"detect", "decide", "restore", "refill", "rejoin"});
  }
  return out + "</svg>\n";
}

} // namespace troupe::simulations::capacity
