// Builds expressions; characters become the byte sequences of UTF-8.
#include "model/grammar/expressions.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <utility>

namespace troupe::model {
namespace {

using expression = expression_book::expression;

// The bytes after the lead of a character: six bits each.
constexpr uint32_t bits_per_tail = 6;

struct utf8_writer {
  expression_book& book;
  // Of characters of this many tail bytes, those from first to last, which share nothing but their
  // length.
  expression span(uint32_t first, uint32_t last, uint32_t tails) {
    if (tails == 0) return book.bytes(byte_set::range(lead(first, 0), lead(last, 0)));
    return parts(first, last, tails, tails);
  }

private:
  static uint8_t lead(uint32_t point, uint32_t tails) {
    constexpr uint8_t marks[] = {0x00, 0xC0, 0xE0, 0xF0};
    return static_cast<uint8_t>(marks[tails] | point >> (bits_per_tail * tails));
  }
  static uint8_t byte_of(uint32_t point, uint32_t left, uint32_t tails) {
    if (left == tails) return lead(point, tails);
    return static_cast<uint8_t>(0x80 | (point >> (bits_per_tail * left) & 0x3F));
  }

  // `left` bytes come after this one.
  expression parts(uint32_t first, uint32_t last, uint32_t left, uint32_t tails) {
    const uint8_t low = byte_of(first, left, tails);
    const uint8_t high = byte_of(last, left, tails);
    if (left == 0) return book.bytes(byte_set::range(low, high));
    const uint32_t mask = (uint32_t{1} << (bits_per_tail * left)) - 1;
    if (low == high) return join(low, high, parts(first, last, left - 1, tails));
    std::vector<expression> out;
    uint32_t middle_first = low;
    uint32_t middle_last = high;
    if ((first & mask) != 0) {
      out.push_back(join(low, low, parts(first, first | mask, left - 1, tails)));
      ++middle_first;
    }
    if ((last & mask) != mask) {
      out.push_back(join(high, high, parts(last & ~mask, last, left - 1, tails)));
      --middle_last;
    }
    if (middle_first <= middle_last)
      out.push_back(join(static_cast<uint8_t>(middle_first), static_cast<uint8_t>(middle_last),
                         parts(0, mask, left - 1, tails)));
    return book.choice(std::move(out));
  }

  expression join(uint8_t low, uint8_t high, expression rest) {
    return book.sequence({book.bytes(byte_set::range(low, high)), rest});
  }
};

} // namespace

expression expression_book::add(node made) {
  nodes_.push_back(std::move(made));
  return static_cast<expression>(nodes_.size() - 1);
}

expression expression_book::literal(std::string_view text) {
  return add({.what = kind::literal, .text = std::string(text)});
}

expression expression_book::bytes(const byte_set& set) {
  return add({.what = kind::bytes, .bytes = set});
}

// Written out, the characters beyond ASCII are some twenty states; most sets have all of them.
expression expression_book::one_of(const code_points& points) {
  static const code_points beyond{{0x80, code_point_max}};
  if (!beyond.without(points).empty()) return spelled_out(points);
  TROUPE_CHECK(!rules_.empty());
  if (!beyond_ascii_) {
    beyond_ascii_ = declare("a character beyond ASCII");
    define(*beyond_ascii_, spelled_out(beyond));
  }
  return choice({spelled_out(points.without(beyond)), call(*beyond_ascii_)});
}

expression expression_book::spelled_out(const code_points& points) {
  byte_set single;
  std::vector<expression> parts;
  utf8_writer writer{*this};
  for (const auto& [first, last] : points.ranges()) {
    constexpr uint32_t bounds[] = {0x80, 0x800, 0x10000, code_point_max + 1};
    uint32_t begin = first;
    for (uint32_t tails = 0; tails < 4 && begin <= last; ++tails) {
      if (begin >= bounds[tails]) continue;
      const uint32_t end = std::min(last, bounds[tails] - 1);
      if (tails == 0)
        for (uint32_t byte = begin; byte <= end; ++byte) single.add(static_cast<uint8_t>(byte));
      else
        parts.push_back(writer.span(begin, end, tails));
      begin = end + 1;
    }
  }
  if (!single.empty()) parts.insert(parts.begin(), bytes(single));
  return choice(std::move(parts));
}

expression expression_book::sequence(std::vector<expression> parts) {
  if (parts.size() == 1) return parts.front();
  return add({.what = kind::sequence, .parts = std::move(parts)});
}

expression expression_book::choice(std::vector<expression> parts) {
  if (parts.size() == 1) return parts.front();
  return add({.what = kind::choice, .parts = std::move(parts)});
}

expression expression_book::words(std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return add({.what = kind::words, .words = std::move(words)});
}

expression expression_book::repeat(expression part, uint32_t least, std::optional<uint32_t> most) {
  return add({.what = kind::repeat, .parts = {part}, .least = least, .most = most});
}

expression expression_book::call(rule callee) {
  return add({.what = kind::call, .callee = callee});
}

expression_book::rule expression_book::declare(std::string name) {
  rules_.push_back({std::move(name), std::nullopt});
  return static_cast<rule>(rules_.size() - 1);
}

void expression_book::define(rule which, expression body) {
  TROUPE_CHECK(which < rules_.size() && body < nodes_.size());
  rules_[which].body = body;
}

expression expression_book::shared(std::string name, expression body) {
  const rule made = declare(std::move(name));
  define(made, body);
  return call(made);
}

} // namespace troupe::model
