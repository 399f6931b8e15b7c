// Frames with contents of keyed randomness that make sense: for round trips and as seeds of
// fuzzing.
#pragma once

#include "base/random.hpp"
#include "schemas/frame.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace troupe::tests {

// Every field of every message gets some value that validate() accepts. The same seed, the same
// frames.
class random_frames {
public:
  explicit random_frames(uint64_t seed) : key_{seed, random_subsystem::faults, 77} {}

  static constexpr size_t kinds = std::variant_size_v<schemas::frame_body>;

  // A frame whose body is the alternative `kind` of frame_body.
  schemas::frame_header next(size_t kind) {
    schemas::frame_header out;
    out.source = small(64);
    out.source_incarnation = number();
    out.target = small(64);
    out.target_incarnation = number();
    out.epoch = number();
    out.link_number = number();
    out.link_ack = number();
    out.payload_checksum = number();
    fill(kind, out, std::make_index_sequence<kinds>());
    return out;
  }

  schemas::cluster_state state() {
    schemas::cluster_state out;
    out.epoch = number();
    out.kv_version = number();
    out.members = list<schemas::member>(9, [this] { return make_member(); });
    const auto nodes = static_cast<uint32_t>(out.members.size());
    if (nodes == 0) return out;
    const auto node = [this, nodes] { return small(nodes); };
    if (flag()) out.where.sequencer = node();
    out.where.stages = list<schemas::node_index>(5, node);
    out.where.shards = list<std::vector<schemas::node_index>>(
        7, [&] { return list<schemas::node_index>(nodes + 1, node); });
    return out;
  }

  schemas::acceptor_state acceptor() {
    return {make_ballot(), make_ballot(), state(), recoveries()};
  }

  uint64_t number() { // of any size
    const uint64_t bits = random_bits(key_, n_++);
    return random_bits(key_, n_++) >> (bits % 64);
  }

private:
  std::vector<uint64_t> recoveries() {
    return list<uint64_t>(5, [this] { return number(); });
  }

  uint32_t small(uint32_t bound) { return static_cast<uint32_t>(random_below(key_, n_++, bound)); }
  bool flag() { return small(2) == 1; }
  uint32_t word() { return static_cast<uint32_t>(number()); }
  int32_t signed_word() { return static_cast<int32_t>(word()); }

  template <class Element, class Make>
  std::vector<Element> list(uint32_t size_bound, Make make) {
    std::vector<Element> out(small(size_bound));
    for (auto& each : out) each = make();
    return out;
  }
  std::vector<uint32_t> words(uint32_t size_bound) {
    return list<uint32_t>(size_bound, [this] { return word(); });
  }
  std::vector<int32_t> tokens(uint32_t size_bound) {
    return list<int32_t>(size_bound, [this] { return signed_word(); });
  }
  std::string chars() { // any bytes, zero too
    std::string out(small(24), ' ');
    for (char& each : out) each = static_cast<char>(small(256));
    return out;
  }

  schemas::member make_member() {
    return {.incarnation = number(),
            .generation = number(),
            .stages_lost = number(),
            .present = flag(),
            .serving = flag()};
  }
  schemas::ballot make_ballot() { return {number(), small(64)}; }

  void make(schemas::frame_header&, std::monostate&) {}
  void make(schemas::frame_header&, schemas::node_report& out) {
    out.node = small(64);
    for (auto* each :
         {&out.incarnation, &out.number, &out.epoch, &out.epoch_ready, &out.epoch_go,
          &out.epoch_stuck, &out.generation, &out.stages_lost, &out.model, &out.layout})
      *each = number();
    for (bool* each : {&out.serving, &out.draining, &out.has_streams, &out.leads, &out.majority})
      *each = flag();
    out.hears = list<uint64_t>(40, [this] { return number(); });
    out.speed = small(UINT32_MAX);
    out.memory = number();
    out.shard_rows = list<uint64_t>(40, [this] { return number(); });
  }
  void make(schemas::frame_header&, schemas::register_prepare& out) { out.number = make_ballot(); }
  void make(schemas::frame_header&, schemas::register_promise& out) {
    out = {make_ballot(), flag(), make_ballot(), make_ballot(), state(), recoveries()};
  }
  void make(schemas::frame_header&, schemas::register_accept& out) {
    out = {make_ballot(), state()};
  }
  void make(schemas::frame_header&, schemas::register_accepted& out) {
    out = {make_ballot(), flag(), make_ballot(), recoveries()};
  }
  void make(schemas::frame_header&, schemas::register_recover& out) { out.nonce = number(); }
  void make(schemas::frame_header&, schemas::register_recovered& out) {
    out = {number(), acceptor()};
  }
  void make(schemas::frame_header&, schemas::state_update& out) { out.state = state(); }

