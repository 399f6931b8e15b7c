// Between the journal of this node and those of others. What is decided about an entry is decided
// in dataflow::entry_replication.
#include "actors/journal_courier.hpp"

#include "schemas/frame_limits.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <optional>

namespace troupe::actors {

// Somebody may have waited for long enough.
struct courier_wake {
  int64_t at_ns = 0;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, courier_wake& x) {
  return f(caf::meta::type_name("courier_wake"), x.at_ns);
}

namespace {

using self_type = journal_courier::extend<caf::reacts_to<courier_wake>>;

struct courier_state {
  using self_pointer = self_type::stateful_pointer<courier_state>;
  static inline const char* name = "journal_courier";

  explicit courier_state(self_pointer owner) : self(owner) {}

  void start(const journal_courier_options& o) {
    options = o;
    ledger.emplace(o.limits, o.self);
  }

  // -- what this node keeps

  void replicate(const replicate_entry& in) {
    const uint64_t bytes = in.entry->bytes.size();
    if (bytes > schemas::frame_limits().journal_entry_bytes_max) return in.outcome->tell(false);
    const auto sent = ledger->begin(bytes, options.time->now());
    if (!sent) return in.outcome->tell(false);
    waiting.emplace(sent->number, in.outcome);
    const auto body =
        make_local(schemas::frame_body(schemas::journal_entry{sent->number, in.entry->bytes}));
    for (const auto node : sent->to) self->send(carrier, send_on_link{node, body});
    wake_for(ledger->next_due());
  }

  void meet(const members_present& in) {
    carrier = in.carrier;
    tell(ledger->meet(in.incarnations));
  }

  void hear(const answer_arrived& in) {
    const auto outcome = ledger->answered(in.number, in.from, in.kept, options.time->now());
    if (outcome) return tell({*outcome});
    wake_for(ledger->next_due());
  }

  void tell(const dataflow::entry_replication::outcomes& all) {
    for (const auto& each : all)
      if (const auto found = waiting.extract(each.number)) found.mapped()->tell(each.kept);
  }

  void wake_for(std::optional<time_point> when) {
    if (!when || (wake_at && *wake_at <= *when)) return;
    wake_at = when;
    const auto pause = std::max(duration(0), *when - options.time->now());
    self->delayed_send(self, pause, courier_wake{when->time_since_epoch().count()});
  }

  void wake(const courier_wake& in) {
    if (!wake_at || wake_at->time_since_epoch().count() != in.at_ns) return; // an earlier one came
    wake_at.reset();
    tell(ledger->due(options.time->now()));
    wake_for(ledger->next_due());
  }

  // -- what others keep

  void take(const entry_arrived& in) {
    const auto kept = options.keep(in.entry->bytes);
    if (kept.code() == status_code::corrupt)
      options.corrupt->fetch_add(1, std::memory_order_relaxed);
    if (carrier)
      self->send(carrier,
                 send_on_link{in.from, make_local(schemas::frame_body(
                                           schemas::journal_answer{in.entry->number, kept.ok()}))});
  }

  void stop() {
    tell(ledger->end());
    carrier = nullptr;
    self->quit();
  }

  self_pointer self;
  journal_courier_options options;
  std::optional<dataflow::entry_replication> ledger;
  std::map<uint64_t, local_ref<delivery>> waiting; // by number
  link_carrier carrier;                            // null before the first epoch
  std::optional<time_point> wake_at;
};

self_type::behavior_type courier_behavior(courier_state::self_pointer self,
                                          journal_courier_options options) {
  auto* state = &self->state;
  state->start(options);
  return {
      [state](const replicate_entry& in) { state->replicate(in); },
      [state](const members_present& in) { state->meet(in); },
      [state](const entry_arrived& in) { state->take(in); },
      [state](const answer_arrived& in) { state->hear(in); },
      [state](const stop_part&) { state->stop(); },
      [state](const courier_wake& in) { state->wake(in); },
  };
}

} // namespace

journal_courier spawn_journal_courier(caf::actor_system& system,
                                      const journal_courier_options& options) {
  return system.spawn(courier_behavior, options);
}

} // namespace troupe::actors
