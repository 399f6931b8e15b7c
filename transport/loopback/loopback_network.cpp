// One queue of events for the whole network, so that a run is a function of the calls made.
#include "transport/loopback/loopback_network.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>

namespace troupe::transport {
namespace {

struct bytes_pair {
  std::vector<std::byte> header, payload;
  uint64_t size() const { return header.size() + payload.size(); }
};

// What one node has on its way to one incarnation of another.
struct lane {
  uint64_t incarnation = 0;
  size_t frames = 0;
  uint64_t bytes = 0;
};

struct event {
  enum class kind : uint8_t { frame, up, down };
  kind what = kind::frame;
  node_identity source, target; // incarnations as they were when it was made
  bytes_pair frame;
};

} // namespace

struct loopback_network::core {
  struct member {
    node_identity identity;
    endpoint_listener* listener = nullptr;
    endpoint_options options;
    std::shared_ptr<endpoint_counters>
        counters;                          // shared with the endpoint, which may outlive membership
    std::map<std::string, lane> lanes;     // by peer
    std::map<std::string, uint64_t> peers; // incarnations that were announced to it and are up
  };

  std::map<std::string, member> members;
  std::deque<event> events;

  member* find(const std::string& name) {
    const auto at = members.find(name);
    return at == members.end() ? nullptr : &at->second;
  }
  // The node as it was when an event was made, or null when it is another one by now.
  member* find(const node_identity& identity) {
    member* found = find(identity.name);
    return found != nullptr && found->identity == identity ? found : nullptr;
  }

  // Frames to and from it are lost on the way.
  void lose(const std::string& name) {
    const member* gone = find(name);
    if (gone == nullptr) return;
    const node_identity identity = gone->identity;
    for (const auto& each : events) {
      if (each.what != event::kind::frame || each.target != identity) continue;
      if (member* sender = find(each.source)) ++sender->counters->dropped_peer_lost;
    }
    std::erase_if(events, [&](const event& each) {
      return each.what == event::kind::frame ? each.source == identity || each.target == identity
                                             : each.target == identity;
    });
    for (const auto& down : forget(identity)) events.push_back(down);
  }

  // Ends a membership; what its peers are to hear of it.
  std::vector<event> forget(const node_identity& identity) {
    std::vector<event> out;
    members.erase(identity.name);
    // What was not announced yet is not announced any more.
    std::erase_if(events, [&](const event& each) {
      return each.what == event::kind::up && each.source == identity;
    });
    for (auto& [other, peer] : members) {
      peer.lanes.erase(identity.name);
      out.push_back(
          {.what = event::kind::down, .source = identity, .target = peer.identity, .frame = {}});
    }
    return out;
  }

  void deliver(event next) {
    member* to = find(next.target);
    if (next.what == event::kind::frame) {
      deliver_frame(std::move(next), to);
    } else if (to != nullptr) {
      if (next.what == event::kind::up) {
        to->peers[next.source.name] = next.source.incarnation;
        to->listener->peer_up(next.source);
      } else if (to->peers.erase(next.source.name) > 0) {
        to->listener->peer_down(next.source);
      }
    }
  }

  void deliver_frame(event next, member* to) {
    if (member* sender = find(next.source)) {
      const auto used = sender->lanes.find(next.target.name);
      if (used != sender->lanes.end() && used->second.incarnation == next.target.incarnation) {
        --used->second.frames;
        used->second.bytes -= next.frame.size();
      }
    }
    if (to == nullptr) { // meant for who had the name before
      if (member* successor = find(next.target.name)) ++successor->counters->dropped_stale;
      return;
    }
    const auto known = to->peers.find(next.source.name);
    if (known == to->peers.end() || known->second != next.source.incarnation) {
      ++to->counters->dropped_stale;
      return;
    }
    ++to->counters->frames_received;
    to->counters->bytes_received += next.frame.size();
    to->listener->frame_received(next.source, next.frame.header, next.frame.payload);
  }
};

class loopback_network::loopback_endpoint final : public endpoint {
public:
  loopback_endpoint(std::shared_ptr<core> network, node_identity self,
                    std::shared_ptr<endpoint_counters> counters)
      : network_(std::move(network)), self_(std::move(self)), counters_(std::move(counters)) {}

  ~loopback_endpoint() override {
    if (network_->find(self_) != nullptr) network_->lose(self_.name);
  }

  const node_identity& self() const override { return self_; }

