// Checks what has come from another node before it is used as an index.
#include "actors/carriage.hpp"

#include "base/text.hpp"

#include <algorithm>

namespace troupe::actors {
namespace {

template <class Value>
bool all_below(const std::vector<Value>& values, uint64_t limit) {
  return std::all_of(values.begin(), values.end(), [limit](Value v) {
    return static_cast<int64_t>(v) >= 0 && static_cast<uint64_t>(v) < limit;
  });
}

status corrupt(std::string why) {
  return status(status_code::corrupt, std::move(why));
}

} // namespace

status check(const step_carriage& step, const carriage_limits& limits) {
  const auto& rows = step.rows;
  const size_t count = rows.tokens.size();
  if (count == 0 || count > limits.rows_max)
    return corrupt(text("a step has ", count, " rows; 1 to ", limits.rows_max, " can be taken"));
  if (rows.positions.size() != count || rows.slots.size() != count ||
      rows.sequence_of.size() != count || rows.prompt_lengths.size() != count)
    return corrupt("a step's lists differ in length");
  if (!all_below(rows.tokens, limits.vocabulary)) return corrupt("a step's token is no token");
  if (!all_below(rows.positions, limits.positions))
    return corrupt("a step's position is beyond what a sequence may have");
  if (!all_below(rows.slots, limits.slots)) return corrupt("a step's KV slot is none of ours");
  if (!all_below(rows.sequence_of, rows.tables.size()))
    return corrupt("a row of a step is of no sequence");
  for (const auto& table : rows.tables)
    if (!all_below(table, limits.pages)) return corrupt("a step's KV page is none of ours");
  for (size_t i = 0; i < count; ++i)
    if (uint64_t{rows.tables[rows.sequence_of[i]].size()} * (limits.slots / limits.pages) <=
        rows.positions[i])
      return corrupt("a row of a step lies behind its KV pages");
  if (!all_below(rows.wanted_rows, count)) return corrupt("a step wants a row it does not have");
  const uint32_t hidden_rows = limits.columns == 0 ? 0 : static_cast<uint32_t>(count);
  if (step.hidden.rows != hidden_rows || (hidden_rows > 0 && step.hidden.columns != limits.columns))
    return corrupt(text("a step's hidden state is ", step.hidden.rows, " x ", step.hidden.columns,
                        ", not ", hidden_rows, " x ", limits.columns));
  return {};
}

} // namespace troupe::actors
