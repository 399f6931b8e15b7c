// A step of a training run in parts that end with a call.
#include "model/training/training_run.hpp"

#include "base/text.hpp"

#include <cmath>
#include <utility>

namespace troupe::model {
namespace {

// Hands on what the work has left, unless the device itself failed.
template <class Outcome>
std::function<void(status)> then(std::shared_ptr<result<Outcome>> left, // of work and completion
                                 std::function<void(result<Outcome>)> done) {
  return [left = std::move(left), done = std::move(done)](status ran) {
    done(ran.ok() ? std::move(*left) : fail(std::move(ran)));
  };
}

} // namespace

status training_run::start_share(std::span<const training_document> documents, float weight,
                                 done_with<result<share_gradient>> done) {
  auto out = std::make_shared<result<share_gradient>>();
  auto work = [this, documents, weight, out](compute::training_kernels<float>& device) {
    gradients_.clear_share();
    auto figures = pass_on(device, documents, &gradients_, weight);
    if (!figures) {
      *out = fail(figures.error());
      return;
    }
    const auto share = gradients_.finish_share();
    *out = share_gradient{.figures = std::move(*figures), .values = {share.begin(), share.end()}};
  };
  return start(std::move(work), then(out, std::move(done)));
}

status training_run::start_adding(std::span<const float> share, bool is_first,
                                  done_with<status> done) {
  if (share.size() != map_.scalars) {
    return {status_code::corrupt,
            text("a share of ", share.size(), " values where the model has ", map_.scalars)};
  }
  return start([this, share, is_first](auto&) { gradients_.add_share(share, is_first); },
               std::move(done));
}

status training_run::start_measuring(bool wants_sum, done_with<result<summed_gradients>> done) {
  auto out = std::make_shared<result<summed_gradients>>();
  auto work = [this, wants_sum, out](compute::training_kernels<float>& device) {
    summed_gradients made;
    const auto sum = std::as_const(gradients_).total();
    if (wants_sum) made.sum.assign(sum.begin(), sum.end());
    made.norm = measure(device);
    if (std::isfinite(made.norm))
      *out = std::move(made);
    else
      *out = fail(status_code::corrupt,
                  text("step ", steps() + 1, ": gradients are no numbers any more"));
  };
  return start(std::move(work), then(out, std::move(done)));
}

status training_run::start_step(std::span<const float> sum, double rate, double factor,
                                done_with<status> done) {
  if (!sum.empty() && sum.size() != map_.scalars) {
    return {status_code::corrupt,
            text("gradients of ", sum.size(), " values where the model has ", map_.scalars)};
  }
  auto work = [this, sum, rate, factor](compute::training_kernels<float>& device) {
    if (!sum.empty()) {
      gradients_.add_share(sum, true);
      methods_.change_gradients(device, values_, gradients_);
    }
    step(device, rate, factor);
  };
  return start(std::move(work), std::move(done));
}

status training_run::start_restoring(std::span<const state_part> parts, done_with<status> done) {
  TROUPE_RETURN_IF_ERROR(put_back(parts));
  return start([this](auto& device) { look_again(device); }, std::move(done));
}

} // namespace troupe::model
