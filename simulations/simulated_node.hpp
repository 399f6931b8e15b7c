// A node's production actors on one thread and virtual time: CAF's testing scheduler holds the
// messages, and a seed decides which one is handled next. The same seed gives the same run, event
// by event.
#pragma once

#include "actors/engine.hpp"
#include "actors/node_state.hpp"
#include "actors/routes.hpp"
#include "base/clock.hpp"
#include "base/random.hpp"
#include "base/trace.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace troupe::simulations {

// Time as the testing scheduler has it; it stands still while a message is handled.
class virtual_clock final : public clock {
public:
  time_point now() const override;
  int64_t wall_seconds() const override;
  // Must be called before anyone asks for the time.
  void follow(const caf::actor_clock& source) { source_ = &source; }

private:
  const caf::actor_clock* source_ = nullptr;
};

enum class strategy : uint8_t { fifo, random };

struct simulated_node_options {
  uint64_t seed = 0;
  strategy pick = strategy::random;
  actors::node_options node;
};

// Made running: its parts are wired and idle. One thread. The executor computes on the calling
// thread; its completions are messages like others.
class simulated_node {
public:
  static result<std::unique_ptr<simulated_node>> make(
      std::shared_ptr<const actors::model_bundle> model, compute::executor& executor,
      const simulated_node_options& options);
  simulated_node(const simulated_node&) = delete;
  simulated_node& operator=(const simulated_node&) = delete;
  ~simulated_node();

  // As the engine's door would: the events of the request go to `sink`.
  void submit(actors::request_handle handle, dataflow::generation_request request,
              actors::engine::event_sink sink);
  void cancel(actors::request_handle handle);

  // Handles one message, or lets time jump to the next timer. False when there is nothing left to
  // do.
  bool step();
  // Steps until nothing is left or `steps_max` are done; whether everything is done.
  bool run(uint64_t steps_max);

  // Ends the actor that plays the role now, without a word to anyone.
  void kill(const dataflow::role& who);

  uint64_t events() const { return events_; }
  // Of every event so far: who handled what, and when.
  uint64_t hash() const { return hash_; }
  actors::engine_metrics metrics() const { return state_->board->read(); }
  const virtual_clock& time() const { return clock_; }

  // For make() alone: without a model there is no node yet.
  explicit simulated_node(const simulated_node_options& options);

private:
  void note(std::string_view what);
  size_t pick();

  simulated_node_options options_;
  virtual_clock clock_;
  silent_trace trace_;
  std::unique_ptr<actors::node_state> state_;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  caf::scheduler::test_coordinator* coordinator_ = nullptr;
  actors::node_supervisor supervisor_;
  std::map<dataflow::role, caf::actor> parts_;
  uint64_t events_ = 0;
  uint64_t hash_ = 14695981039346656037ull;
};

} // namespace troupe::simulations
