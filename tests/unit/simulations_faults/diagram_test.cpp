// The picture is well-formed whatever stands in the run, and shows what happened.
#include "simulations/runner/diagram.hpp"

#include "base/text.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace troupe::simulations {
namespace {

time_point at(int64_t microseconds) {
  return time_point(std::chrono::microseconds(microseconds));
}

// Tags that do not match, attributes without quotes, or a bare & are mistakes.
std::string mistake_in(std::string_view svg) {
  std::vector<std::string> open;
  for (size_t i = 0; i < svg.size(); ++i) {
    if (svg[i] == '&') {
      const std::string_view rest = svg.substr(i);
      bool known = false;
      for (const auto* entity : {"&amp;", "&lt;", "&gt;", "&quot;"})
        known = known || rest.starts_with(entity);
      if (!known) return text("a bare & at ", i);
    }
    if (svg[i] == '>') return text("a bare > at ", i);
    if (svg[i] != '<') continue;
    bool quoted = false;
    size_t end = i + 1;
    for (; end < svg.size() && (quoted || svg[end] != '>'); ++end) {
      if (svg[end] == '"') quoted = !quoted;
      if (svg[end] == '<') return text("a tag within a tag at ", end);
    }
    if (end == svg.size()) return "a tag without an end";
    const std::string_view tag = svg.substr(i + 1, end - i - 1);
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1))
        return text("</", tag.substr(1), "> closes nothing");
      open.pop_back();
    } else if (tag.back() != '/') {
      open.emplace_back(tag.substr(0, tag.find(' ')));
    }
    i = end;
  }
  return open.empty() ? "" : text(open.back(), " stays open");
}

run_result busy_run() {
  run_result out;
  out.seed = 3;
  for (uint32_t i = 0; i < 60; ++i)
    out.messages.push_back({.from = i % 4,
                            .to = (i + 1) % 4,
                            .sent = at(100 * i + 1),
                            .arrived = i % 7 == 0 ? time_point{} : at(100 * i + 90),
                            .what = "report <\"a\" & 'b'>\x01\xff"});
  out.marks.push_back({.node = 1, .when = at(500), .what = "crash"});
  out.marks.push_back({.node = 1, .when = at(900), .what = "start"});
  out.marks.push_back({.node = 2, .when = at(950), .what = "epoch 4 & more"});
  out.violations.push_back({.invariant = "S2", .what = "<wrong> & \"bad\"", .when = at(5000)});
  return out;
}

TEST(diagram, is_well_formed_whatever_is_in_it) {
  EXPECT_EQ(mistake_in(space_time_diagram(busy_run(), {.title = "a < b & c"})), "");
  EXPECT_EQ(mistake_in(space_time_diagram(run_result{}, {.title = ""})), "");
  run_result one;
  one.violations.push_back({.invariant = "CHECK", .what = "x", .when = {}});
  EXPECT_EQ(mistake_in(space_time_diagram(one, {.title = "t"})), "");
}

TEST(diagram, shows_lanes_frames_marks_and_violations) {
  const std::string svg = space_time_diagram(busy_run(), {.title = "picture"});
  for (const auto* part : {">n0</text>", ">n3</text>", "marker-end", "stroke-dasharray=\"3 4\"",
                           "epoch 4 &amp; more", "S2: &lt;wrong&gt;", ", lost</title>", "picture"})
    EXPECT_NE(svg.find(part), std::string::npos) << part;
}

TEST(diagram, keeps_to_the_last_frames_when_there_are_many) {
  const std::string svg = space_time_diagram(busy_run(), {.messages_max = 10, .title = "x"});
  EXPECT_NE(svg.find("10 of 60 frames"), std::string::npos);
  EXPECT_EQ(svg.find(">crash</text>"), std::string::npos) << "was before them";
  EXPECT_EQ(mistake_in(svg), "");
}

} // namespace
} // namespace troupe::simulations
