// Frames are copied when they are sent, get their fate drawn at once, and arrive as events of their
// target.
#include "simulations/seams/simulated_network.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "simulations/kernel/draws.hpp"
#include "simulations/seams/frame_pool.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace troupe::simulations {

using transport::endpoint_listener;
using transport::endpoint_options;
using transport::node_identity;

namespace {

constexpr uint32_t tail_factor = 100;
constexpr uint64_t reorder_means = 20;
constexpr uint32_t unheard_ppm = 250'000; // ends of processes
constexpr duration goodbye_min = std::chrono::milliseconds(1);
constexpr duration goodbye_spread = std::chrono::milliseconds(49);

struct link_state {
  link_quality quality;
  std::string label;   // of its arrivals
  uint64_t frames = 0; // sent so far
  uint64_t resets = 0;
  time_point idle_at{};      // when what is being sent has left
  time_point last_arrival{}; // of frames in order
  size_t queued_frames = 0;
  uint64_t queued_bytes = 0;
  std::vector<uint32_t> held;
};

struct attachment {
  uint64_t number = 0;      // of attach() calls; 0: nobody
  uint64_t incarnation = 0; // as the endpoint says it
  uint64_t process = 0;     // of the machine
  endpoint_listener* listener = nullptr;
  transport::endpoint_counters* counters = nullptr;
};

// What is drawn for one frame: everything at once, so that a rate that changes moves no other draw.
struct frame_draws {
  frame_draws(uint64_t seed, uint32_t entity, uint64_t n)
      : key{seed, random_subsystem::faults, entity},
        block(n << 2),
        first(random_block(key, block)) {}
  uint32_t delay() const { return first[0]; }
  uint32_t tail() const { return first[1]; }
  uint32_t loss() const { return first[2]; }
  uint32_t repeat() const { return first[3]; }
  // The rarer ones are made only when asked for.
  std::array<uint32_t, 4> damage() const { return random_block(key, block + 1); }
  std::array<uint32_t, 4> detour() const { return random_block(key, block + 2); }

  random_key key;
  uint64_t block;
  std::array<uint32_t, 4> first;
};

} // namespace

struct simulated_network::parts {
  parts(world& home, std::vector<std::string> given)
      : in(home),
        names(std::move(given)),
        attached(names.size()),
        links(names.size() * names.size()) {
    for (uint32_t i = 0; i < names.size(); ++i) {
      numbers[names[i]] = i;
      for (uint32_t to = 0; to < names.size(); ++to) at(i, to).label = "frame from " + names[i];
    }
  }

  link_state& at(uint32_t from, uint32_t to) { return links[from * names.size() + to]; }
  bool lives(uint32_t machine, uint64_t process) const {
    return in.at(machine).up() && in.at(machine).incarnation() == process;
  }
  status send(uint32_t from, const attachment& sender, uint32_t to,
              std::span<const std::byte> header, std::span<const std::byte> payload);
  enum class origin : uint8_t { sender, held };
  void put_on_wire(uint32_t index, origin came_from);
  void damage(flying_frame& frame, const link_quality& quality, const frame_draws& draws);
  void fly(uint32_t index, time_point arrival);
  void arrive(uint32_t index);
  bool gets_through(const flying_frame& frame);
  void hand_over(flying_frame& frame);
  void drop(uint32_t index, uint64_t& counter);
  void unqueue(flying_frame& frame);
  void tell(const flying_frame& frame, time_point arrived);

  world& in;
  std::vector<std::string> names;
  std::map<std::string, uint32_t, std::less<>> numbers;
  std::vector<attachment> attached; // by machine
  std::vector<link_state> links;    // [from][to]
  frame_pool pool;
  network_counters counters;
  uint64_t attach_calls = 0;
  std::function<void(const frame_fate&)> watcher;
};

namespace {

class simulated_endpoint final : public transport::endpoint {
public:
  simulated_endpoint(simulated_network::parts& net, uint32_t machine,
                     const endpoint_options& options)
      : net_(net),
        machine_(machine),
        options_(options),
        self_{net.names[machine], net.attached[machine].incarnation},
        number_(net.attached[machine].number) {
    net_.attached[machine_].counters = &counters_;
  }