  void make(schemas::frame_header& frame, schemas::stage_forward& out) {
    out.step = number();
    out.stage = small(4);
    auto& rows = out.rows;
    rows.tables = list<std::vector<uint32_t>>(6, [this] { return words(9); });
    const auto sequences = static_cast<uint32_t>(rows.tables.size());
    const uint32_t count = sequences == 0 ? 0 : small(30);
    for (uint32_t row = 0; row < count; ++row) {
      rows.tokens.push_back(signed_word());
      rows.positions.push_back(word());
      rows.slots.push_back(word());
      rows.sequence_of.push_back(small(sequences));
      rows.prompt_lengths.push_back(word());
      if (flag()) rows.wanted_rows.push_back(row);
    }
    frame.columns = 1 + small(100);
    frame.rows = out.stage == 0 ? 0 : count;
  }
  void make(schemas::frame_header& frame, schemas::stage_done& out) {
    out.step = number();
    frame.rows = small(50);
    frame.columns = 1 + small(100);
  }
  void make(schemas::frame_header& frame, schemas::shard_forward& out) {
    out.step = number();
    for (uint32_t* each : {&out.layer, &out.stage, &out.shard, &out.attempt}) *each = word();
    out.experts = list<schemas::expert_rows>(20, [this] {
      return schemas::expert_rows{word(), small(9)};
    });
    for (const auto& each : out.experts) frame.rows += each.count;
    frame.columns = 1 + small(100);
  }
  void make(schemas::frame_header& frame, schemas::shard_done& out) {
    out.step = number();
    for (uint32_t* each : {&out.layer, &out.stage, &out.shard}) *each = word();
    frame.rows = small(50);
    frame.columns = 1 + small(100);
  }
  void make(schemas::frame_header&, schemas::step_failure& out) {
    out = {number(), static_cast<uint8_t>(1 + small(9)), chars()};
  }

  void make(schemas::frame_header&, schemas::submission& out) {
    out.handle = number();
    out.age_ns = static_cast<int64_t>(number());
    if (flag()) out.deadline_ns = static_cast<int64_t>(number());
    out.id = chars();
    out.prompt = tokens(100);
    for (uint32_t* each : {&out.tokens_max, &out.tokens_min, &out.temperature_bits, &out.top_p_bits,
                           &out.min_p_bits, &out.repetition_penalty_bits,
                           &out.presence_penalty_bits, &out.frequency_penalty_bits, &out.top_k})
      *each = word();
    out.stop_ids = tokens(9);
    out.ignore_eos = flag();
    if (flag()) out.top_logprobs = small(20);
    out.prompt_logprobs = flag();
    out.priority = signed_word();
    out.cache_salt = chars();
    out.constraint_kind = static_cast<uint8_t>(small(7));
    out.constraint = chars();
    out.seed = number();
    out.biases = list<schemas::submission::bias>(9, [this] {
      return schemas::submission::bias{signed_word(), word()};
    });
    out.choices = 1 + small(5);
    for (uint32_t i = 0; i < out.choices; ++i)
      out.choices_so_far.push_back({tokens(30), flag(), flag()});
  }
  void make(schemas::frame_header&, schemas::choice_end& out) { out = {number(), small(100)}; }

  schemas::token_entry make_token() {
    schemas::token_entry out;
    out.token = signed_word();
    out.logprob_bits = word();
    out.scored = flag();
    out.top = list<schemas::token_entry::alternative>(5, [this] {
      return schemas::token_entry::alternative{signed_word(), word()};
    });
    return out;
  }
  void make(schemas::frame_header&, schemas::emission& out) {
    const auto token = [this] { return make_token(); };
    out.entries = list<schemas::emission::entry>(8, [&] {
      schemas::emission::entry entry;
      entry.handle = number();
      entry.choice = small(100);
      entry.prompt = list<schemas::token_entry>(9, token);
      entry.tokens = list<schemas::token_entry>(9, token);
      entry.begin = word();
      entry.finished = flag();
      entry.reason = static_cast<uint8_t>(small(5));
      entry.ends_with_stop_id = flag();
      entry.cached_tokens = word();
      entry.first = flag();
      entry.started_ago_ns = static_cast<int64_t>(number());
      return entry;
    });
  }
  void make(schemas::frame_header&, schemas::request_failure& out) {
    out = {number(), static_cast<uint8_t>(1 + small(9)), chars()};
  }

  void make(schemas::frame_header&, schemas::journal_entry& out) {
    out.number = number();
    out.bytes = list<std::byte>(100, [this] { return static_cast<std::byte>(small(256)); });
  }
  void make(schemas::frame_header&, schemas::journal_answer& out) { out = {number(), flag()}; }

  template <size_t... Kind>
  void fill(size_t kind, schemas::frame_header& out, std::index_sequence<Kind...>) {
    ((Kind == kind ? make(out, out.body.emplace<Kind>()) : void()), ...);
  }

  random_key key_;
  uint64_t n_ = 0;
};

} // namespace troupe::tests
