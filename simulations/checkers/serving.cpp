// Compares what clients have received with the oracle's answers, bit by bit, and judges how their
// requests ended.
#include "simulations/checkers/serving.hpp"

#include "base/text.hpp"
#include "model/tokenizer.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace troupe::simulations {
namespace {

using dataflow::finish_reason;
using dataflow::token_record;

// What is under way when a deadline passes may still come.
constexpr duration late_max = std::chrono::milliseconds(500);

std::string stream_name(const client_record& got, uint32_t choice) {
  return text("client ", got.asked.client, " (", got.asked.request->id, ") choice ", choice);
}

std::string bits_of(float value) {
  static constexpr char digits[] = "0123456789abcdef";
  const auto bits = std::bit_cast<uint32_t>(value);
  std::string out = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) out += digits[bits >> shift & 15];
  return out;
}

bool same_bits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

// A text for a message: shortened, with everything that is not printable as \xNN.
std::string quoted(std::string_view raw) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "'";
  for (const char c : raw.substr(0, 80)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 32 && byte < 127)
      out += c;
    else
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  }
  return out + (raw.size() > 80 ? "…'" : "'");
}

size_t first_difference(std::string_view a, std::string_view b) {
  const size_t shorter = std::min(a.size(), b.size());
  for (size_t i = 0; i < shorter; ++i)
    if (a[i] != b[i]) return i;
  return shorter;
}

// Whether from `at` on everything received is what should be `shift` places further on (or, below
// zero, back); needs two tokens at least to say so.
bool shifted(const std::vector<token_record>& got, const std::vector<token_record>& right,
             size_t at, int shift) {
  size_t compared = 0;
  for (size_t i = at; i < got.size(); ++i) {
    const auto j = static_cast<int64_t>(i) + shift;
    if (j < 0 || j >= static_cast<int64_t>(right.size())) break;
    if (got[i].token != right[static_cast<size_t>(j)].token) return false;
    ++compared;
  }
  return compared >= 2;
}

} // namespace

serving_checker::serving_checker(oracle& right, const serving_expectation& expect)
    : right_(right), expect_(expect) {}

void serving_checker::check_client(const client_record& got, time_point now) {
  violations_.insert(violations_.end(), got.violations.begin(), got.violations.end());
  if (got.attempts == 0) return;
  const answer& right = right_.of(*got.asked.request);
  if (right.failure.ok()) {
    for (uint32_t i = 0; i < got.choices.size(); ++i) check_choice(got, i, right.choices[i], now);
    check_usage(got, right, now);
    return check_end(got, now);
  }
  if (got.end == client_end::completed || got.tokens() > 0)
    note("S2",
         text("client ", got.asked.client, " has ", got.tokens(),
              " tokens of a request that cannot be served: ", right.failure.why()),
         now);
}

void serving_checker::check_choice(const client_record& got, uint32_t choice,
                                   const choice_answer& right, time_point now) {
  check_tokens(got, choice, right, now);
  check_text(got, choice, right, now);
  const auto& have = got.choices[choice];
  if (have.prompt_scored) {
    if (have.prompt.size() != right.prompt.size())
      note("S2",
           text(stream_name(got, choice), ": ", have.prompt.size(), " prompt scores, expected ",
                right.prompt.size()),
           now);
    for (size_t i = 0; i < std::min(have.prompt.size(), right.prompt.size()); ++i)
      check_scores(text(stream_name(got, choice), " prompt token ", i), have.prompt[i],
                   right.prompt[i], now);
  } else if (have.finished && !have.cut() && !right.prompt.empty()) {
    note("S2", text(stream_name(got, choice), ": the prompt's scores are missing"), now);
  }
}

void serving_checker::check_tokens(const client_record& got, uint32_t choice,
                                   const choice_answer& right, time_point now) {
  const auto& have = got.choices[choice];
  const size_t shared = std::min(have.tokens.size(), right.tokens.size());
  for (size_t i = 0; i < shared; ++i) {
    ++tokens_compared_;
    if (have.tokens[i].token != right.tokens[i].token) {
      const char* what = nullptr;
      if (shifted(have.tokens, right.tokens, i, 1)) what = " (a token is missing before it)";
      if (shifted(have.tokens, right.tokens, i, -1)) what = " (a token came twice)";
      return note(what ? "S1" : "S2",
                  text(stream_name(got, choice), ", token ", i, ": got ", have.tokens[i].token,
                       ", expected ", right.tokens[i].token, what ? what : ""),
                  now);
    }
    check_scores(text(stream_name(got, choice), ", token ", i), have.tokens[i], right.tokens[i],
                 now);
  }
  const bool too_few = have.finished && !have.cut() && have.tokens.size() < right.tokens.size();
  if (too_few || have.tokens.size() > right.tokens.size())
    note("S2",
         text(stream_name(got, choice), ": got ", have.tokens.size(), " tokens, expected ",
              right.tokens.size()),
         now);
}

