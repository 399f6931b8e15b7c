// Kernels against forgetting over the team.
#include "base/check.hpp"
#include "compute/cpu/team_training.hpp"
#include "compute/reference/training_retention.hpp"

#include <algorithm>

namespace troupe::compute {

float team_training_kernels::soften(std::span<float> x) const {
  const auto count = static_cast<uint32_t>(x.size());
  const float max = training_.scale_scores(x.data(), 1, 0, count, count);
  const float sum = training_.exponentials(x.data(), max, 0, count, count);
  training_.divide(x.data(), sum, count);
  return max + reference::scalar_math<float>::log(sum);
}

void team_training_kernels::distil(const distil_args<float>& args) {
  const uint32_t rows = args.student.rows, count = args.student.cols;
  TROUPE_CHECK(args.teacher.rows == rows && args.teacher.cols == count && args.temperature > 0);
  TROUPE_CHECK(args.targets.size() == rows && args.losses.size() == rows);
  const float scale = 1.0f / args.temperature, pull = args.weight * args.temperature;
  split(rows, uint64_t{count} * 2, [&](uint32_t begin, uint32_t end) {
    std::vector<float> p(count), apart(count);
    for (uint32_t r = begin; r < end; ++r) {
      float* q = args.teacher.row(r);
      args.losses[r] = 0;
      if (args.targets[r] < 0) {
        std::fill_n(q, count, 0.0f);
        continue;
      }
      std::copy_n(args.student.row(r), count, p.data());
      (void)training_.scale_scores(p.data(), scale, 0, count, count);
      (void)training_.scale_scores(q, scale, 0, count, count);
      training_.difference(q, p.data(), 1, apart.data(), count);
      const float log_p = soften(p), log_q = soften({q, count});
      const float divergence = (training_.lane_dot(q, apart.data(), count) - log_q) + log_p;
      args.losses[r] = args.temperature * args.temperature * divergence;
      training_.difference(p.data(), q, pull, q, count);
    }
  });
}

void team_training_kernels::match_rows(const match_rows_args<float>& args) {
  const uint32_t rows = args.student.rows, count = args.student.cols;
  TROUPE_CHECK(args.teacher.rows == rows && args.teacher.cols == count);
  TROUPE_CHECK(args.dstudent.rows == rows && args.dstudent.cols == count);
  TROUPE_CHECK(args.targets.size() == rows && args.losses.size() == rows);
  const float pull = args.weight / static_cast<float>(count);
  split(rows, count / 4, [&](uint32_t begin, uint32_t end) {
    std::vector<float> apart(count);
    for (uint32_t r = begin; r < end; ++r) {
      args.losses[r] = 0;
      if (args.targets[r] < 0) continue;
      training_.difference(args.student.row(r), args.teacher.row(r), 1, apart.data(), count);
      const float squares = training_.lane_dot(apart.data(), apart.data(), count);
      args.losses[r] = squares / static_cast<float>(2 * count);
      training_.merge(args.dstudent.row(r), 1, apart.data(), pull, count);
    }
  });
}

void team_training_kernels::anchor(const anchor_args<float>& args) {
  const size_t count = args.gradients.size();
  TROUPE_CHECK(args.values.size() == count && args.anchor.size() == count);
  TROUPE_CHECK(args.importance.size() == count);
  split_elements(count, [&](size_t from, size_t to) {
    training_.anchor({.values = args.values.data() + from,
                      .anchor = args.anchor.data() + from,
                      .importance = args.importance.data() + from,
                      .strength = args.strength,
                      .gradients = args.gradients.data() + from,
                      .count = to - from});
  });
}

void team_training_kernels::add_squares(std::span<const float> x, std::span<float> totals) {
  TROUPE_CHECK(x.size() == totals.size());
  split_elements(x.size(), [&](size_t from, size_t to) {
    training_.add_squares(x.data() + from, totals.data() + from, to - from);
  });
}

} // namespace troupe::compute
