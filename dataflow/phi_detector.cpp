// Mean and deviation of the gaps in integers, and the normal tail as a table.
#include "dataflow/phi_detector.hpp"

#include "base/check.hpp"
#include "base/mutant.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>

namespace troupe::dataflow {
namespace {

// Standard deviations times 1000 beyond which a normal value lies with probability 10^-phi; entry 0
// is for phi 1.
constexpr std::array<int64_t, 16> deviations_milli = {
    1282, 2326, 3090, 3719, 4265, 4753, 5199, 5612, 5998, 6361, 6706, 7034, 7349, 7651, 7941, 8222};

struct knot {
  int64_t deviations_milli;
  int64_t phi_milli;
};
// The same curve from end to end, to be read with straight lines in between: for people.
constexpr knot curve[] = {
    {-3000, 1},     {-2000, 10},   {-1000, 75},   {0, 301},       {1282, 1000},   {2326, 2000},
    {3090, 3000},   {3719, 4000},  {4265, 5000},  {4753, 6000},   {5199, 7000},   {5612, 8000},
    {5998, 9000},   {6361, 10000}, {6706, 11000}, {7034, 12000},  {7349, 13000},  {7651, 14000},
    {7941, 15000},  {8222, 16000}, {9262, 20000}, {11464, 30000}, {13311, 40000}, {16397, 60000},
    {18992, 80000}, {21165, 99000}};

constexpr duration gap_max = std::chrono::minutes(30);

// The largest integer whose square is not above `value`.
uint64_t square_root(uint64_t value) {
  uint64_t root = 0;
  for (int bit = std::bit_width(value) / 2; bit >= 0; --bit) {
    const uint64_t tried = root | (uint64_t{1} << bit);
    if (tried < (uint64_t{1} << 32) && tried * tried <= value) root = tried;
  }
  return root;
}

} // namespace

phi_detector::phi_detector(const phi_options& options)
    : options_(options), mean_(options.expected), deviation_(options.deviation_min) {
  TROUPE_CHECK(options.threshold >= 1 && options.threshold <= deviations_milli.size());
  TROUPE_CHECK(options.samples_max >= 1 && options.samples_max <= 1024);
  TROUPE_CHECK(options.silence_max > duration::zero() && options.silence_max <= gap_max);
}

void phi_detector::heard(time_point now) {
  if (watching_) learn(std::clamp(now - last_, duration::zero(), allowed_gap()));
  watching_ = true;
  last_ = now;
  cut_off_by_.reset();
}

void phi_detector::cut_off(time_point by) {
  if (watching_) cut_off_by_ = cut_off_by_ ? std::min(*cut_off_by_, by) : by;
}

time_point phi_detector::suspect_at() const {
  TROUPE_CHECK(watching_);
  if (TROUPE_MUTANT(detector_trigger_happy)) return last_ + options_.expected / 2;
  const time_point silence = last_ + allowed_gap();
  return cut_off_by_ ? std::min(silence, *cut_off_by_) : silence;
}

bool phi_detector::suspect(time_point now) const {
  return watching_ && now >= suspect_at();
}

uint32_t phi_detector::phi_milli(time_point now) const {
  if (!watching_) return 0;
  const duration late = now - last_ - mean_ - options_.pause_allowed;
  // Divided first so that nothing overflows: a thousandth of a deviation is fine enough.
  const int64_t unit = std::max<int64_t>(deviation_.count() / 1000, 1);
  const int64_t deviations = late.count() / unit;
  const auto above = std::find_if(std::begin(curve), std::end(curve), [deviations](const knot& k) {
    return k.deviations_milli > deviations;
  });
  if (above == std::begin(curve)) return 0;
  const knot& low = *std::prev(above);
  if (above == std::end(curve)) return static_cast<uint32_t>(low.phi_milli);
  const int64_t rise = (above->phi_milli - low.phi_milli) * (deviations - low.deviations_milli) /
                       (above->deviations_milli - low.deviations_milli);
  return static_cast<uint32_t>(low.phi_milli + rise);
}

void phi_detector::reset() {
  *this = phi_detector(options_);
}

duration phi_detector::allowed_gap() const {
  const duration spread = deviation_ / 1000 * deviations_milli[options_.threshold - 1];
  return std::min(mean_ + spread + options_.pause_allowed, options_.silence_max);
}

// Two passes over few numbers, in microseconds so that the square of gap_max fits.
void phi_detector::learn(duration gap) {
  gaps_.push_back(gap);
  if (gaps_.size() > options_.samples_max) gaps_.pop_front();
  const auto count = static_cast<int64_t>(gaps_.size());
  duration sum{};
  for (const duration g : gaps_) sum += g;
  const duration mean = sum / count;
  uint64_t squares = 0;
  for (const duration g : gaps_) {
    const int64_t difference = (g - mean).count() / 1000;
    squares += static_cast<uint64_t>(difference * difference) / gaps_.size();
  }
  // Reports sent at once because something changed come early; the peer has not promised them.
  mean_ = std::max(mean, options_.expected);
  deviation_ =
      std::max(duration(static_cast<int64_t>(square_root(squares)) * 1000), options_.deviation_min);
}

} // namespace troupe::dataflow
