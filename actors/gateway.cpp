// Messages to frames and frames to messages. Frames of the pipeline travel on an ordered link per
// peer, within its credit; a frame of an epoch to come waits in its link until this node is there,
// and one of an epoch that is over is dropped.
#include "actors/gateway.hpp"

#include "actors/frame_translation.hpp"
#include "actors/routes.hpp"
#include "base/log.hpp"
#include "base/mutant.hpp"
#include "base/text.hpp"
#include "schemas/frame_codec.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::actors {

// Something may be due: a frame to send again, an acknowledgement.
struct gateway_wake {
  int64_t at_ns = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, gateway_wake& x) {
  return f(caf::meta::type_name("gateway_wake"), x.at_ns);
}

namespace {

using schemas::frame_body;
using schemas::frame_header;
using schemas::node_index;
using self_type = gateway::extend<caf::reacts_to<gateway_wake>>;

// A frame for one peer before it has a number.
struct outbound {
  uint64_t epoch = 0;
  frame_body body;
  local_ref<row_block> payload;
};
// … and as it is kept until acknowledged.
struct sent_frame {
  std::vector<std::byte> header;
  local_ref<row_block> payload;
};

struct peer {
  uint64_t incarnation = 0; // of the process both ends of the link belong to; 0: none known
  dataflow::link_sender<sent_frame> sender;
  dataflow::link_receiver<local_ref<inbound_frame>> receiver;
  std::deque<outbound> waiting;      // for credit
  bool present = false;              // takes part in the epoch
  std::optional<time_point> tell_by; // an acknowledgement is owed

  explicit peer(const dataflow::link_limits& limits) : sender(limits), receiver(limits) {}
};

std::span<const std::byte> bytes_of(const local_ref<row_block>& rows) {
  if (!rows.value) return {};
  return std::as_bytes(std::span(rows->values));
}

// Whether it means the same in every epoch.
bool is_loose(const frame_body& body) {
  return std::holds_alternative<schemas::journal_entry>(body) ||
         std::holds_alternative<schemas::journal_answer>(body);
}

struct gateway_state {
  using self_pointer = self_type::stateful_pointer<gateway_state>;
  static inline const char* name = "gateway";

  explicit gateway_state(self_pointer owner) : self(owner) {}

  void start(const gateway_options& o) {
    options = o;
    limits.resend_after = o.timing->resend_after;
    limits.frames_max = o.link_frames_max;
    limits.bytes_max = o.link_bytes_max;
    peers.assign(o.layout->nodes.size(), peer(limits));
  }

  // -- wiring

  void rewire(const wire& in) {
    epoch = in.epoch;
    routes = in.routes;
    for (node_index node = 0; node < peers.size(); ++node) {
      const auto& member = routes->members[node];
      peers[node].present = member.present;
      peers[node].waiting.clear(); // of an epoch that is over
      if (member.present && member.incarnation > peers[node].incarnation)
        renew(node, member.incarnation);
      if (member.present) wake_for(peers[node].sender.next_due());
    }
    note_levels();
    if (options.courier) tell_courier();
    self->send(routes->supervisor, wired{epoch, options.part});
  }

  void tell_courier() {
    std::vector<uint64_t> incarnations(peers.size(), 0);
    for (node_index node = 0; node < peers.size(); ++node)
      if (peers[node].present) incarnations[node] = peers[node].incarnation;
    self->send(options.courier,
               members_present{std::move(incarnations), caf::actor_cast<link_carrier>(self)});
  }

  void open(const open_gate& in) {
    if (in.epoch != epoch) return;
    gate = in.epoch;
    for (node_index node = 0; node < peers.size(); ++node) take_in(node);
    note_levels();
  }

  // The peer has started again; nothing of the link to its last start means anything.
  void renew(node_index node, uint64_t incarnation) {
    const bool present = peers[node].present;
    peers[node] = peer(limits);
    peers[node].incarnation = incarnation;
    peers[node].present = present;
  }

  // -- going out

  void send(node_index to, outbound frame) {
    if (frame.epoch != epoch) return; // fenced
    auto& p = peers[to];
    if (!p.present) return; // it is not in this epoch, so nobody waits for it
    if (p.waiting.empty() && dispatch(to, frame)) return;
    if (p.waiting.size() >= options.waiting_max) {
      log::warn(text(options.layout->nodes[to], " takes nothing any more; ", p.waiting.size(),
                     " frames wait for it"));
      return self->send(routes->supervisor, pipeline_stuck{epoch, 0});
    }
    p.waiting.push_back(std::move(frame));
  }

