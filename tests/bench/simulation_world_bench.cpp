// How many events a second a simulated cluster makes: machines whose actors ping-pong small frames
// over the simulated network, beside plain local messages. Checks first that a seed gives the same
// run twice.
//   simulation_world_bench [machines] [actors per machine]
#include "base/clock.hpp"
#include "base/text.hpp"
#include "simulations/kernel/world.hpp"
#include "simulations/seams/simulated_network.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace troupe::simulations {
namespace {

constexpr uint64_t events_of_a_sample = 400'000;
constexpr int samples = 5;

// A machine with its door to the network: a frame says which actor it is for, and each actor sends
// what it gets on to the next machine, and now and then sets a timer.
class node final : public transport::endpoint_listener {
public:
  node(world& w, simulated_network& net, uint32_t number, uint32_t actors)
      : number_(number), machines_(w.machines()) {
    auto& system = w.at(number).boot();
    endpoint_ = net.attach(number, 1, *this);
    for (uint32_t i = 0; i < actors; ++i)
      actors_.push_back(system.spawn([this, i](caf::event_based_actor* self) -> caf::behavior {
        self->delayed_send(self, std::chrono::milliseconds(1), true);
        return {[this, i](int hops) { pass_on(i, hops); },
                [self](bool) { self->delayed_send(self, std::chrono::milliseconds(1), true); }};
      }));
  }

  void frame_received(const transport::node_identity&, std::span<const std::byte> header,
                      std::span<const std::byte>) override {
    uint32_t words[2];
    std::memcpy(words, header.data(), sizeof words);
    caf::anon_send(actors_[words[0]], static_cast<int>(words[1]));
  }
  void peer_up(const transport::node_identity&) override {}
  void peer_down(const transport::node_identity&) override {}

  void pass_on(uint32_t actor, int hops) {
    const uint32_t words[2] = {actor, static_cast<uint32_t>(hops + 1)};
    const auto next =
        static_cast<uint32_t>(number_ + 1 + static_cast<uint32_t>(hops) % (machines_ - 1));
    std::byte payload[64] = {};
    const auto s =
        endpoint_->send(text('n', next % machines_), std::as_bytes(std::span(words)), payload);
    TROUPE_CHECK(s.ok());
  }

private:
  uint32_t number_, machines_;
  std::unique_ptr<transport::endpoint> endpoint_;
  std::vector<caf::actor> actors_;
};

struct measured {
  double events_per_s = 0;
  uint64_t hash = 0;
};

measured run(uint32_t machines, uint32_t actors, strategy_kind kind) {
  static const system_clock clock;
  world w({.seed = 1, .machines = machines, .strategy = {.kind = kind}});
  std::vector<std::string> names;
  for (uint32_t i = 0; i < machines; ++i) names.push_back(text('n', i));
  simulated_network net(w, names);
  std::vector<std::unique_ptr<node>> nodes;
  for (uint32_t i = 0; i < machines; ++i)
    nodes.push_back(std::make_unique<node>(w, net, i, actors));
  for (auto& n : nodes)
    for (uint32_t a = 0; a < actors; ++a) n->pass_on(a, static_cast<int>(a));
  w.run(time_point::max(), events_of_a_sample / 10, {}); // warm
  const uint64_t before = w.events();
  const time_point begin = clock.now();
  w.run(time_point::max(), events_of_a_sample, {});
  const double seconds = std::chrono::duration<double>(clock.now() - begin).count();
  for (uint32_t i = 0; i < machines; ++i) w.at(i).crash(); // before the nodes go
  return {static_cast<double>(w.events() - before) / seconds, w.hash()};
}

double boot_microseconds() {
  static const system_clock clock;
  world w({.seed = 1, .machines = 1, .strategy = {}});
  constexpr int times = 2000;
  const time_point begin = clock.now();
  for (int i = 0; i < times; ++i) {
    w.at(0).boot();
    w.at(0).crash();
  }
  return std::chrono::duration<double, std::micro>(clock.now() - begin).count() / times;
}

bool measure(strategy_kind kind, uint32_t machines, uint32_t actors) {
  std::vector<double> rates;
  const uint64_t hash = run(machines, actors, kind).hash;
  for (int i = 0; i < samples; ++i) {
    const measured m = run(machines, actors, kind);
    if (m.hash != hash) return false;
    rates.push_back(m.events_per_s);
  }
  std::sort(rates.begin(), rates.end());
  std::printf(
      "{\"name\": \"simulation_world\", \"strategy\": \"%s\", \"machines\": %u, "
      "\"actors\": %u, \"events_per_s\": %.0f, \"events_per_s_min\": %.0f, "
      "\"hash\": \"%016llx\"}\n",
      std::string(to_string(kind)).c_str(), machines, actors, rates[samples / 2], rates.front(),
      static_cast<unsigned long long>(hash));
  return true;
}

int measure_all(uint32_t machines, uint32_t actors) {
  for (const auto kind : {strategy_kind::fifo, strategy_kind::random, strategy_kind::pct,
                          strategy_kind::delay, strategy_kind::overlap}) {
    if (measure(kind, machines, actors)) continue;
    std::fprintf(stderr, "the same seed gave another run\n");
    return 1;
  }
  std::printf("{\"name\": \"simulation_boot_and_crash\", \"microseconds\": %.1f}\n",
              boot_microseconds());
  return 0;
}

} // namespace
} // namespace troupe::simulations

int main(int argc, char** argv) {
  const auto machines = static_cast<uint32_t>(argc > 1 ? std::atoi(argv[1]) : 8);
  const auto actors = static_cast<uint32_t>(argc > 2 ? std::atoi(argv[2]) : 8);
  return troupe::simulations::measure_all(machines, actors);
}
