// Guesses at what a stream will say next, from what it has said: prompt lookup (Saxena,
// github.com/apoorvumang/prompt-lookup-decoding). A step computes the guessed tokens behind the
// last real one; each row's draw is made as it always is, and holds as long as the tokens before it
// were those drawn. So guesses change how many steps an answer takes, and never the answer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace troupe::dataflow {

struct draft_options {
  uint32_t match_min = 2;  // tokens at the end that must have occurred before …
  uint32_t match_max = 5;  // … and how many of them are looked at, to find the best occurrence
  uint32_t window = 16384; // latest tokens that are searched
};

// What followed the latest of the longest occurrences of the last tokens, count_max tokens of it;
// where that runs into the end, it is taken to repeat. Empty: they have not occurred before.
std::vector<int32_t> draft_from(std::span<const int32_t> tokens, uint32_t count_max,
                                const draft_options& options = {});

// How many tokens of one stream are worth guessing: more after guesses that held, fewer after ones
// that did not, and none for a while after several of these.
class draft_length {
public:
  // For the next token, at most count_max.
  uint32_t next(uint32_t count_max) const;
  // A token was drawn; of `drafted` guesses `accepted` held (none drafted: 0, 0).
  void drew(uint32_t drafted, uint32_t accepted);

private:
  uint32_t length_ = 2;
  uint32_t rest_ = 0;      // draws until guessing begins again
  uint32_t rest_next_ = 4; // after the next failure
};

} // namespace troupe::dataflow