  // False when the link has no room for it now; the frame stays as it was.
  bool dispatch(node_index to, outbound& frame) {
    auto& p = peers[to];
    if (p.sender.credit() == 0) return false;
    const auto now = options.time->now();
    frame_header header = header_for(to);
    header.epoch = frame.epoch;
    header.link_number = p.sender.last_number() + 1;
    if (frame.payload.value) {
      header.rows = frame.payload->rows;
      header.columns = frame.payload->columns;
      header.payload_checksum = schemas::checksum_of(bytes_of(frame.payload));
    }
    header.body = std::move(frame.body);
    auto encoded = schemas::encode_frame(header, {});
    if (!encoded) {
      give_up(header.body, encoded.error());
      return true;
    }
    const uint64_t bytes = encoded->size() + bytes_of(frame.payload).size();
    if (!p.sender.takes(bytes)) {
      frame.body = std::move(header.body);
      return false;
    }
    sent_frame made{std::move(*encoded), std::move(frame.payload)};
    transmit(to, made);
    const auto number = p.sender.offer(std::move(made), bytes, now);
    TROUPE_CHECK(number.has_value() && *number == header.link_number);
    p.tell_by.reset();
    wake_for(p.sender.next_due());
    return true;
  }

  // Of no epoch: nobody asks for it again, and it stands in no other frame's way.
  void send_loose(const send_on_link& in) {
    TROUPE_CHECK(in.target < peers.size());
    auto& p = peers[in.target];
    const bool room = p.waiting.empty() && p.sender.bytes_under_way() < options.loose_bytes_max;
    outbound frame{epoch, *in.body, {}};
    if (p.present && room && dispatch(in.target, frame)) return;
    if (const auto* entry = std::get_if<schemas::journal_entry>(&*in.body))
      self->send(options.courier, answer_arrived{in.target, entry->number, false});
  }

  // Larger than any frame may be. Requests that are too large to travel fail; nothing else can be.
  void give_up(const frame_body& body, const status& why) {
    log::error(text("a message is too large for a frame: ", why.why()));
    const auto fail = [this, &why](uint64_t handle) {
      const request_failed out{epoch, handle, status_code::exhausted,
                               text("too large to travel between nodes: ", why.why())};
      if (dataflow::door_of(handle) == options.self)
        self->send(routes->doors[options.self], out);
      else
        forward(out);
    };
    if (const auto* submitted = std::get_if<schemas::submission>(&body))
      return fail(submitted->handle);
    const auto* emitted = std::get_if<schemas::emission>(&body);
    if (emitted == nullptr) return self->send(routes->supervisor, pipeline_stuck{epoch, 0});
    for (const auto& entry : emitted->entries) {
      self->send(routes->sequencer.handle, end_choice{epoch, entry.handle, entry.choice});
      fail(entry.handle);
    }
  }

  frame_header header_for(node_index to) const {
    frame_header header;
    header.source = options.self;
    header.source_incarnation = options.incarnation;
    header.target = to;
    header.target_incarnation = peers[to].incarnation;
    header.epoch = epoch;
    header.link_ack = peers[to].receiver.acknowledgement();
    return header;
  }

  // What the endpoint does not take now is sent again later, like what the network loses.
  void transmit(node_index to, const sent_frame& frame) {
    static_cast<void>(
        options.endpoint->send(options.layout->nodes[to], frame.header, bytes_of(frame.payload)));
  }

  void datagram(const send_datagram& in) {
    frame_header header;
    header.source = options.self;
    header.source_incarnation = options.incarnation;
    header.target = in.target;
    header.epoch = epoch;
    header.body = *in.body;
    const auto encoded = schemas::encode_frame(header, {});
    TROUPE_CHECK(encoded.has_value());
    for (node_index node = 0; node < peers.size(); ++node) {
      if (node == options.self || (in.target != schemas::no_node && in.target != node)) continue;
      static_cast<void>(options.endpoint->send(options.layout->nodes[node], *encoded, {}));
    }
  }

  // -- coming in