  ~simulated_endpoint() override {
    auto& a = net_.attached[machine_];
    if (a.number != number_) return;
    a.number = 0;
    a.listener = nullptr;
    a.counters = nullptr;
  }

  const node_identity& self() const override { return self_; }

  status send(const std::string& peer, std::span<const std::byte> header,
              std::span<const std::byte> payload) override {
    const auto to = net_.numbers.find(peer);
    if (to == net_.numbers.end() || !attached())
      return status(status_code::unavailable, text("there is no peer '", peer, "'"));
    const uint64_t bytes = uint64_t{header.size()} + payload.size();
    if (bytes > options_.frame_bytes_max)
      return status(status_code::invalid_argument,
                    text("a frame of ", bytes, " bytes is too large"));
    const auto& link = net_.at(machine_, to->second);
    if (link.queued_frames >= options_.queued_frames_max ||
        link.queued_bytes + bytes > options_.queued_bytes_max) {
      ++counters_.refused_exhausted;
      return status(status_code::exhausted, text("no credit for frames to ", peer));
    }
    ++counters_.frames_sent;
    counters_.bytes_sent += bytes;
    return net_.send(machine_, net_.attached[machine_], to->second, header, payload);
  }

  size_t credit(const std::string& peer) const override {
    const auto to = net_.numbers.find(peer);
    if (to == net_.numbers.end() || !attached()) return 0;
    const auto& link = net_.at(machine_, to->second);
    if (link.queued_bytes >= options_.queued_bytes_max) return 0;
    return options_.queued_frames_max - std::min(options_.queued_frames_max, link.queued_frames);
  }

  // Every other name: nobody can know here who is up. The incarnation 0 stands for unknown.
  std::vector<node_identity> peers() const override {
    std::vector<node_identity> out;
    for (const auto& [name, number] : net_.numbers)
      if (number != machine_) out.push_back({name, 0});
    return out;
  }

  transport::endpoint_counters counters() const override { return counters_; }

private:
  bool attached() const {
    const auto& a = net_.attached[machine_];
    return a.number == number_ && net_.lives(machine_, a.process);
  }

  simulated_network::parts& net_;
  uint32_t machine_;
  endpoint_options options_;
  node_identity self_;
  uint64_t number_;
  transport::endpoint_counters counters_;
};

} // namespace

// -- sending

status simulated_network::parts::send(uint32_t from, const attachment& sender, uint32_t to,
                                      std::span<const std::byte> header,
                                      std::span<const std::byte> payload) {
  auto& link = at(from, to);
  if (!link.quality.held && !link.held.empty())
    for (const uint32_t waiting : std::exchange(link.held, {})) put_on_wire(waiting, origin::held);
  ++counters.sent;
  counters.bytes += header.size() + payload.size();
  const uint32_t index = pool.take();
  auto& frame = pool.at(index);
  frame.from = from;
  frame.to = to;
  frame.from_incarnation = sender.incarnation;
  frame.from_process = sender.process;
  frame.to_process = in.at(to).incarnation();
  frame.resets = link.resets;
  frame.number = link.frames++;
  frame.sent = frame.departs = in.now();
  frame.header_size = header.size();
  frame.bytes.assign(header.begin(), header.end());
  frame.bytes.insert(frame.bytes.end(), payload.begin(), payload.end());
  frame.queued = true;
  ++link.queued_frames;
  link.queued_bytes += frame.bytes.size();
  in.mix(frame.bytes);
  if (link.quality.held)
    link.held.push_back(index);
  else
    put_on_wire(index, origin::sender);
  return {};
}

