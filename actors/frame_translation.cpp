// Field by field; what a message gains must be gained here too.
#include "actors/frame_translation.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace troupe::actors {
namespace {

uint32_t bits(float value) {
  return std::bit_cast<uint32_t>(value);
}
float value_of(uint32_t bits) {
  return std::bit_cast<float>(bits);
}

// Another node's numbers may be any; beyond decades they are nonsense, which must not overflow.
duration span_of(int64_t ns) {
  constexpr int64_t most = int64_t{1} << 61;
  return duration(std::clamp(ns, -most, most));
}

schemas::token_entry to_wire(const dataflow::token_record& in) {
  schemas::token_entry out{in.token, bits(in.logprob), {}, in.scored};
  out.top.reserve(in.top.size());
  for (const auto& entry : in.top) out.top.push_back({entry.token, bits(entry.logprob)});
  return out;
}

dataflow::token_record from_wire(const schemas::token_entry& in) {
  dataflow::token_record out{in.token, value_of(in.logprob_bits), {}, in.scored};
  out.top.reserve(in.top.size());
  for (const auto& entry : in.top) out.top.push_back({entry.token, value_of(entry.logprob_bits)});
  return out;
}

template <class To, class From>
std::vector<To> all(const std::vector<From>& in, To (*translate)(const From&)) {
  std::vector<To> out;
  out.reserve(in.size());
  for (const auto& one : in) out.push_back(translate(one));
  return out;
}

void put_sampling(const model::sampling_options& in, schemas::submission& out) {
  out.temperature_bits = bits(in.temperature);
  out.top_p_bits = bits(in.top_p);
  out.min_p_bits = bits(in.min_p);
  out.repetition_penalty_bits = bits(in.repetition_penalty);
  out.presence_penalty_bits = bits(in.presence_penalty);
  out.frequency_penalty_bits = bits(in.frequency_penalty);
  out.top_k = in.top_k;
  out.seed = in.seed;
  for (const auto& [token, bias] : in.logit_bias) out.biases.push_back({token, bits(bias)});
}

model::sampling_options sampling_of(const schemas::submission& in) {
  model::sampling_options out;
  out.temperature = value_of(in.temperature_bits);
  out.top_p = value_of(in.top_p_bits);
  out.min_p = value_of(in.min_p_bits);
  out.repetition_penalty = value_of(in.repetition_penalty_bits);
  out.presence_penalty = value_of(in.presence_penalty_bits);
  out.frequency_penalty = value_of(in.frequency_penalty_bits);
  out.top_k = in.top_k;
  out.seed = in.seed;
  for (const auto& bias : in.biases)
    out.logit_bias.emplace_back(bias.token, value_of(bias.value_bits));
  return out;
}

} // namespace

schemas::submission to_wire(const request_submission& work, time_point now) {
  const auto& request = *work.request;
  schemas::submission out;
  out.handle = work.handle;
  out.age_ns = (now - work.arrived).count();
  if (request.deadline) out.deadline_ns = (*request.deadline - now).count();
  out.id = request.id;
  out.prompt = request.prompt;
  out.choices = request.choices;
  out.tokens_max = request.tokens_max;
  out.tokens_min = request.tokens_min;
  out.stop_ids = request.stop_ids;
  out.ignore_eos = request.ignore_eos;
  out.top_logprobs = request.top_logprobs;
  out.prompt_logprobs = request.prompt_logprobs;
  out.priority = request.priority;
  out.cache_salt = request.cache_salt;
  out.constraint_kind = static_cast<uint8_t>(request.constraint.what);
  out.constraint = request.constraint.text;
  put_sampling(request.sampling, out);
  for (size_t i = 0; i < work.drawn.size(); ++i)
    out.choices_so_far.push_back({work.drawn[i], work.finished[i], work.prompt_scored[i]});
  return out;
}

request_submission from_wire(const schemas::submission& in, time_point now) {
  dataflow::generation_request request;
  request.id = in.id;
  request.prompt = in.prompt;
  request.choices = in.choices;
  request.tokens_max = in.tokens_max;
  request.tokens_min = in.tokens_min;
  request.stop_ids = in.stop_ids;
  request.ignore_eos = in.ignore_eos;
  request.top_logprobs = in.top_logprobs;
  request.prompt_logprobs = in.prompt_logprobs;
  request.priority = in.priority;
  request.cache_salt = in.cache_salt;
  request.constraint.what = static_cast<model::constraint::kind>(in.constraint_kind);
  request.constraint.text = in.constraint;
  request.sampling = sampling_of(in);
  if (in.deadline_ns) request.deadline = now + span_of(*in.deadline_ns);
  request_submission out;
  out.handle = in.handle;
  out.request = std::make_shared<const dataflow::generation_request>(std::move(request));
  out.arrived = now - span_of(in.age_ns);
  for (const auto& choice : in.choices_so_far) {
    out.drawn.push_back(choice.drawn);
    out.finished.push_back(choice.finished);
    out.prompt_scored.push_back(choice.prompt_scored);
  }
  return out;
}

schemas::emission to_wire(const emission& work, time_point now) {
  schemas::emission out;
  for (const auto& entry : work.entries)
    out.entries.push_back({.handle = entry.handle,
                           .choice = entry.choice,
                           .prompt = all<schemas::token_entry>(entry.prompt, to_wire),
                           .tokens = all<schemas::token_entry>(entry.tokens, to_wire),
                           .begin = entry.begin,
                           .finished = entry.finished,
                           .reason = static_cast<uint8_t>(entry.reason),
                           .ends_with_stop_id = entry.ends_with_stop_id,
                           .cached_tokens = entry.cached_tokens,
                           .first = entry.first,
                           .started_ago_ns = (now - entry.started).count()});
  return out;
}

emission from_wire(const schemas::emission& in, time_point now) {
  emission out;
  for (const auto& entry : in.entries)
    out.entries.push_back({.handle = entry.handle,
                           .choice = entry.choice,
                           .prompt = all<dataflow::token_record>(entry.prompt, from_wire),
                           .tokens = all<dataflow::token_record>(entry.tokens, from_wire),
                           .begin = entry.begin,
                           .finished = entry.finished,
                           .reason = static_cast<dataflow::finish_reason>(entry.reason),
                           .ends_with_stop_id = entry.ends_with_stop_id,
                           .cached_tokens = entry.cached_tokens,
                           .first = entry.first,
                           .started = now - span_of(entry.started_ago_ns)});
  return out;
}

} // namespace troupe::actors
