// Every call is one job of the executor, however many pieces its documents are computed in.
#include "model/training/training_run.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "model/training/adapter_export.hpp"
#include "model/training/shares.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <future>
#include <map>

namespace troupe::model {

static_assert(std::endian::native == std::endian::little); // of the bytes in a state

namespace {

constexpr uint64_t state_version = 1;

// Where a part's bytes are in the run.
std::span<std::byte> writable(std::span<const std::byte> bytes) {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()}; // the caller owns them
}

bool all_finite(std::span<const std::byte> bytes) {
  for (size_t at = 0; at + sizeof(float) <= bytes.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    if (!std::isfinite(value)) return false;
  }
  return true;
}

} // namespace

training_run::training_run(const description& model, compute::executor& executor,
                           const training_run_options& options,
                           const training_methods::sets& chosen)
    : model_(model),
      executor_(executor),
      options_(options),
      map_(map_parameters(model)),
      chosen_(chosen),
      values_(map_),
      gradients_(map_),
      optimiser_(map_, options.optimiser, chosen_.frozen),
      pass_(model, options.pass),
      methods_(model, map_, chosen, options.methods) {}

result<std::unique_ptr<training_run>> training_run::make(const description& model,
                                                         const tensor_index& index,
                                                         compute::executor& executor,
                                                         const training_run_options& options) {
  const auto chosen = training_methods::choose(map_parameters(model), options.methods);
  if (!chosen) return fail(chosen.error());
  // NOLINTNEXTLINE: private
  std::unique_ptr<training_run> out(new training_run(model, executor, options, *chosen));
  const status read =
      read_parameters(model, index, out->values_.all(), out->map_, out->corrections_);
  if (!read.ok()) return fail(read);
  const status begun = out->on_device([&out](auto& device) {
    out->values_.refresh(device);
    out->methods_.begin(
        device, {out->values_, out->corrections_, out->options_.pass, out->options_.optimiser});
  });
  if (!begun.ok()) return fail(begun);
  return out;
}

status training_run::start(device_work work, done_with<status> done) {
  return executor_.submit(
      [this, work = std::move(work)](compute::kernels& host) {
        work(*compute::make_cpu_training_kernels(host, options_.set));
      },
      std::move(done));
}

status training_run::on_device(const device_work& work) {
  // waiver thread: the caller waits here for its step; actors use what starts and tells its end.
  std::promise<status> done;
  const status accepted = start([&work](auto& device) { work(device); },
                                [&done](status outcome) { done.set_value(std::move(outcome)); });
  return accepted.ok() ? done.get_future().get() : accepted;
}

result<pass_figures> training_run::pass_over_part(compute::training_kernels<float>& device,
                                                  std::span<const training_document> documents,
                                                  parameter_gradients<float>* gradients,
                                                  float weight) {
  std::optional<lesson<float>> taught;
  if (gradients != nullptr) {
    auto looked = methods_.look_at(device, documents);
    if (!looked) return fail(looked.error());
    taught = *looked;
  }
  return pass_.run(device, {values_, corrections_, gradients, taught ? &*taught : nullptr},
                   documents, weight);
}

result<pass_figures> training_run::pass_on(compute::training_kernels<float>& device,
                                           std::span<const training_document> documents,
                                           parameter_gradients<float>* gradients, float weight) {
  pass_figures out;
  for (const auto part : cut_into_shares(documents, options_.rows_at_once)) {
    const auto figures = pass_over_part(device, part, gradients, weight);
    if (!figures) return fail(figures.error());
    out.add(*figures);
  }
  return out;
}

result<pass_figures> training_run::pass_over(std::span<const training_document> documents,
                                             parameter_gradients<float>* gradients, float weight) {
  result<pass_figures> out;
  const status ran =
      on_device([&](auto& device) { out = pass_on(device, documents, gradients, weight); });
  if (!ran.ok()) return fail(ran);
  return out;
}

double training_run::measure(compute::training_kernels<float>& device) {
  methods_.change_gradients(device, values_, gradients_);
  return std::sqrt(squared_norm(device, map_, gradients_, chosen_.frozen) +
                   methods_.squared_norm(device));
}

result<step_gradients> training_run::compute_gradients(
    std::span<const training_document> documents) {
  const uint64_t targets = count_targets(documents);
  if (targets == 0) return fail(status_code::invalid_argument, "a step without a token to predict");
  gradients_.clear();
  step_gradients out;
  for (const auto share : cut_into_shares(documents, options_.share_tokens)) {
    const auto figures = pass_over(share, &gradients_, 1 / static_cast<float>(targets));
    if (!figures) return fail(figures.error());
    gradients_.close_share();
    out.figures.add(*figures);
  }
  const status measured = on_device([&](auto& device) { out.norm = measure(device); });
  if (!measured.ok()) return fail(measured);
  if (!std::isfinite(out.norm) || !std::isfinite(out.figures.loss_sum)) {
    return fail(status_code::corrupt,
                text("step ", steps() + 1, ": loss or gradients are no numbers any more"));
  }
  return out;
}

void training_run::step(compute::training_kernels<float>& device, double rate, double factor) {
  optimiser_.step(device, values_, gradients_, rate, factor);
  methods_.step(device, values_, rate, factor);
  values_.refresh(device);
}

