// Writes SVG by hand. Time is stretched where much happens and squeezed where nothing does, so the
// axis says when.
#include "simulations/runner/diagram.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace troupe::simulations {
namespace {

constexpr int64_t lane_width = 210, left = 110, top = 90, bottom = 60;
constexpr int64_t gap_least = 4, gap_most = 28; // pixels between two moments
constexpr int64_t pixels_per_ms = 18;
constexpr int64_t axis_every = 48;
constexpr size_t labels_max = 120; // of frames; with more of them only the pointer shows them
constexpr size_t label_length_max = 34;

// Text as it may stand in XML.
std::string escaped(std::string_view from) {
  std::string out;
  for (const char c : from) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (code < 0x20 || code > 0x7e)
      out += '?';
    else
      out += c;
  }
  return out;
}

std::string shortened(std::string_view from) {
  if (from.size() <= label_length_max) return std::string(from);
  return text(from.substr(0, label_length_max - 1), "~");
}

std::string time_text(time_point when) {
  const int64_t microseconds = when.time_since_epoch().count() / 1000;
  std::string part = text(1000 + microseconds % 1000).substr(1);
  return text(microseconds / 1000, '.', part, " ms");
}

std::string_view colour_of(std::string_view what) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> colours = {{
      {"crash", "#c62828"},
      {"start", "#2e7d32"},
      {"pause", "#ef6c00"},
      {"resum", "#2e7d32"},
      {"epoch", "#1565c0"},
      {"lead", "#1565c0"},
      {"suspect", "#8e24aa"},
      {"F", "#ad1457"},
      {"heal", "#2e7d32"},
  }};
  for (const auto& [begin, colour] : colours)
    if (what.starts_with(begin)) return colour;
  return "#37474f";
}

class drawing {
public:
  drawing(const run_result& what, const diagram_options& options) : what_(what), options_(options) {
    const size_t count = std::min(what.messages.size(), options.messages_max);
    messages_.assign(what.messages.end() - static_cast<ptrdiff_t>(count), what.messages.end());
    if (count < what.messages.size()) begin_ = messages_.empty() ? begin_ : messages_[0].sent;
    for (const auto& mark : what.marks)
      if (mark.when >= begin_) marks_.push_back(mark);
    measure();
    place_moments();
  }