void simulated_network::parts::put_on_wire(uint32_t index, origin came_from) {
  auto& frame = pool.at(index);
  auto& link = at(frame.from, frame.to);
  const auto& q = link.quality;
  const frame_draws draws(in.seed(), draw_entity::network + frame.from * 4096 + frame.to,
                          frame.number);
  if (q.cut) return drop(index, counters.cut);
  __extension__ using wide = unsigned __int128;
  const auto sending = static_cast<int64_t>(wide{frame.bytes.size()} * 1'000'000'000 /
                                            std::max<uint64_t>(q.bytes_per_s, 1));
  link.idle_at = std::max(in.now(), link.idle_at) + duration(sending);
  if (came_from == origin::sender) frame.departs = link.idle_at; // held ones have left it before
  if (strikes(draws.loss(), q.loss_ppm)) return drop(index, counters.lost);

  const duration spread = q.delay_mean - q.delay_min;
  duration delay = q.delay_min + exponential(draws.delay(), spread);
  if (strikes(draws.tail(), q.tail_ppm)) delay *= tail_factor;
  time_point arrival = link.idle_at + delay;
  const bool repeated = strikes(draws.repeat(), q.repeat_ppm);
  const bool overtaken = q.reorder_ppm > 0 && strikes(draws.detour()[0], q.reorder_ppm);
  if (overtaken) {
    ++counters.reordered;
    const auto most = static_cast<uint64_t>(q.delay_mean.count()) * reorder_means;
    arrival += duration(static_cast<int64_t>(below(draws.detour()[1], most)));
  } else {
    arrival = std::max(arrival, link.last_arrival);
    link.last_arrival = arrival;
  }
  damage(frame, q, draws);
  if (repeated) {
    ++counters.repeated;
    ++counters.sent;
    const uint32_t copy = pool.take();
    pool.at(copy) = pool.at(index); // `frame` may have moved
    pool.at(copy).queued = false;
    fly(copy, arrival + q.delay_min + exponential(draws.detour()[2], q.delay_mean));
  }
  fly(index, arrival);
}

void simulated_network::parts::damage(flying_frame& frame, const link_quality& quality,
                                      const frame_draws& draws) {
  if ((quality.flip_ppm == 0 && quality.truncate_ppm == 0) || frame.bytes.empty()) return;
  const auto drawn = draws.damage();
  bool damaged = false;
  if (strikes(drawn[0], quality.flip_ppm)) {
    const uint64_t bit = below(drawn[1], uint64_t{frame.bytes.size()} * 8);
    frame.bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    damaged = true;
  }
  if (strikes(drawn[2], quality.truncate_ppm)) {
    unqueue(frame); // while its size is known
    frame.bytes.resize(below(drawn[3], frame.bytes.size()));
    damaged = true;
  }
  if (damaged) ++counters.flipped;
}

// -- arriving

void simulated_network::parts::fly(uint32_t index, time_point arrival) {
  const auto& frame = pool.at(index);
  in.at(frame.to).arrive(arrival, at(frame.from, frame.to).label, [this, index] { arrive(index); });
}

bool simulated_network::parts::gets_through(const flying_frame& frame) {
  const auto& link = at(frame.from, frame.to);
  if (frame.resets != link.resets) return false;
  // What had not left the sender when its process ended is gone with it.
  if (!lives(frame.from, frame.from_process) && frame.departs > in.at(frame.from).ended())
    return false;
  const auto& target = attached[frame.to];
  if (target.listener == nullptr || !lives(frame.to, target.process)) return false;
  return frame.to_process == target.process || link.quality.stale_delivery;
}

void simulated_network::parts::arrive(uint32_t index) {
  auto& frame = pool.at(index);
  if (at(frame.from, frame.to).quality.cut) return drop(index, counters.cut);
  if (!gets_through(frame)) return drop(index, counters.lost);
  ++counters.delivered;
  if (frame.to_process != in.at(frame.to).incarnation()) ++counters.stale;
  unqueue(frame);
  tell(frame, in.now());
  // The listener may send, and the pool then move.
  flying_frame arrived = std::move(frame);
  hand_over(arrived);
  pool.at(index).bytes = std::move(arrived.bytes);
  pool.release(index);
}

void simulated_network::parts::hand_over(flying_frame& frame) {
  const auto& target = attached[frame.to];
  if (target.counters != nullptr) {
    ++target.counters->frames_received;
    target.counters->bytes_received += frame.bytes.size();
  }
  in.mix(uint64_t{frame.from} << 32 | frame.number);
  target.listener->frame_received({names[frame.from], frame.from_incarnation}, frame.header(),
                                  frame.payload());
}