status training_run::apply(double rate, double factor) {
  return on_device([&](auto& device) { step(device, rate, factor); });
}

result<pass_figures> training_run::evaluate(std::span<const training_document> documents) {
  return pass_over(documents, nullptr, 1);
}

status training_run::renew_anchor(std::span<const training_document> documents,
                                  const importance_options& options) {
  auto* anchor = methods_.anchor();
  TROUPE_CHECK(anchor != nullptr);
  status measured;
  const status ran = on_device([&](auto& device) {
    importance_sums<float> sums(map_);
    measured =
        measure_importance<float>(device, pass_, values_, corrections_, documents, options, sums);
    if (!measured.ok()) return;
    if (sums.documents() == 0)
      measured = status(status_code::invalid_argument, "no document to measure importance on");
    else
      anchor->renew(device, values_, sums.finish(device));
  });
  return ran.ok() ? measured : ran;
}

status training_run::read_teacher(const description& model, const tensor_index& index) {
  status read;
  const status ran = on_device(
      [&](auto& device) { read = methods_.read_teacher(device, model, index, options_.pass); });
  return ran.ok() ? read : ran;
}

status training_run::read_importance(const tensor_index& index) {
  TROUPE_CHECK(methods_.anchor() != nullptr);
  const auto known = methods_.anchor()->importance();
  std::vector<std::vector<float>> ignored;
  TROUPE_RETURN_IF_ERROR(read_parameters(model_, index, known, map_, ignored));
  const bool negative = std::ranges::any_of(known, [](float value) { return value < 0; });
  return negative ? status(status_code::corrupt, "an importance below zero") : status();
}

status training_run::write_importance(const byte_sink& to) {
  TROUPE_CHECK(methods_.anchor() != nullptr);
  return export_safetensors({.model = model_,
                             .map = map_,
                             .values = methods_.anchor()->importance(),
                             .corrections = corrections_,
                             .type = compute::dtype::f32},
                            to);
}

double training_run::anchor_penalty() {
  TROUPE_CHECK(methods_.anchor() != nullptr);
  return methods_.anchor()->penalty(values_);
}

std::string training_run::adapter_config(const std::string& base_name) const {
  TROUPE_CHECK(options_.methods.adapters.has_value());
  return model::adapter_config(map_, chosen_.adapted, *options_.methods.adapters, base_name);
}

status training_run::write_adapter(const byte_sink& to) {
  TROUPE_CHECK(methods_.adapters() != nullptr);
  return export_adapter(model_, *methods_.adapters(), to);
}

status training_run::write(compute::dtype type, const byte_sink& to) const {
  return export_safetensors({.model = model_,
                             .map = map_,
                             .values = values_.all(),
                             .corrections = corrections_,
                             .type = type},
                            to);
}

std::vector<state_part> training_run::state() {
  std::vector<state_part> out;
  const auto add = [&](const std::string& name, std::span<const float> values) {
    if (!values.empty()) out.push_back({name, std::as_bytes(values)}); // frozen: no moments
  };
  for (parameter_id id = 0; id < map_.list.size(); ++id)
    add("value/" + map_[id].name, values_.of(id));
  for (parameter_id id = 0; id < map_.list.size(); ++id)
    add("first/" + map_[id].name, optimiser_.first_of(id));
  for (parameter_id id = 0; id < map_.list.size(); ++id)
    add("second/" + map_[id].name, optimiser_.second_of(id));
  for (const auto& array : methods_.state()) add(array.name, array.values);
  for (size_t layer = 0; layer < corrections_.size(); ++layer) {
    if (!corrections_[layer].empty())
      out.push_back({text("bias/", layer), std::as_bytes(std::span(corrections_[layer]))});
  }
  stored_run_ = {state_version, optimiser_.steps()};
  out.push_back({"run", std::as_bytes(std::span(stored_run_))});
  return out;
}

status training_run::put_back(std::span<const state_part> parts) {
  const auto own = state();
  TROUPE_RETURN_IF_ERROR(check_parts(parts, own));
  std::array<uint64_t, 2> run = {};
  std::memcpy(run.data(), find_part(parts, "run")->bytes.data(), sizeof run);
  if (run[0] != state_version)
    return status(status_code::corrupt, text("state: run is of version ", run[0]));
  for (const auto& part : parts) {
    if (part.name != "run" && !all_finite(part.bytes))
      return status(status_code::corrupt, text("state: ", part.name, " holds what is no number"));
  }
  std::map<std::string, std::span<const std::byte>> given;
  for (const auto& part : parts) given[part.name] = part.bytes;
  for (const auto& part : own) std::ranges::copy(given[part.name], writable(part.bytes).begin());
  optimiser_.set_steps(run[1]);
  return {};
}

void training_run::look_again(compute::training_kernels<float>& device) {
  values_.refresh(device);
  methods_.restored(device, optimiser_.steps());
}

status training_run::restore(std::span<const state_part> parts) {
  TROUPE_RETURN_IF_ERROR(put_back(parts));
  return on_device([this](auto& device) { look_again(device); });
}

} // namespace troupe::model
