// Decimal numbers between bounds.
#pragma once

#include "model/grammar/expressions.hpp"

#include <cstdint>
#include <optional>

namespace troupe::model {

// Bounds are whole numbers and included, unless said otherwise.
struct number_bounds {
  std::optional<int64_t> least;
  std::optional<int64_t> most;
  bool above_least = false; // strictly; of numbers with a fraction
  bool below_most = false;
  bool any() const { return least || most; }
};

// Integers have at most 18 digits, so that whoever reads them can hold them.
inline constexpr int64_t json_integer_max = 999'999'999'999'999'999;

expression_book::expression json_integer(expression_book& book, const number_bounds& bounds);
// Beside integers, numbers with a fraction; without bounds also with an exponent of two digits.
expression_book::expression json_number(expression_book& book, const number_bounds& bounds);

} // namespace troupe::model
