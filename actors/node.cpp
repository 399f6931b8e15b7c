// One node as an engine: starts the actors, admits requests at the door, and stops everything in
// order.
#include "actors/node.hpp"

#include "actors/door.hpp"
#include "actors/engine_readings.hpp"
#include "actors/node_state.hpp"
#include "actors/routes.hpp"
#include "actors/system_config.hpp"
#include "base/text.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>

#include <atomic>
#include <future>
#include <utility>

namespace troupe::actors {
namespace {

constexpr std::chrono::seconds start_deadline(30);

class node_engine final : public engine_readings {
public:
  node_engine(std::unique_ptr<node_state> state, const node_options& options,
              kv_persistence persistence)
      : persistence_(std::move(persistence)),
        state_(std::move(state)),
        door_(state_->resources),
        system_(configure(config_, options.actor_threads)) {
    // waiver thread: whoever starts a node waits for it here; no actor does.
    auto ready = std::make_shared<std::promise<ingress>>(); // shared with the supervisor's callback
    auto told = std::make_shared<std::atomic<bool>>(false);
    ready_ = ready->get_future();
    supervisor_ =
        spawn_node_supervisor(system_, {.resources = &state_->resources,
                                        .clustered = false,
                                        .ready =
                                            [ready, told](const local_ref<route_table>& routes) {
                                              if (!told->exchange(true))
                                                ready->set_value(routes->doors.front());
                                            },
                                        .started = {},
                                        .learned = {},
                                        .gave_up = {}});
  }

  ~node_engine() override {
    ingress_ = nullptr;
    caf::anon_send(supervisor_, stop_node{});
    supervisor_ = nullptr;
    if (!persistence_.worker) return;
    // What is to be written is, while there is still a system for its messages to go to.
    system_.await_all_actors_done();
    persistence_.worker.reset();
  }

  status wait_until_ready() {
    if (ready_.wait_for(start_deadline) != std::future_status::ready)
      return status(status_code::timed_out, "the node's parts were not ready within 30 s");
    ingress_ = ready_.get();
    return {};
  }

  result<request_handle> submit(dataflow::generation_request request, event_sink sink,
                                received_so_far received) override {
    if (draining()) return fail(status_code::unavailable, "the server is draining");
    if (!received.empty() && received.size() != request.choices)
      return fail(status_code::invalid_argument,
                  text("what was received is of ", received.size(), " choices; the request has ",
                       request.choices));
    if (auto s = door_.admit(request); !s.ok()) return fail(std::move(s));
    const request_handle handle =
        dataflow::make_request_id(0, 0, next_handle_.fetch_add(1, std::memory_order_relaxed) + 1);
    caf::anon_send(ingress_,
                   door_.opening(handle, std::move(request), std::move(sink), std::move(received)));
    return handle;
  }

  void cancel(request_handle handle) override { caf::anon_send(ingress_, cancel_stream{handle}); }

  void begin_drain() override { draining_.store(true, std::memory_order_relaxed); }
  bool draining() const override { return draining_.load(std::memory_order_relaxed); }

private:
  const node_resources& resources() const override { return state_->resources; }

  kv_persistence persistence_;
  std::unique_ptr<node_state> state_;
  door door_;
  caf::actor_system_config config_;
  caf::actor_system system_; // its destructor waits for every actor
  node_supervisor supervisor_;
  std::future<ingress> ready_; // waiver thread: see the constructor
  ingress ingress_;
  std::atomic<request_handle> next_handle_{0};
  std::atomic<bool> draining_{false};
};

} // namespace

result<std::unique_ptr<engine>> start_node(std::shared_ptr<const model_bundle> model,
                                           compute::executor& executor, const clock& clock,
                                           const node_options& options,
                                           kv_persistence persistence) {
  auto state = std::make_unique<node_state>();
  static silent_trace nobody; // immutable
  if (auto s = state->prepare(std::move(model), {&executor, &clock, &nobody}, options); !s.ok())
    return fail(std::move(s));
  if (persistence.disk)
    if (auto s = state->open_archive(persistence); !s.ok()) return fail(std::move(s));
  auto node = std::make_unique<node_engine>(std::move(state), options, std::move(persistence));
  if (auto s = node->wait_until_ready(); !s.ok()) return fail(std::move(s));
  return node;
}

} // namespace troupe::actors
