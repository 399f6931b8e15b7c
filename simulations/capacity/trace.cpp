// Clients make points in an operational time in which the service's rate is constant; the gate and
// the slow modulation then stretch that time into real time. So bursts of one client and of the
// whole service are independent of each other, and a load factor only adds clients.
#include "simulations/capacity/trace.hpp"

#include "base/check.hpp"
#include "simulations/capacity/fixed_math.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace troupe::simulations::capacity {
namespace {

// Entities of random_subsystem::workload.
enum stream : uint32_t {
  gate_stream = 1,
  slow_stream,
  length_stream,
  session_stream,
  client_stream
};

// From `begin` on, operational time runs `factor` times as fast as real time.
struct segment {
  double begin_s = 0;
  double operational_s = 0;
  double factor = 0;
};

class time_warp {
public:
  time_warp(const arrival_shape& shape, double span_s, uint64_t seed) {
    const bool gated = shape.gate_off_s > 0;
    const double duty = gated ? shape.gate_on_s / (shape.gate_on_s + shape.gate_off_s) : 1;
    draws gate(seed, random_subsystem::workload, gate_stream);
    draws slow(seed, random_subsystem::workload, slow_stream);
    const double step_s = shape.slow_tau_s / 20;
    const double keep = exponential(-step_s / shape.slow_tau_s);
    const double spread = std::sqrt(1 - keep * keep);
    const double d = shape.slow_deviation;
    double level = slow.normal();
    bool on = !gated || gate.chance(duty);
    double gate_until = gated ? gate.expovariate(on ? shape.gate_on_s : shape.gate_off_s) : span_s;
    double slow_until = step_s;
    for (double now = 0; now < span_s;) {
      const double factor = on ? exponential(d * level - d * d / 2) / duty : 0;
      segments_.push_back({now, operational_s_, factor});
      const double next = std::min({gate_until, slow_until, span_s});
      operational_s_ += (next - now) * factor;
      now = next;
      if (now >= slow_until) {
        level = keep * level + spread * slow.normal();
        slow_until += step_s;
      }
      if (gated && now >= gate_until) {
        on = !on;
        gate_until += gate.expovariate(on ? shape.gate_on_s : shape.gate_off_s);
      }
    }
  }

  double operational_span_s() const { return operational_s_; }

  // Ascending arguments only: continues where the last call ended.
  double real_s(double operational_s) {
    while (at_ + 1 < segments_.size() && segments_[at_ + 1].operational_s <= operational_s) ++at_;
    const segment& s = segments_[at_];
    if (s.factor <= 0) return s.begin_s;
    return s.begin_s + (operational_s - s.operational_s) / s.factor;
  }

private:
  std::vector<segment> segments_;
  double operational_s_ = 0;
  size_t at_ = 0;
};

struct point {
  double operational_s;
  uint32_t client;
  uint32_t number;
};

// The points of one client, which sends `rate` requests a second on average.
void add_client(const arrival_shape& shape, uint32_t client, double rate, double until,
                uint64_t seed, std::vector<point>& out) {
  draws draw(seed, random_subsystem::workload, client_stream + client);
  const double cycle = shape.client_on_s + shape.client_off_s;
  const double gap_s = shape.client_on_s / cycle / rate; // of its busy time
  bool on = draw.chance(shape.client_on_s / cycle);
  double now = 0;
  double left = draw.gamma(gap_s, shape.gamma_halves) * draw.unit(); // until its next request
  uint32_t number = 0;
  while (now < until) {
    double phase = draw.expovariate(on ? shape.client_on_s : shape.client_off_s);
    if (on) {
      double at = now;
      while (left <= phase) {
        at += left;
        phase -= left;
        if (at < until) out.push_back({at, client, number++});
        left = draw.gamma(gap_s, shape.gamma_halves);
      }
      left -= phase;
      now = at + phase;
    } else {
      now += phase;
    }
    on = !on;
  }
}

std::vector<point> all_points(const trace_profile& profile, double load, double until,
                              uint64_t seed) {
  const auto& shape = profile.arrivals;
  double harmonic = 0;
  for (uint32_t n = 1; n <= shape.clients; ++n) harmonic += 1.0 / n;
  std::vector<point> out;
  uint32_t client = 0;
  for (double rest = load; rest > 0; rest -= 1) {
    const double cohort_rate = profile.published.rate_per_s * std::min(rest, 1.0);
    for (uint32_t n = 1; n <= shape.clients; ++n)
      add_client(shape, client++, cohort_rate / n / harmonic, until, seed, out);
  }
  std::sort(out.begin(), out.end(), [](const point& a, const point& b) {
    return std::tie(a.operational_s, a.client, a.number) <
           std::tie(b.operational_s, b.client, b.number);
  });
  return out;
}

// Conversations that may be continued, and the choice among them.
class conversations {
public:
  conversations(const session_shape& shape, uint64_t seed)
      : shape_(shape), draw_(seed, random_subsystem::workload, session_stream) {}

