// Field by field between pipeline_messages.hpp and pipeline.capnp. Templates over the generated
// builders and readers, which only the codec's source knows.
#pragma once

#include "schemas/frame_limits.hpp"
#include "schemas/pipeline_messages.hpp"
#include "schemas/wire_lists.hpp"

namespace troupe::schemas {

template <class Builder>
void write(const step_rows& from, Builder to) {
  write_list(from.tokens, [&](unsigned size) { return to.initTokens(size); });
  write_list(from.positions, [&](unsigned size) { return to.initPositions(size); });
  write_list(from.slots, [&](unsigned size) { return to.initSlots(size); });
  write_list(from.sequence_of, [&](unsigned size) { return to.initSequenceOf(size); });
  write_list(from.prompt_lengths, [&](unsigned size) { return to.initPromptLengths(size); });
  write_list(from.wanted_rows, [&](unsigned size) { return to.initWantedRows(size); });
  if (from.tables.empty()) return;
  auto tables = to.initTables(static_cast<unsigned>(from.tables.size()));
  for (unsigned i = 0; i < from.tables.size(); ++i)
    write_list(from.tables[i], [&](unsigned size) { return tables.init(i, size); });
}

template <class List, class Number>
void read_rows(List from, std::vector<Number>& to, const frame_limits& limits,
               wire_budget& budget) {
  if (budget.allows(from.size(), limits.rows_max, "rows of a step")) read_numbers(from, to);
}

template <class Reader>
void read(Reader from, step_rows& to, const frame_limits& limits, wire_budget& budget) {
  read_rows(from.getTokens(), to.tokens, limits, budget);
  read_rows(from.getPositions(), to.positions, limits, budget);
  read_rows(from.getSlots(), to.slots, limits, budget);
  read_rows(from.getSequenceOf(), to.sequence_of, limits, budget);
  read_rows(from.getPromptLengths(), to.prompt_lengths, limits, budget);
  read_rows(from.getWantedRows(), to.wanted_rows, limits, budget);
  const auto tables = from.getTables();
  if (!budget.allows(tables.size(), limits.sequences_max, "sequences of a step")) return;
  to.tables.resize(tables.size());
  size_t pages = 0;
  for (unsigned i = 0; i < tables.size(); ++i) {
    const auto table = tables[i];
    pages += table.size();
    if (!budget.allows(pages, limits.pages_max, "KV pages of a step")) return;
    read_numbers(table, to.tables[i]);
  }
}

template <class Builder>
void write(const stage_forward& from, Builder to) {
  to.setStep(from.step);
  to.setStage(from.stage);
  write(from.rows, to.initRows());
}

template <class Reader>
void read(Reader from, stage_forward& to, const frame_limits& limits, wire_budget& budget) {
  to.step = from.getStep();
  to.stage = from.getStage();
  read(from.getRows(), to.rows, limits, budget);
}

template <class Builder>
void write(const stage_done& from, Builder to) {
  to.setStep(from.step);
}

template <class Reader>
void read(Reader from, stage_done& to, const frame_limits&, wire_budget&) {
  to.step = from.getStep();
}

template <class Builder>
void write(const shard_forward& from, Builder to) {
  to.setStep(from.step);
  to.setLayer(from.layer);
  to.setStage(from.stage);
  to.setShard(from.shard);
  to.setAttempt(from.attempt);
  write_structs(
      from.experts, [&](unsigned size) { return to.initExperts(size); },
      [](const expert_rows& one, auto wire) {
        wire.setExpert(one.expert);
        wire.setCount(one.count);
      });
}

template <class Reader>
void read(Reader from, shard_forward& to, const frame_limits& limits, wire_budget& budget) {
  to.step = from.getStep();
  to.layer = from.getLayer();
  to.stage = from.getStage();
  to.shard = from.getShard();
  to.attempt = from.getAttempt();
  const auto experts = from.getExperts();
  if (!budget.allows(experts.size(), limits.experts_max, "experts")) return;
  read_structs(experts, to.experts, [](auto wire, expert_rows& one) {
    one.expert = wire.getExpert();
    one.count = wire.getCount();
  });
}

template <class Builder>
void write(const shard_done& from, Builder to) {
  to.setStep(from.step);
  to.setLayer(from.layer);
  to.setStage(from.stage);
  to.setShard(from.shard);
}

template <class Reader>
void read(Reader from, shard_done& to, const frame_limits&, wire_budget&) {
  to.step = from.getStep();
  to.layer = from.getLayer();
  to.stage = from.getStage();
  to.shard = from.getShard();
}

template <class Builder>
void write(const step_failure& from, Builder to) {
  to.setStep(from.step);
  to.setCode(from.code);
  write_text(from.why, [&](unsigned size) { return to.initWhy(size); });
}

template <class Reader>
void read(Reader from, step_failure& to, const frame_limits& limits, wire_budget& budget) {
  to.step = from.getStep();
  to.code = from.getCode();
  const auto why = from.getWhy();
  if (budget.allows(why.size(), limits.text_bytes_max, "bytes of a reason")) read_text(why, to.why);
}

// -- requests

template <class Builder>
void write_sampling(const submission& from, Builder to) {
  to.setTemperatureBits(from.temperature_bits);
  to.setTopPBits(from.top_p_bits);
  to.setMinPBits(from.min_p_bits);
  to.setRepetitionPenaltyBits(from.repetition_penalty_bits);
  to.setPresencePenaltyBits(from.presence_penalty_bits);
  to.setFrequencyPenaltyBits(from.frequency_penalty_bits);
  to.setTopK(from.top_k);
  to.setSeed(from.seed);
  write_structs(
      from.biases, [&](unsigned size) { return to.initBiases(size); },
      [](const submission::bias& one, auto wire) {
        wire.setToken(one.token);
        wire.setValueBits(one.value_bits);
      });
}

template <class Builder>
void write(const submission& from, Builder to) {
  to.setHandle(from.handle);
  to.setAgeNs(from.age_ns);
  to.setHasDeadline(from.deadline_ns.has_value());
  to.setDeadlineNs(from.deadline_ns.value_or(0));
  write_text(from.id, [&](unsigned size) { return to.initId(size); });
  write_list(from.prompt, [&](unsigned size) { return to.initPrompt(size); });
  to.setChoices(from.choices);
  to.setTokensMax(from.tokens_max);
  to.setTokensMin(from.tokens_min);
  write_list(from.stop_ids, [&](unsigned size) { return to.initStopIds(size); });
  to.setIgnoreEos(from.ignore_eos);
  to.setHasTopLogprobs(from.top_logprobs.has_value());
  to.setTopLogprobs(from.top_logprobs.value_or(0));
  to.setPromptLogprobs(from.prompt_logprobs);
  to.setPriority(from.priority);
  write_text(from.cache_salt, [&](unsigned size) { return to.initCacheSalt(size); });
  to.setConstraintKind(from.constraint_kind);
  write_text(from.constraint, [&](unsigned size) { return to.initConstraint(size); });
  write_sampling(from, to);
  write_structs(
      from.choices_so_far, [&](unsigned size) { return to.initChoicesSoFar(size); },
      [](const submission::progress& one, auto wire) {
        write_list(one.drawn, [&](unsigned size) { return wire.initDrawn(size); });
        wire.setFinished(one.finished);
        wire.setPromptScored(one.prompt_scored);
      });
}

template <class Reader>
void read_sampling(Reader from, submission& to, const frame_limits& limits, wire_budget& budget) {
  to.temperature_bits = from.getTemperatureBits();
  to.top_p_bits = from.getTopPBits();
  to.min_p_bits = from.getMinPBits();
  to.repetition_penalty_bits = from.getRepetitionPenaltyBits();
  to.presence_penalty_bits = from.getPresencePenaltyBits();
  to.frequency_penalty_bits = from.getFrequencyPenaltyBits();
  to.top_k = from.getTopK();
  to.seed = from.getSeed();
  const auto biases = from.getBiases();
  if (!budget.allows(biases.size(), limits.biases_max, "biases")) return;
  read_structs(biases, to.biases, [](auto wire, submission::bias& one) {
    one.token = wire.getToken();
    one.value_bits = wire.getValueBits();
  });
}

template <class Reader>
void read_lists(Reader from, submission& to, const frame_limits& limits, wire_budget& budget) {
  const auto id = from.getId();
  const auto salt = from.getCacheSalt();
  const auto constraint = from.getConstraint();
  const auto prompt = from.getPrompt();
  const auto stop_ids = from.getStopIds();
  const auto choices = from.getChoicesSoFar();
  if (!budget.allows(id.size(), limits.text_bytes_max, "bytes of an id") ||
      !budget.allows(salt.size(), limits.text_bytes_max, "bytes of a cache salt") ||
      !budget.allows(constraint.size(), limits.constraint_bytes_max, "bytes of a constraint") ||
      !budget.allows(prompt.size(), limits.tokens_max, "tokens of a prompt") ||
      !budget.allows(stop_ids.size(), limits.biases_max, "stop ids") ||
      !budget.allows(choices.size(), limits.choices_max, "choices"))
    return;
  read_text(id, to.id);
  read_text(salt, to.cache_salt);
  read_text(constraint, to.constraint);
  read_numbers(prompt, to.prompt);
  read_numbers(stop_ids, to.stop_ids);
  read_structs(choices, to.choices_so_far, [&](auto wire, submission::progress& one) {
    const auto drawn = wire.getDrawn();
    if (budget.allows(drawn.size(), limits.tokens_max, "tokens of a choice"))
      read_numbers(drawn, one.drawn);
    one.finished = wire.getFinished();
    one.prompt_scored = wire.getPromptScored();
  });
}

template <class Reader>
void read(Reader from, submission& to, const frame_limits& limits, wire_budget& budget) {
  to.handle = from.getHandle();
  to.age_ns = from.getAgeNs();
  if (from.getHasDeadline()) to.deadline_ns = from.getDeadlineNs();
  to.choices = from.getChoices();
  to.tokens_max = from.getTokensMax();
  to.tokens_min = from.getTokensMin();
  to.ignore_eos = from.getIgnoreEos();
  if (from.getHasTopLogprobs()) to.top_logprobs = from.getTopLogprobs();
  to.prompt_logprobs = from.getPromptLogprobs();
  to.priority = from.getPriority();
  to.constraint_kind = from.getConstraintKind();
  read_lists(from, to, limits, budget);
  read_sampling(from, to, limits, budget);
}

template <class Builder>
void write(const choice_end& from, Builder to) {
  to.setHandle(from.handle);
  to.setChoice(from.choice);
}

template <class Reader>
void read(Reader from, choice_end& to, const frame_limits&, wire_budget&) {
  to.handle = from.getHandle();
  to.choice = from.getChoice();
}

// -- answers

template <class Builder>
void write(const token_entry& from, Builder to) {
  to.setToken(from.token);
  to.setLogprobBits(from.logprob_bits);
  to.setScored(from.scored);
  write_structs(
      from.top, [&](unsigned size) { return to.initTop(size); },
      [](const token_entry::alternative& one, auto wire) {
        wire.setToken(one.token);
        wire.setLogprobBits(one.logprob_bits);
      });
}

template <class Reader>
void read(Reader from, token_entry& to, const frame_limits& limits, wire_budget& budget) {
  to.token = from.getToken();
  to.logprob_bits = from.getLogprobBits();
  to.scored = from.getScored();
  const auto top = from.getTop();
  if (!budget.allows(top.size(), limits.alternatives_max, "alternatives to a token")) return;
  read_structs(top, to.top, [](auto wire, token_entry::alternative& one) {
    one.token = wire.getToken();
    one.logprob_bits = wire.getLogprobBits();
  });
}

template <class List>
void read_tokens(List from, std::vector<token_entry>& to, const frame_limits& limits,
                 wire_budget& budget) {
  if (!budget.allows(from.size(), limits.tokens_max, "tokens of an emission")) return;
  read_structs(from, to, [&](auto wire, token_entry& one) { read(wire, one, limits, budget); });
}

template <class Builder>
void write(const emission::entry& from, Builder to) {
  const auto write_token = [](const token_entry& one, auto wire) { write(one, wire); };
  to.setHandle(from.handle);
  to.setChoice(from.choice);
  write_structs(
      from.prompt, [&](unsigned size) { return to.initPrompt(size); }, write_token);
  write_structs(
      from.tokens, [&](unsigned size) { return to.initTokens(size); }, write_token);
  to.setBegin(from.begin);
  to.setFinished(from.finished);
  to.setReason(from.reason);
  to.setEndsWithStopId(from.ends_with_stop_id);
  to.setCachedTokens(from.cached_tokens);
  to.setFirst(from.first);
  to.setStartedAgoNs(from.started_ago_ns);
}

template <class Reader>
void read(Reader from, emission::entry& to, const frame_limits& limits, wire_budget& budget) {
  to.handle = from.getHandle();
  to.choice = from.getChoice();
  read_tokens(from.getPrompt(), to.prompt, limits, budget);
  read_tokens(from.getTokens(), to.tokens, limits, budget);
  to.begin = from.getBegin();
  to.finished = from.getFinished();
  to.reason = from.getReason();
  to.ends_with_stop_id = from.getEndsWithStopId();
  to.cached_tokens = from.getCachedTokens();
  to.first = from.getFirst();
  to.started_ago_ns = from.getStartedAgoNs();
}

template <class Builder>
void write(const emission& from, Builder to) {
  write_structs(
      from.entries, [&](unsigned size) { return to.initEntries(size); },
      [](const emission::entry& one, auto wire) { write(one, wire); });
}

template <class Reader>
void read(Reader from, emission& to, const frame_limits& limits, wire_budget& budget) {
  const auto entries = from.getEntries();
  if (!budget.allows(entries.size(), limits.entries_max, "entries of an emission")) return;
  read_structs(entries, to.entries,
               [&](auto wire, emission::entry& one) { read(wire, one, limits, budget); });
}

template <class Builder>
void write(const request_failure& from, Builder to) {
  to.setHandle(from.handle);
  to.setCode(from.code);
  write_text(from.why, [&](unsigned size) { return to.initWhy(size); });
}

template <class Reader>
void read(Reader from, request_failure& to, const frame_limits& limits, wire_budget& budget) {
  to.handle = from.getHandle();
  to.code = from.getCode();
  const auto why = from.getWhy();
  if (budget.allows(why.size(), limits.text_bytes_max, "bytes of a reason")) read_text(why, to.why);
}

} // namespace troupe::schemas
