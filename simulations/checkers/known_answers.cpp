// Every kind of request there is, a few of each.
#include "simulations/checkers/known_answers.hpp"

#include "simulations/kernel/event_hash.hpp"
#include "simulations/workload/requests.hpp"

#include <bit>
#include <string_view>

namespace troupe::simulations {
namespace {

constexpr uint32_t requests_known = 24;

scenario_workload all_kinds() {
  scenario_workload out;
  out.prompt_tokens_min = 2;
  out.prompt_tokens_max = 50;
  out.answer_tokens_min = 3;
  out.answer_tokens_max = 24;
  out.choices_max = 3;
  out.logprobs_percent = 60;
  out.stop_percent = 50;
  return out;
}

void mix(event_hash& out, float value) {
  out.mix(uint64_t{std::bit_cast<uint32_t>(value)});
}

void mix(event_hash& out, const std::vector<dataflow::token_record>& tokens) {
  out.mix(uint64_t{tokens.size()});
  for (const auto& token : tokens) {
    out.mix(static_cast<uint64_t>(token.token));
    out.mix(uint64_t{token.scored});
    mix(out, token.logprob);
    out.mix(uint64_t{token.top.size()});
    for (const auto& other : token.top) {
      out.mix(static_cast<uint64_t>(other.token));
      mix(out, other.logprob);
    }
  }
}

} // namespace

uint64_t fingerprint_of_answers(oracle& right) {
  event_hash out;
  for (uint32_t variant = 0; variant < requests_known; ++variant) {
    const answer& known = right.of(make_request(all_kinds(), variant));
    out.mix(std::string_view(known.failure.why()));
    out.mix(uint64_t{known.completion_tokens});
    for (const auto& choice : known.choices) {
      mix(out, choice.prompt);
      mix(out, choice.tokens);
      for (const uint32_t bytes : choice.text_after) out.mix(uint64_t{bytes});
      out.mix(std::string_view(choice.text));
      out.mix(dataflow::to_string(choice.reason));
      out.mix(std::string_view(choice.stopped_by));
    }
  }
  return out.value();
}

} // namespace troupe::simulations