  void assign(trace_request& request) {
    request.session = next_;
    if (shape_.follow_up_share > 0 && draw_.chance(shape_.follow_up_share)) {
      if (auto* chosen = choose(request)) {
        request.session = chosen->session;
        request.shared = chosen->input;
        *chosen = {request.session, request.input, request.arrives};
        return;
      }
    }
    ++next_;
    if (shape_.common_block) request.shared = std::min(request.input, shape_.block_tokens);
    if (shape_.follow_up_share > 0 && !draw_.chance(shape_.one_shot_share))
      remember({request.session, request.input, request.arrives});
  }

private:
  struct conversation {
    uint32_t session;
    uint32_t input; // of its last request
    nanoseconds arrived;
  };

  // The longest of some that the request can continue: its prompt must have grown, and people need
  // a moment to read.
  conversation* choose(const trace_request& request) {
    conversation* best = nullptr;
    for (uint32_t n = 0; n < shape_.tries && !recent_.empty(); ++n) {
      conversation& each = recent_[draw_.below(recent_.size())];
      if (each.input >= request.input || request.arrives - each.arrived < 5 * second_ns) continue;
      if (best == nullptr || each.input > best->input) best = &each;
    }
    return best;
  }

  void remember(const conversation& what) {
    if (recent_.size() < shape_.recent_max)
      recent_.push_back(what);
    else
      recent_[oldest_++ % shape_.recent_max] = what;
  }

  session_shape shape_;
  draws draw_;
  std::vector<conversation> recent_;
  uint32_t next_ = 0;
  uint64_t oldest_ = 0;
};

} // namespace

std::vector<trace_request> generate_trace(const trace_profile& profile, const trace_args& args) {
  TROUPE_CHECK(args.load > 0 && args.span > 0);
  const double span_s = static_cast<double>(args.span) / second_ns;
  time_warp warp(profile.arrivals, span_s, args.seed);
  const auto points = all_points(profile, args.load, warp.operational_span_s(), args.seed);
  session_shape shape = profile.sessions;
  shape.recent_max = static_cast<uint32_t>(shape.recent_max * std::max(1.0, args.load));
  conversations sessions(shape, args.seed);
  draws lengths(args.seed, random_subsystem::workload, length_stream);
  std::vector<trace_request> out;
  out.reserve(points.size());
  for (const auto& each : points) {
    trace_request request;
    request.arrives = static_cast<nanoseconds>(warp.real_s(each.operational_s) * second_ns);
    request.client = each.client;
    const double u = lengths.unit();
    const double v = lengths.unit();
    const bool antithetic = lengths.chance(profile.antithetic_share);
    request.input = length_at(profile.input, u);
    request.output = length_at(profile.output, antithetic ? 1 - u : v);
    sessions.assign(request);
    out.push_back(request);
  }
  return out;
}

uint64_t block_id(const session_shape& shape, const trace_request& request, uint32_t index) {
  if (index == 0 && shape.common_block) return 0;
  return (uint64_t{request.session} + 1) << 24 | index;
}

} // namespace troupe::simulations::capacity
