// Unions and complements of sorted ranges, and UTF-8.
#include "model/grammar/code_points.hpp"

#include <algorithm>

namespace troupe::model {
namespace {

constexpr code_points::range surrogates{0xD800, 0xDFFF};

} // namespace

void code_points::add(uint32_t first, uint32_t last) {
  if (first < surrogates.first && last > surrogates.last) {
    add(first, surrogates.first - 1);
    return add(surrogates.last + 1, last);
  }
  if (first >= surrogates.first && first <= surrogates.last) first = surrogates.last + 1;
  if (last >= surrogates.first && last <= surrogates.last) last = surrogates.first - 1;
  last = std::min(last, code_point_max);
  if (first > last) return;
  const auto touches = [](const range& each, uint32_t begin) {
    return uint64_t{each.last} + 1 < begin;
  };
  const auto begin = std::lower_bound(ranges_.begin(), ranges_.end(), first, touches);
  auto end = begin;
  while (end != ranges_.end() && end->first <= uint64_t{last} + 1) {
    first = std::min(first, end->first);
    last = std::max(last, end->last);
    ++end;
  }
  const auto at = ranges_.erase(begin, end);
  ranges_.insert(at, {first, last});
}

void code_points::add(const code_points& other) {
  for (const range& each : other.ranges_) add(each.first, each.last);
}

code_points code_points::complement() const {
  code_points out;
  uint32_t next = 0;
  for (const range& each : ranges_) {
    if (each.first > next) out.add(next, each.first - 1);
    next = each.last + 1;
  }
  if (next <= code_point_max) out.add(next, code_point_max);
  return out;
}

code_points code_points::without(const code_points& other) const {
  code_points kept = complement();
  kept.add(other);
  return kept.complement();
}

code_points code_points::within(const code_points& other) const {
  return without(other.complement());
}

bool code_points::has(uint32_t point) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [point](const range& each) {
    return each.first <= point && point <= each.last;
  });
}

decoded_point first_point(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const uint32_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  uint32_t point = lead & (0xFFu >> (length + 1));
  for (uint32_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    point = point << 6 | (byte(i) & 0x3F);
  }
  constexpr std::array<uint32_t, 5> least = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = point >= surrogates.first && point <= surrogates.last;
  if (point < least[length] || point > code_point_max || surrogate) return {};
  return {point, length};
}

void append_utf8(std::string& out, uint32_t point) {
  const auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xC0 | point >> 6);
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
  }
  put(0x80 | (point & 0x3F));
}

} // namespace troupe::model
