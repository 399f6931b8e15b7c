// Drift and wave share one division, so that rounding cannot turn the clock back.
#include "simulations/kernel/local_time.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <cstdlib>

namespace troupe::simulations {
namespace {

__extension__ using wide = __int128;

constexpr int64_t million = 1'000'000;
constexpr int64_t drift_max_ppm = 100'000;
constexpr int64_t wave_max_ppm = 500'000;

int64_t floor_of_millionths(wide value) {
  return static_cast<int64_t>(value >= 0 ? value / million : -((-value + million - 1) / million));
}

} // namespace

int64_t local_time::gained(int64_t elapsed) const {
  wide sum = wide{elapsed} * fault_.drift_ppm;
  if (const int64_t period = fault_.wave_period.count(); period > 0) {
    const int64_t phase = elapsed % period;
    sum += wide{std::min(phase, period - phase)} * fault_.wave_ppm;
  }
  return sum == 0 ? 0 : floor_of_millionths(sum);
}

time_point local_time::at(time_point virtual_now) const {
  const int64_t elapsed = (virtual_now - virtual_origin_).count();
  return local_origin_ + duration(elapsed + gained(elapsed));
}

time_point local_time::reaches(time_point local, time_point virtual_now) const {
  if (local <= at(virtual_now)) return virtual_now;
  const int64_t wanted = (local - local_origin_).count();
  const int64_t stray =
      std::abs(fault_.drift_ppm) + (fault_.wave_period.count() > 0 ? std::abs(fault_.wave_ppm) : 0);
  if (stray == 0) return virtual_origin_ + duration(wanted);
  // The clock is within these bounds of a straight line; between them it is monotonic.
  constexpr wide farthest = INT64_MAX / 4;
  const wide fastest = wide{wanted} * million / (million + stray) - 2;
  const wide slowest = wide{wanted} * million / (million - stray) + 2;
  auto low = static_cast<int64_t>(std::clamp<wide>(fastest, 0, farthest));
  auto high = static_cast<int64_t>(std::clamp<wide>(slowest, 0, farthest));
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (middle + gained(middle) >= wanted)
      high = middle;
    else
      low = middle + 1;
  }
  return std::max(virtual_now, virtual_origin_ + duration(high));
}

void local_time::set(const clock_fault& fault, time_point virtual_now) {
  TROUPE_CHECK(std::abs(fault.drift_ppm) <= drift_max_ppm);
  TROUPE_CHECK(std::abs(fault.wave_ppm) <= wave_max_ppm);
  TROUPE_CHECK(fault.wave_period.count() >= 0);
  local_origin_ = at(virtual_now);
  virtual_origin_ = virtual_now;
  fault_ = fault;
  // An even period has its turn on a whole nanosecond.
  fault_.wave_period -= duration(fault_.wave_period.count() % 2);
}

void local_time::jump(duration ahead) {
  TROUPE_CHECK(ahead.count() >= 0);
  local_origin_ += ahead;
}

} // namespace troupe::simulations