  status send(const std::string& peer, std::span<const std::byte> header,
              std::span<const std::byte> payload) override {
    auto* own = network_->find(self_);
    if (own == nullptr) {
      ++counters_->dropped_stale;
      return status(status_code::unavailable, text("node ", self_.name, " incarnation ",
                                                   self_.incarnation, " was replaced or lost"));
    }
    const auto known = own->peers.find(peer);
    if (known == own->peers.end())
      return status(status_code::unavailable, text("peer ", peer, " is not up"));
    const uint64_t bytes = header.size() + payload.size();
    if (bytes > own->options.frame_bytes_max)
      return status(status_code::invalid_argument,
                    text("a frame of ", bytes, " bytes, more than ", own->options.frame_bytes_max));
    auto& lane = own->lanes[peer];
    if (lane.incarnation != known->second) lane = {.incarnation = known->second};
    if (lane.frames >= own->options.queued_frames_max ||
        lane.bytes + bytes > own->options.queued_bytes_max) {
      ++counters_->refused_exhausted;
      return status(status_code::exhausted, text("no credit to peer ", peer, ": ", lane.frames,
                                                 " frames of ", lane.bytes, " bytes wait"));
    }
    ++lane.frames;
    lane.bytes += bytes;
    ++counters_->frames_sent;
    counters_->bytes_sent += bytes;
    network_->events.push_back(
        {.what = event::kind::frame,
         .source = self_,
         .target = {peer, known->second},
         .frame = {{header.begin(), header.end()}, {payload.begin(), payload.end()}}});
    return {};
  }

  size_t credit(const std::string& peer) const override {
    auto* own = network_->find(self_);
    if (own == nullptr || own->peers.count(peer) == 0) return 0;
    const auto at = own->lanes.find(peer);
    const lane used = at == own->lanes.end() ? lane{} : at->second;
    if (used.bytes >= own->options.queued_bytes_max) return 0;
    return own->options.queued_frames_max - std::min(used.frames, own->options.queued_frames_max);
  }

  std::vector<node_identity> peers() const override {
    std::vector<node_identity> out;
    if (auto* own = network_->find(self_))
      for (const auto& [name, incarnation] : own->peers) out.push_back({name, incarnation});
    return out;
  }

  endpoint_counters counters() const override { return *counters_; }

private:
  std::shared_ptr<core> network_; // shared with the network and the other endpoints
  node_identity self_;
  std::shared_ptr<endpoint_counters>
      counters_; // shared with our membership, which ends when we are replaced
};

loopback_network::loopback_network() : core_(std::make_shared<core>()) {}

loopback_network::~loopback_network() {
  core_->events.clear();
  core_->members.clear();
}

result<std::unique_ptr<endpoint>> loopback_network::open(node_identity self,
                                                         endpoint_listener& listener,
                                                         endpoint_options options) {
  std::optional<node_identity> replaced;
  if (const auto* taken = core_->find(self.name)) {
    if (taken->identity.incarnation >= self.incarnation)
      return fail(status_code::invalid_argument,
                  text("node ", self.name, " is there with incarnation ",
                       taken->identity.incarnation, "; ", self.incarnation, " is not newer"));
    replaced = taken->identity;
  }
  core::member member;
  member.identity = self;
  member.listener = &listener;
  member.options = options;
  member.counters = std::make_shared<endpoint_counters>();
  auto made = std::make_unique<loopback_endpoint>(core_, self, member.counters);
  std::vector<event> news;
  if (replaced) news = core_->forget(*replaced);
  for (const auto& [name, other] : core_->members) {
    news.push_back(
        {.what = event::kind::up, .source = other.identity, .target = self, .frame = {}});
    news.push_back(
        {.what = event::kind::up, .source = self, .target = other.identity, .frame = {}});
  }
  // News of a new incarnation overtake frames of the old one, which are then void.
  core_->events.insert(replaced ? core_->events.begin() : core_->events.end(), news.begin(),
                       news.end());
  core_->members.emplace(self.name, std::move(member));
  return made;
}

size_t loopback_network::deliver(size_t events_max) {
  size_t done = 0;
  for (; done < events_max && !core_->events.empty(); ++done) {
    event next = std::move(core_->events.front());
    core_->events.pop_front();
    core_->deliver(std::move(next));
  }
  return done;
}

size_t loopback_network::deliver_all(size_t events_max) {
  return deliver(events_max);
}

size_t loopback_network::waiting() const {
  return core_->events.size();
}

void loopback_network::lose(const std::string& name) {
  core_->lose(name);
}

} // namespace troupe::transport