// Log-probabilities are made of all logits of the row: a contribution of an expert that is lost,
// doubled or of other weights shows in their bits even where the token stays the same.
void serving_checker::check_scores(const std::string& where, const token_record& got,
                                   const token_record& right, time_point now) {
  if (got.token != right.token)
    return note("S2", text(where, ": got ", got.token, ", expected ", right.token), now);
  if (got.scored != right.scored || got.top.size() != right.top.size())
    return note("S4",
                text(where, ": ", got.scored ? "" : "not ", "scored with ", got.top.size(),
                     " alternatives, expected ", right.scored ? "" : "not ", "scored with ",
                     right.top.size()),
                now);
  if (!right.scored) return;
  ++logits_compared_;
  if (!same_bits(got.logprob, right.logprob))
    return note("S4",
                text(where, ": log-probability of ", got.token, " has bits ", bits_of(got.logprob),
                     ", expected ", bits_of(right.logprob)),
                now);
  for (size_t i = 0; i < right.top.size(); ++i) {
    ++logits_compared_;
    if (got.top[i].token == right.top[i].token &&
        same_bits(got.top[i].logprob, right.top[i].logprob))
      continue;
    return note("S4",
                text(where, ": alternative ", i, " is ", got.top[i].token, " with bits ",
                     bits_of(got.top[i].logprob), ", expected ", right.top[i].token, " with ",
                     bits_of(right.top[i].logprob)),
                now);
  }
}

void serving_checker::check_text(const client_record& got, uint32_t choice,
                                 const choice_answer& right, time_point now) {
  const auto& have = got.choices[choice];
  const std::string_view whole = right.text;
  if (have.finished && !have.cut()) {
    if (have.text == whole) return;
  } else {
    const size_t tokens = std::min(have.tokens.size(), right.text_after.size());
    const size_t least = tokens == 0 ? 0 : right.text_after[tokens - 1];
    const bool begun = have.text.size() >= least && whole.starts_with(have.text);
    // What is held back need not reach one who leaves or is late, but may.
    if (begun || ((got.cancel_sent || have.cut()) &&
                  have.text == text_when_cut(right_.tokenizer(), *got.asked.request, have.tokens)))
      return;
  }
  const size_t at = first_difference(have.text, whole);
  note("S2",
       text(stream_name(got, choice), " after ", have.tokens.size(), " tokens, text byte ", at,
            ": got ", quoted(std::string_view(have.text).substr(at)), ", expected ",
            quoted(whole.substr(at))),
       now);
}

void serving_checker::check_end(const client_record& got, time_point now) {
  const answer& right = right_.of(*got.asked.request);
  for (uint32_t i = 0; i < got.choices.size(); ++i) {
    const auto& have = got.choices[i];
    if (!have.finished) continue;
    if (have.reason == finish_reason::cancelled) {
      if (!got.cancel_sent)
        note("S6", text(stream_name(got, i), " was cancelled and nobody asked for it"), now);
    } else if (have.reason == finish_reason::deadline) {
      check_deadline(got, i, now);
    } else if (undisturbed_ && got.asked.deadline &&
               have.ended > got.arrived + *got.asked.deadline + late_max) {
      note("S6", text(stream_name(got, i), " was served long after its deadline"), now);
    } else if (have.reason != right.choices[i].reason ||
               have.stopped_by != right.choices[i].stopped_by) {
      note("S2",
           text(stream_name(got, i), " ends with ", to_string(have.reason), ' ',
                quoted(have.stopped_by), ", expected ", to_string(right.choices[i].reason), ' ',
                quoted(right.choices[i].stopped_by)),
           now);
    }
  }
  if (got.end == client_end::cancelled && !got.asked.cancel_after)
    note("S6", text("client ", got.asked.client, " left without a reason"), now);
  if (got.end != client_end::failed) return;
  const auto code = got.failure.code();
  const bool allowed =
      expect_.explicit_errors &&
      std::find(expect_.errors.begin(), expect_.errors.end(), code) != expect_.errors.end();
  if (!allowed)
    note("S6",
         text("client ", got.asked.client, " failed after ", got.attempts, " attempts and ",
              got.tokens(), " tokens: ", to_string(code), ": ", got.failure.why()),
         now);
}