  std::string draw() {
    const int64_t width = left + int64_t{lanes_} * lane_width + 40;
    out_ = text("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", width, "\" height=\"",
                height_ + bottom, "\" viewBox=\"0 0 ", width, " ", height_ + bottom,
                "\" font-family=\"sans-serif\" font-size=\"11\">\n"
                "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" "
                "markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" "
                "fill=\"#90a4ae\"/></marker></defs>\n"
                "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
    label(20, 26, "#000000", options_.title, "font-size=\"15\" font-weight=\"bold\"");
    label(20, 44, "#546e7a",
          text("seed ", what_.seed, ", ", messages_.size(), " of ", what_.messages.size(),
               " frames; red crosses never arrive; time runs down and is stretched where much "
               "happens"));
    draw_axis(width);
    for (uint32_t node = 0; node < lanes_; ++node) draw_lane(node);
    for (const auto& each : messages_) draw_message(each);
    for (const auto& each : marks_) draw_mark(each);
    for (const auto& each : what_.violations) draw_violation(each, width);
    return out_ + "</svg>\n";
  }

private:
  void measure() {
    for (const auto& each : messages_) lanes_ = std::max({lanes_, each.from + 1, each.to + 1});
    for (const auto& each : what_.marks) lanes_ = std::max(lanes_, each.node + 1);
    lanes_ = std::clamp(lanes_, 1u, 64u);
  }

  void place_moments() {
    std::set<time_point> moments;
    for (const auto& each : messages_) {
      moments.insert(each.sent);
      if (each.arrived != time_point{}) moments.insert(each.arrived);
    }
    for (const auto& each : marks_) moments.insert(each.when);
    for (const auto& each : what_.violations)
      if (each.when >= begin_) moments.insert(each.when);
    int64_t y = top;
    std::optional<time_point> before;
    for (const auto moment : moments) {
      if (before) {
        const int64_t wanted = (moment - *before).count() / (1'000'000 / pixels_per_ms);
        y += std::clamp(wanted, gap_least, gap_most);
      }
      y_of_[moment] = y;
      before = moment;
    }
    height_ = y + 20;
  }

  static int64_t x(uint32_t node) { return left + int64_t{node} * lane_width + lane_width / 4; }

  void line(int64_t x1, int64_t y1, int64_t x2, int64_t y2, std::string_view style) {
    out_ += text("<line x1=\"", x1, "\" y1=\"", y1, "\" x2=\"", x2, "\" y2=\"", y2, "\" ", style,
                 "/>\n");
  }

  void label(int64_t at_x, int64_t at_y, std::string_view colour, std::string_view what,
             std::string_view more = "") {
    out_ += text("<text x=\"", at_x, "\" y=\"", at_y, "\" fill=\"", colour, "\" ", more, ">",
                 escaped(what), "</text>\n");
  }

  void draw_axis(int64_t width) {
    int64_t last = 0;
    for (const auto& [moment, y] : y_of_) {
      if (y - last < axis_every) continue;
      last = y;
      label(8, y + 4, "#78909c", time_text(moment));
      line(left - 14, y, width - 20, y, "stroke=\"#eceff1\"");
    }
  }

  // A lane is dashed while its node is down.
  void draw_lane(uint32_t node) {
    label(x(node) - 6, top - 22, "#000000", text("n", node), "font-weight=\"bold\"");
    int64_t from = top - 12;
    bool up = true;
    const auto piece = [&](int64_t to) {
      line(x(node), from, x(node), to,
           up ? "stroke=\"#455a64\" stroke-width=\"2\""
              : "stroke=\"#ef9a9a\" stroke-width=\"2\" stroke-dasharray=\"3 4\"");
      from = to;
    };
    for (const auto& each : marks_) {
      if (each.node != node) continue;
      const bool ends = each.what.starts_with("crash"), begins = each.what.starts_with("start");
      if (!ends && !begins) continue;
      piece(y_of_.at(each.when));
      up = begins;
    }
    piece(height_);
  }

  void draw_message(const message_mark& each) {
    const bool arrives = each.arrived != time_point{};
    if (each.from >= lanes_ || each.to >= lanes_) return;
    const int64_t y1 = y_of_.at(each.sent);
    const int64_t y2 = arrives ? y_of_.at(each.arrived) : y1 + 12;
    const int64_t x1 = x(each.from);
    const int64_t x2 = arrives ? x(each.to) : (x1 + x(each.to)) / 2;
    out_ += text("<g><title>", escaped(each.what), ", n", each.from, " to n", each.to, ", sent ",
                 time_text(each.sent),
                 arrives ? text(", arrived ", time_text(each.arrived)) : ", lost", "</title>\n");
    line(x1, y1, x2, y2,
         arrives ? "stroke=\"#90a4ae\" marker-end=\"url(#tip)\"" : "stroke=\"#ef9a9a\"");
    if (!arrives) label(x2 - 4, y2 + 4, "#c62828", "x", "font-weight=\"bold\"");
    if (messages_.size() <= labels_max)
      label((x1 + x2) / 2 + 3, (y1 + y2) / 2 - 2, "#607d8b", shortened(each.what),
            "font-size=\"9\"");
    out_ += "</g>\n";
  }

  void draw_mark(const node_mark& each) {
    if (each.node >= lanes_) return;
    const int64_t y = y_of_.at(each.when);
    const auto colour = colour_of(each.what);
    out_ += text("<g><title>", escaped(each.what), " at ", time_text(each.when),
                 "</title><circle cx=\"", x(each.node), "\" cy=\"", y, "\" r=\"4\" fill=\"", colour,
                 "\"/>\n");
    int64_t& free = label_free_[each.node]; // labels of one lane do not cover each other
    const int64_t at = std::max(y + 4, free);
    free = at + 11;
    label(x(each.node) + 8, at, colour, shortened(each.what));
    out_ += "</g>\n";
  }

  void draw_violation(const violation& each, int64_t width) {
    const auto found = y_of_.find(each.when);
    const int64_t y = found == y_of_.end() ? height_ : found->second;
    line(left - 14, y, width - 20, y, "stroke=\"#c62828\" stroke-dasharray=\"6 3\"");
    label(left - 10, y + 13, "#c62828", text(each.invariant, ": ", each.what),
          "font-weight=\"bold\"");
  }

  const run_result& what_;
  const diagram_options& options_;
  std::vector<message_mark> messages_;
  std::vector<node_mark> marks_;
  std::map<time_point, int64_t> y_of_;
  std::map<uint32_t, int64_t> label_free_;
  time_point begin_ = time_point::min();
  uint32_t lanes_ = 0;
  int64_t height_ = top;
  std::string out_;
};

} // namespace

std::string space_time_diagram(const run_result& what, const diagram_options& options) {
  return drawing(what, options).draw();
}

} // namespace troupe::simulations