void simulated_network::parts::drop(uint32_t index, uint64_t& counter) {
  ++counter;
  auto& frame = pool.at(index);
  unqueue(frame);
  tell(frame, {});
  pool.release(index);
}

void simulated_network::parts::unqueue(flying_frame& frame) {
  if (!std::exchange(frame.queued, false)) return;
  if (frame.from_process != attached[frame.from].process) return; // that credit is void
  auto& link = at(frame.from, frame.to);
  --link.queued_frames;
  link.queued_bytes -= frame.bytes.size();
}

void simulated_network::parts::tell(const flying_frame& frame, time_point arrived) {
  if (watcher) watcher({frame.from, frame.to, frame.sent, arrived, frame.header()});
}

// -- the network

simulated_network::simulated_network(world& w, std::vector<std::string> names)
    : parts_(std::make_unique<parts>(w, std::move(names))) {
  TROUPE_CHECK(parts_->names.size() <= w.machines());
  TROUPE_CHECK(parts_->numbers.size() == parts_->names.size());
}

simulated_network::~simulated_network() = default;

std::unique_ptr<transport::endpoint> simulated_network::attach(uint32_t machine,
                                                               uint64_t incarnation,
                                                               endpoint_listener& listener,
                                                               const endpoint_options& options) {
  auto& p = *parts_;
  TROUPE_CHECK(machine < p.names.size());
  TROUPE_CHECK(p.in.at(machine).up());
  auto& a = p.attached[machine];
  const bool is_new_process = a.process != p.in.at(machine).incarnation();
  a = {++p.attach_calls, incarnation, p.in.at(machine).incarnation(), &listener, nullptr};
  // Credit and what waits to be sent are the process's: a new one starts with nothing queued.
  for (uint32_t to = 0; is_new_process && to < p.names.size(); ++to) {
    auto& link = p.at(machine, to);
    link.idle_at = p.in.now();
    link.queued_frames = 0;
    link.queued_bytes = 0;
  }
  return std::make_unique<simulated_endpoint>(p, machine, options);
}

link_quality& simulated_network::link(uint32_t from, uint32_t to) {
  TROUPE_CHECK(from < parts_->names.size() && to < parts_->names.size());
  return parts_->at(from, to).quality;
}

void simulated_network::process_gone(uint32_t machine) {
  auto& p = *parts_;
  const node_identity gone{p.names[machine], p.attached[machine].incarnation};
  const random_key key{p.in.seed(), random_subsystem::faults, draw_entity::goodbye + machine};
  const uint64_t first = p.attached[machine].process * p.names.size() * 2;
  for (uint32_t to = 0; to < p.names.size(); ++to) {
    const uint64_t listening = p.attached[to].number;
    if (to == machine || listening == 0) continue;
    if (strikes(random_block(key, first)[0], unheard_ppm)) return;
    const uint32_t late = random_block(key, first + 1 + to)[0];
    const auto when =
        p.in.now() + goodbye_min +
        duration(static_cast<int64_t>(below(late, static_cast<uint64_t>(goodbye_spread.count()))));
    p.in.at(to).arrive(when, "connection lost", [&p, machine, to, listening, gone] {
      const auto& target = p.attached[to];
      if (p.at(machine, to).quality.cut || target.number != listening ||
          !p.lives(to, target.process))
        return;
      target.listener->peer_down(gone);
    });
  }
}

void simulated_network::let_go(uint32_t from, uint32_t to) {
  auto& link = parts_->at(from, to);
  link.quality.held = false;
  for (const uint32_t index : std::exchange(link.held, {}))
    parts_->put_on_wire(index, parts::origin::held);
}

void simulated_network::reset(uint32_t a, uint32_t b) {
  auto& p = *parts_;
  for (auto* link : {&p.at(a, b), &p.at(b, a)}) {
    ++link->resets;
    link->idle_at = link->last_arrival = p.in.now();
    for (const uint32_t index : std::exchange(link->held, {})) p.drop(index, p.counters.lost);
  }
}

const network_counters& simulated_network::counters() const {
  return parts_->counters;
}

void simulated_network::set_watcher(std::function<void(const frame_fate&)> watcher) {
  parts_->watcher = std::move(watcher);
}

} // namespace troupe::simulations