// Dropped for its deadline: it had one, and it had passed.
void serving_checker::check_deadline(const client_record& got, uint32_t choice, time_point now) {
  const time_point ended = got.choices[choice].ended;
  if (!got.asked.deadline)
    note("S6", text(stream_name(got, choice), " was late and had no deadline"), now);
  else if (undisturbed_ && ended < got.arrived + *got.asked.deadline)
    note(
        "S6",
        text(stream_name(got, choice), " was given up ",
             (got.arrived + *got.asked.deadline - ended).count() / 1000, " us before its deadline"),
        now);
}

// What a prefix cache may have served: less than the prompt, and nothing of others to those who
// share with nobody. (A stream that is begun again finds what it has computed itself.)
void serving_checker::check_cached(const client_record& got, time_point now) {
  const auto& request = *got.asked.request;
  const bool alone = got.asked.salt_is_own || request.prompt_logprobs;
  uint64_t most = request.prompt.size();
  for (const auto& choice : got.choices)
    most = std::max<uint64_t>(most, request.prompt.size() + choice.tokens.size());
  if (undisturbed_ && request.choices == 1 && alone) most = 1;
  if (got.cached_tokens < most) return;
  note("S5",
       text("client ", got.asked.client, " was told of ", got.cached_tokens,
            " cached tokens, expected fewer than ", most),
       now);
}

void serving_checker::check_usage(const client_record& got, const answer& right, time_point now) {
  if (!expect_.compare_usage || !got.has_usage || got.end != client_end::completed) return;
  check_cached(got, now);
  if (got.prompt_tokens != got.asked.request->prompt.size())
    note("S2",
         text("client ", got.asked.client, " was told of ", got.prompt_tokens,
              " prompt tokens, expected ", got.asked.request->prompt.size()),
         now);
  if (std::any_of(got.choices.begin(), got.choices.end(), [](const auto& c) { return c.cut(); }))
    return;
  if (got.completion_tokens == right.completion_tokens) return;
  note("S2",
       text("client ", got.asked.client, " was told of ", got.completion_tokens,
            " completion tokens, expected ", right.completion_tokens),
       now);
}

void serving_checker::check_ended(const client_record& got, const std::string& state,
                                  time_point now) {
  if (got.end == client_end::open) note("S6", text("never ended: ", state), now);
}

void serving_checker::check_pages(const node_residue& left, time_point now) {
  const uint64_t sum = left.pages_used + left.pages_cached + left.pages_free;
  if (sum == left.pages_total) return;
  note("S5",
       text("node ", left.node, ": ", left.pages_used, " pages used, ", left.pages_cached,
            " cached and ", left.pages_free, " free, expected ", left.pages_total, " together"),
       now);
}

void serving_checker::check_bound(const high_water& level, time_point now) {
  if (level.reached <= level.bound) return;
  note("S7",
       text("node ", level.node, ": ", level.what, " reached ", level.reached, ", bound ",
            level.bound),
       now);
}

void serving_checker::check_idle(const node_residue& left, time_point now) {
  const std::pair<const char*, uint64_t> rows[] = {
      {"pages used", left.pages_used},
      {"live sequences", left.sequences_live},
      {"open streams", left.streams_open},
      {"step slots taken", left.steps_taken},
      {"frames not acknowledged", left.frames_unacknowledged},
      {"frames held", left.frames_held},
      {"device jobs under way", left.device_jobs},
      {"messages in mailboxes", left.messages},
  };
  for (const auto& [what, count] : rows)
    if (count != 0)
      note("S9", text("node ", left.node, ": ", count, ' ', what, " after everything ended"), now);
}

void serving_checker::healthy(bool is, time_point now) {
  const bool was = !healthy_.empty() && healthy_.back().until == time_point::max();
  if (is == was) return;
  if (is)
    healthy_.push_back({now, time_point::max()});
  else
    healthy_.back().until = now;
}

void serving_checker::check_waits(const client_record& got, time_point now) {
  if (got.news.empty()) return;
  const time_point end = got.end == client_end::open ? now : got.ended;
  for (size_t i = 0; i < got.news.size(); ++i) {
    const time_point until = i + 1 < got.news.size() ? got.news[i + 1] : end;
    for (const auto& span : healthy_) {
      const duration waited = std::min(until, span.until) - std::max(got.news[i], span.from);
      if (waited <= expect_.wait_max) continue;
      return note(
          "S10",
          text("client ", got.asked.client, " (", got.asked.request->id, ") waited ",
               waited.count() / 1'000'000, " ms with a healthy cluster, after event ", i, " and ",
               got.tokens(), " tokens; bound ", expect_.wait_max.count() / 1'000'000, " ms"),
          now);
    }
  }
}

void serving_checker::note(const char* invariant, std::string what, time_point when) {
  violations_.push_back({invariant, std::move(what), when});
}

} // namespace troupe::simulations
