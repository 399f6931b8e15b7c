// Means over columns.
#include "dataflow/retention.hpp"

#include "base/check.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::dataflow {
namespace {

class mean {
public:
  void add(double value) {
    sum_ += value;
    ++count_;
  }
  std::optional<double> value() const {
    return count_ == 0 ? std::nullopt : std::optional(sum_ / static_cast<double>(count_));
  }

private:
  double sum_ = 0;
  size_t count_ = 0;
};

double least_of_column(const domain_losses& losses, size_t domain) {
  double out = losses.front()[domain];
  for (const auto& row : losses) out = std::min(out, row[domain]);
  return out;
}

} // namespace

retention_figures measure_retention(const domain_losses& losses, std::span<const double> joint) {
  TROUPE_CHECK(!losses.empty() && !losses.front().empty());
  const size_t stages = losses.size() - 1;
  const auto& now = losses.back();
  TROUPE_CHECK(stages <= now.size() && (joint.empty() || joint.size() == now.size()));
  mean average, backward, forward, forgetting, regret;
  for (size_t domain = 0; domain < now.size(); ++domain) {
    TROUPE_CHECK(std::all_of(losses.begin(), losses.end(),
                             [&now](const auto& row) { return row.size() == now.size(); }));
    average.add(now[domain]);
    if (!joint.empty()) regret.add(now[domain] - joint[domain]);
    if (domain + 1 < stages) {
      backward.add(losses[domain + 1][domain] - now[domain]);
      forgetting.add(now[domain] - least_of_column(losses, domain));
    }
    if (domain >= 1 && domain < stages)
      forward.add(losses.front()[domain] - losses[domain][domain]);
  }
  retention_figures out;
  out.average = *average.value();
  out.backward_transfer = backward.value();
  out.forward_transfer = forward.value();
  out.forgetting = forgetting.value();
  if (out.backward_transfer) out.retention = std::exp2(*out.backward_transfer);
  out.regret = regret.value();
  return out;
}

} // namespace troupe::dataflow