  void arrive(const frame_arrived& in) {
    const auto& header = in.frame->header;
    if (header.source >= peers.size()) return drop(options.counters->corrupt);
    auto& p = peers[header.source];
    if (header.source_incarnation < p.incarnation) return drop(options.counters->stale);
    if (header.source_incarnation > p.incarnation) renew(header.source, header.source_incarnation);
    if (header.target_incarnation == options.incarnation)
      p.sender.acknowledge(header.link_ack, options.time->now());
    if (p.present) wake_for(p.sender.next_due()); // sooner than feared while nothing came
    send_waiting(header.source);
    if (header.link_number == 0) return note_levels();
    using verdict = dataflow::link_receiver<local_ref<inbound_frame>>::verdict;
    if (p.receiver.receive(header.link_number, in.frame) == verdict::kept) take_in(header.source);
    owe_acknowledgement(header.source);
    note_levels();
  }

  void drop(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

  void send_waiting(node_index to) {
    auto& p = peers[to];
    while (!p.waiting.empty() && dispatch(to, p.waiting.front())) p.waiting.pop_front();
  }

  // Hands over what is in order and of this epoch.
  void take_in(node_index from) {
    if (gate == 0) return; // nobody is wired yet
    auto& p = peers[from];
    while (const auto* front = p.receiver.front()) {
      const uint64_t of = (*front)->header.epoch;
      if (of > gate) return; // we are not there yet
      const auto frame = p.receiver.take();
      if (of < gate && !is_loose(frame->header.body) && !TROUPE_MUTANT(skip_epoch_check)) {
        drop(options.counters->stale);
        continue;
      }
      options.trace->hit("frame.taken", traced(of, gate));
      std::visit([this, &frame](const auto& body) { deliver(body, frame); }, frame->header.body);
    }
  }

  void note_levels() {
    uint64_t unacknowledged = 0, waiting = 0, held = 0;
    for (const auto& p : peers) {
      if (p.present) unacknowledged += p.sender.under_way();
      waiting += p.waiting.size();
      held += p.receiver.waiting();
    }
    options.counters->unacknowledged.store(unacknowledged, std::memory_order_relaxed);
    options.counters->waiting.store(waiting, std::memory_order_relaxed);
    options.counters->held.store(held, std::memory_order_relaxed);
  }

  // -- acknowledgements and resending

  // Soon, but not at once: usually a frame of ours goes there anyway and carries it. (A repeated
  // frame owes one too: the last one may have been lost.)
  void owe_acknowledgement(node_index from) {
    auto& p = peers[from];
    if (!p.tell_by) p.tell_by = options.time->now() + limits.resend_after / 4;
    wake_for(p.tell_by);
  }

  void acknowledge(node_index to) {
    const auto encoded = schemas::encode_frame(header_for(to), {});
    TROUPE_CHECK(encoded.has_value());
    static_cast<void>(options.endpoint->send(options.layout->nodes[to], *encoded, {}));
    peers[to].tell_by.reset();
  }

  void wake_for(std::optional<time_point> when) {
    if (!when || (wake_at && *wake_at <= *when)) return;
    wake_at = when;
    const auto pause = std::max(duration(0), *when - options.time->now());
    self->delayed_send(self, pause, gateway_wake{when->time_since_epoch().count()});
  }

  void wake(const gateway_wake& in) {
    if (!wake_at || wake_at->time_since_epoch().count() != in.at_ns) return; // an earlier one came
    wake_at.reset();
    const auto now = options.time->now();
    for (node_index node = 0; node < peers.size(); ++node) look_after(node, now);
    for (const auto& p : peers) {
      if (p.present) wake_for(p.sender.next_due());
      wake_for(p.tell_by);
    }
  }

  void look_after(node_index node, time_point now) {
    auto& p = peers[node];
    if (p.tell_by && *p.tell_by <= now) acknowledge(node);
    if (!p.present) return;
    for (const auto& [number, frame] : p.sender.overdue(now)) {
      transmit(node, *frame);
      drop(options.counters->resent);
    }
  }

  // -- messages of parts of this node, for parts elsewhere

  void forward(const forward_batch& in) {
    TROUPE_CHECK(in.carried.value);
    outbound out{in.epoch, schemas::stage_forward{in.step, in.stage, in.carried->rows}, {}};
    if (in.carried->hidden.rows > 0)
      out.payload.value = std::shared_ptr<const row_block>(in.carried.value, &in.carried->hidden);
    if (in.epoch == epoch) send(routes->stages[in.stage].node, std::move(out));
  }

  void forward(const forward_done& in) {
    if (in.epoch != epoch) return;
    outbound out{in.epoch, schemas::stage_done{in.step}, {}};
    if (in.wanted.value && in.wanted->rows > 0) out.payload = in.wanted;
    send(routes->sequencer.node, std::move(out));
  }

  void forward(const expert_batch& in) {
    if (in.epoch != epoch) return;
    TROUPE_CHECK(in.carried.value);
    const auto& copies = routes->shards[in.shard];
    outbound out{in.epoch,
                 schemas::shard_forward{.step = in.step,
                                        .layer = in.layer,
                                        .stage = in.stage,
                                        .shard = in.shard,
                                        .attempt = in.attempt,
                                        .experts = in.carried->experts},
                 {std::shared_ptr<const row_block>(in.carried.value, &in.carried->input)}};
    send(copies[in.attempt % copies.size()].node, std::move(out));
  }

  void forward(const experts_done& in) {
    if (in.epoch != epoch) return;
    TROUPE_CHECK(in.output.value);
    send(routes->stages[in.stage].node,
         {in.epoch, schemas::shard_done{in.step, in.layer, in.stage, in.shard}, in.output});
  }

  void forward(const step_failed& in) {
    if (in.epoch != epoch) return;
    send(routes->sequencer.node,
         {in.epoch, schemas::step_failure{in.step, static_cast<uint8_t>(in.code), in.why}, {}});
  }

  void forward(const submit_request& in) {
    if (in.epoch != epoch) return;
    send(routes->sequencer.node, {in.epoch, to_wire(*in.work, options.time->now()), {}});
  }

  void forward(const end_choice& in) {
    if (in.epoch != epoch) return;
    send(routes->sequencer.node, {in.epoch, schemas::choice_end{in.handle, in.choice}, {}});
  }

  void forward(const tokens_emitted& in) {
    if (in.epoch != epoch || in.work->entries.empty()) return;
    send(dataflow::door_of(in.work->entries.front().handle),
         {in.epoch, to_wire(*in.work, options.time->now()), {}});
  }

  void forward(const request_failed& in) {
    if (in.epoch != epoch) return;
    send(
        dataflow::door_of(in.handle),
        {in.epoch, schemas::request_failure{in.handle, static_cast<uint8_t>(in.code), in.why}, {}});
  }

  // -- frames of other nodes, for parts of this one

  using inbound = local_ref<inbound_frame>;

  static local_ref<row_block> payload_of(const inbound& frame) {
    return {std::shared_ptr<const row_block>(frame.value, &frame->payload)};
  }

  // The part in this epoch, if it is here.
  template <class Handle>
  const Handle* here(const placed<Handle>& part) {
    if (part.handle && !part.remote) return &part.handle;
    drop(options.counters->misrouted);
    return nullptr;
  }

  void deliver(const schemas::stage_forward& in, const inbound& frame) {
    if (in.stage >= routes->stages.size()) return drop(options.counters->corrupt);
    if (const auto* to = here(routes->stages[in.stage]))
      self->send(*to, forward_batch{.epoch = frame->header.epoch,
                                    .step = in.step,
                                    .stage = in.stage,
                                    .slot = 0,
                                    .carried = make_local(step_carriage{in.rows, frame->payload})});
  }

  void deliver(const schemas::stage_done& in, const inbound& frame) {
    if (const auto* to = here(routes->sequencer))
      self->send(*to, forward_done{frame->header.epoch, in.step, payload_of(frame)});
  }

  void deliver(const schemas::shard_forward& in, const inbound& frame) {
    if (in.shard >= routes->shards.size() || in.stage >= routes->stages.size())
      return drop(options.counters->corrupt);
    for (const auto& copy : routes->shards[in.shard]) {
      if (copy.remote) continue;
      self->send(copy.handle,
                 expert_batch{.epoch = frame->header.epoch,
                              .step = in.step,
                              .slot = 0,
                              .layer = in.layer,
                              .stage = in.stage,
                              .shard = in.shard,
                              .attempt = in.attempt,
                              .carried = make_local(expert_carriage{in.experts, frame->payload})});
      return;
    }
    drop(options.counters->misrouted);
  }

  void deliver(const schemas::shard_done& in, const inbound& frame) {
    if (in.shard >= routes->shards.size() || in.stage >= routes->stages.size())
      return drop(options.counters->corrupt);
    if (!here(routes->stages[in.stage])) return;
    self->send(routes->routers[in.stage], experts_done{frame->header.epoch, in.step, in.layer,
                                                       in.stage, in.shard, payload_of(frame)});
  }

  void deliver(const schemas::step_failure& in, const inbound& frame) {
    if (const auto* to = here(routes->sequencer))
      self->send(*to, step_failed{frame->header.epoch, in.step, static_cast<status_code>(in.code),
                                  in.why});
  }

  void deliver(const schemas::submission& in, const inbound& frame) {
    if (dataflow::door_of(in.handle) >= peers.size()) return drop(options.counters->corrupt);
    if (const auto* to = here(routes->sequencer))
      self->send(*to, submit_request{frame->header.epoch, in.handle,
                                     make_local(from_wire(in, options.time->now()))});
  }

  void deliver(const schemas::choice_end& in, const inbound& frame) {
    if (const auto* to = here(routes->sequencer))
      self->send(*to, end_choice{frame->header.epoch, in.handle, in.choice});
  }

  void deliver(const schemas::emission& in, const inbound& frame) {
    self->send(routes->doors[options.self],
               tokens_emitted{frame->header.epoch, make_local(from_wire(in, options.time->now()))});
  }

  void deliver(const schemas::request_failure& in, const inbound& frame) {
    self->send(
        routes->doors[options.self],
        request_failed{frame->header.epoch, in.handle, static_cast<status_code>(in.code), in.why});
  }

  void deliver(const schemas::journal_entry& in, const inbound& frame) {
    if (!options.courier) return misrouted();
    self->send(options.courier,
               entry_arrived{frame->header.source,
                             {std::shared_ptr<const schemas::journal_entry>(frame.value, &in)}});
  }

  void deliver(const schemas::journal_answer& in, const inbound& frame) {
    if (!options.courier) return misrouted();
    self->send(options.courier, answer_arrived{frame->header.source, in.number, in.kept});
  }

  // Everything else has no business on a link.
  template <class Other>
  void deliver(const Other&, const inbound&) {
    drop(options.counters->corrupt);
  }

  void misrouted() { drop(options.counters->misrouted); }

  self_pointer self;
  gateway_options options;
  dataflow::link_limits limits;
  uint64_t epoch = 0; // of what goes out
  uint64_t gate = 0;  // of what may come in
  local_ref<route_table> routes;
  std::vector<peer> peers; // by node
  std::optional<time_point> wake_at;
};

self_type::behavior_type gateway_behavior(gateway_state::self_pointer self,
                                          gateway_options options) {
  auto* state = &self->state;
  state->start(options);
  return {
      [state](const wire& in) { state->rewire(in); },
      [self, state](const stop_part&) {
        state->options.courier = nullptr; // which knows this gateway
        self->quit();
      },
      [state](const frame_arrived& in) { state->arrive(in); },
      [state](const send_datagram& in) { state->datagram(in); },
      [state](const send_on_link& in) { state->send_loose(in); },
      [state](const open_gate& in) { state->open(in); },
      [state](const forward_batch& in) { state->forward(in); },
      [state](const rows_combined&) { state->misrouted(); },
      [state](const forward_done& in) { state->forward(in); },
      [state](const expert_batch& in) { state->forward(in); },
      [state](const route_rows&) { state->misrouted(); },
      [state](const experts_done& in) { state->forward(in); },
      [state](const step_failed& in) { state->forward(in); },
      [state](const submit_request& in) { state->forward(in); },
      [state](const end_choice& in) { state->forward(in); },
      [state](const pipeline_ready&) { state->misrouted(); },
      [state](const pages_updated&) { state->misrouted(); },
      [state](const tokens_emitted& in) { state->forward(in); },
      [state](const request_failed& in) { state->forward(in); },
      [state](const open_stream&) { state->misrouted(); },
      [state](const cancel_stream&) { state->misrouted(); },
      [state](const pipeline_failed&) { state->misrouted(); },
      [state](const gateway_wake& in) { state->wake(in); },
  };
}

} // namespace

gateway spawn_gateway(caf::actor_system& system, const gateway_options& options) {
  return system.spawn(gateway_behavior, options);
}

} // namespace troupe::actors
