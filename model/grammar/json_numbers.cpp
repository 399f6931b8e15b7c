// Ranges of numbers digit by digit: the first digit that differs from a bound decides.
#include "model/grammar/json_numbers.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::model {
namespace {

using expression = expression_book::expression;

constexpr uint32_t fraction_digits_max = 15;
constexpr uint32_t bounded_fraction_digits_max = 6;

class digit_writer {
public:
  explicit digit_writer(expression_book& book) : book_(book) {}

  expression digit(char first, char last) {
    return book_.bytes(byte_set::range(static_cast<uint8_t>(first), static_cast<uint8_t>(last)));
  }
  expression digits(size_t count) {
    const auto exactly = static_cast<uint32_t>(count);
    return book_.repeat(digit('0', '9'), exactly, exactly);
  }

  // Whole numbers between the two, neither negative.
  expression between(uint64_t least, uint64_t most) {
    std::vector<expression> parts;
    uint64_t power = 1; // the least number of this length
    while (power <= most / 10 && power * 10 <= least) power *= 10;
    for (;; power *= 10) {
      const uint64_t longest = power * 10 - 1;
      const uint64_t first = std::max(least, power == 1 ? 0 : power);
      const uint64_t last = std::min(most, longest);
      if (first <= last) parts.push_back(same_length(std::to_string(first), std::to_string(last)));
      if (longest >= most) break;
    }
    return book_.choice(std::move(parts));
  }

private:
  expression same_length(std::string_view least, std::string_view most) {
    if (least.empty()) return book_.nothing();
    if (least[0] == most[0])
      return book_.sequence(
          {digit(least[0], least[0]), same_length(least.substr(1), most.substr(1))});
    std::vector<expression> parts{
        book_.sequence({digit(least[0], least[0]), at_least(least.substr(1))}),
        book_.sequence({digit(most[0], most[0]), at_most(most.substr(1))})};
    if (most[0] - least[0] > 1)
      parts.push_back(
          book_.sequence({digit(static_cast<char>(least[0] + 1), static_cast<char>(most[0] - 1)),
                          digits(least.size() - 1)}));
    return book_.choice(std::move(parts));
  }

  expression at_least(std::string_view bound) {
    if (bound.empty()) return book_.nothing();
    std::vector<expression> parts{
        book_.sequence({digit(bound[0], bound[0]), at_least(bound.substr(1))})};
    if (bound[0] < '9')
      parts.push_back(
          book_.sequence({digit(static_cast<char>(bound[0] + 1), '9'), digits(bound.size() - 1)}));
    return book_.choice(std::move(parts));
  }

  expression at_most(std::string_view bound) {
    if (bound.empty()) return book_.nothing();
    std::vector<expression> parts{
        book_.sequence({digit(bound[0], bound[0]), at_most(bound.substr(1))})};
    if (bound[0] > '0')
      parts.push_back(
          book_.sequence({digit('0', static_cast<char>(bound[0] - 1)), digits(bound.size() - 1)}));
    return book_.choice(std::move(parts));
  }

  expression_book& book_;
};

// Whole numbers from least to most.
expression whole(expression_book& book, int64_t least, int64_t most) {
  digit_writer writer(book);
  std::vector<expression> parts;
  if (most >= 0 && least <= most)
    parts.push_back(writer.between(static_cast<uint64_t>(std::max<int64_t>(least, 0)),
                                   static_cast<uint64_t>(most)));
  if (least < 0 && least <= most)
    parts.push_back(book.sequence(
        {book.literal("-"), writer.between(static_cast<uint64_t>(-std::min<int64_t>(most, -1)),
                                           static_cast<uint64_t>(-least))}));
  return book.choice(std::move(parts));
}

expression unbounded_integer(expression_book& book) {
  digit_writer writer(book);
  const expression digits = book.repeat(writer.digit('0', '9'), 0, 17);
  return book.sequence(
      {book.optional(book.literal("-")),
       book.choice({book.literal("0"), book.sequence({writer.digit('1', '9'), digits})})});
}

// A whole part and a fraction that is not zero, between the bounds.
expression with_fraction(expression_book& book, int64_t least, int64_t most) {
  digit_writer writer(book);
  const expression fraction = book.sequence(
      {book.literal("."), book.repeat(writer.digit('0', '9'), 0, bounded_fraction_digits_max - 1),
       writer.digit('1', '9')});
  std::vector<expression> parts;
  if (most > 0 && std::max<int64_t>(least, 0) <= most - 1)
    parts.push_back(book.sequence({whole(book, std::max<int64_t>(least, 0), most - 1), fraction}));
  // -a.b lies between them when a does between -most and -least - 1.
  if (least < 0 && std::max<int64_t>(-most, 0) <= -least - 1)
    parts.push_back(book.sequence(
        {book.literal("-"), whole(book, std::max<int64_t>(-most, 0), -least - 1), fraction}));
  return book.choice(std::move(parts));
}

int64_t within(std::optional<int64_t> bound, int64_t otherwise) {
  return std::clamp(bound.value_or(otherwise), -json_integer_max, json_integer_max);
}

} // namespace

expression json_integer(expression_book& book, const number_bounds& bounds) {
  if (!bounds.any()) return unbounded_integer(book);
  // Beyond what is written here there is nothing to choose from.
  if (bounds.least.value_or(0) > json_integer_max || bounds.most.value_or(0) < -json_integer_max)
    return book.choice({});
  return whole(book, within(bounds.least, -json_integer_max) + (bounds.above_least ? 1 : 0),
               within(bounds.most, json_integer_max) - (bounds.below_most ? 1 : 0));
}

expression json_number(expression_book& book, const number_bounds& bounds) {
  if (bounds.any()) {
    if (bounds.least.value_or(0) > json_integer_max || bounds.most.value_or(0) < -json_integer_max)
      return book.choice({});
    return book.choice(
        {json_integer(book, bounds), with_fraction(book, within(bounds.least, -json_integer_max),
                                                   within(bounds.most, json_integer_max))});
  }
  digit_writer writer(book);
  const expression fraction = book.sequence(
      {book.literal("."), book.repeat(writer.digit('0', '9'), 1, fraction_digits_max)});
  const expression sign = book.optional(book.words({"+", "-"}));
  const expression exponent =
      book.sequence({book.words({"e", "E"}), sign, book.repeat(writer.digit('0', '9'), 1, 2)});
  return book.sequence({unbounded_integer(book), book.optional(fraction), book.optional(exponent)});
}

} // namespace troupe::model
