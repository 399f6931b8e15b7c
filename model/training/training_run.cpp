// Every call is one job of the executor, however many pieces its documents are computed in.
#include "model/training/training_run.hpp"

#include "base/text.hpp"

#include <cmath>
#include <future>

namespace troupe::model {

training_run::training_run(const description& model, compute::executor& executor,
                           const training_run_options& options)
    : model_(model),
      executor_(executor),
      options_(options),
      map_(map_parameters(model)),
      values_(map_),
      gradients_(map_),
      optimiser_(map_, options.optimiser),
      pass_(model, options.pass) {}

result<std::unique_ptr<training_run>> training_run::make(const description& model,
                                                         const tensor_index& index,
                                                         compute::executor& executor,
                                                         const training_run_options& options) {
  std::unique_ptr<training_run> out(new training_run(model, executor, options)); // NOLINT: private
  const status read =
      read_parameters(model, index, out->values_.all(), out->map_, out->corrections_);
  if (!read.ok()) return fail(read);
  const status refreshed = out->on_device([&out](auto& device) { out->values_.refresh(device); });
  if (!refreshed.ok()) return fail(refreshed);
  return out;
}

status training_run::on_device(const std::function<void(compute::training_kernels<float>&)>& work) {
  // waiver thread: the caller waits here for its step; no actor uses this class.
  std::promise<status> done;
  const status accepted = executor_.submit(
      [this, &work](compute::kernels& host) {
        work(*compute::make_cpu_training_kernels(host, options_.set));
      },
      [&done](status outcome) { done.set_value(std::move(outcome)); });
  return accepted.ok() ? done.get_future().get() : accepted;
}

result<pass_figures> training_run::pass_over(std::span<const training_document> documents,
                                             parameter_gradients<float>* gradients, float weight) {
  result<pass_figures> out;
  const auto work = [&](compute::training_kernels<float>& device) {
    for (size_t begin = 0; begin < documents.size() && out.has_value();) {
      size_t end = begin, rows = 0;
      while (end < documents.size() &&
             (end == begin || rows + documents[end].tokens.size() <= options_.rows_at_once)) {
        rows += documents[end++].tokens.size();
      }
      const auto part = pass_.run(device, {values_, corrections_, gradients},
                                  documents.subspan(begin, end - begin), weight);
      if (part)
        out->add(*part);
      else
        out = fail(part.error());
      begin = end;
    }
  };
  if (const status ran = on_device(work); !ran.ok()) return fail(ran);
  return out;
}

result<step_gradients> training_run::compute_gradients(
    std::span<const training_document> documents) {
  uint64_t targets = 0;
  for (const auto& document : documents)
    for (const int32_t target : document.targets) targets += target >= 0 ? 1 : 0;
  if (targets == 0) return fail(status_code::invalid_argument, "a step without a token to predict");
  gradients_.clear();
  auto figures = pass_over(documents, &gradients_, 1 / static_cast<float>(targets));
  if (!figures) return fail(figures.error());
  gradients_.close_share();
  step_gradients out{.figures = std::move(*figures)};
  const status measured = on_device(
      [&](auto& device) { out.norm = std::sqrt(squared_norm(device, map_, gradients_)); });
  if (!measured.ok()) return fail(measured);
  if (!std::isfinite(out.norm) || !std::isfinite(out.figures.loss_sum)) {
    return fail(status_code::corrupt,
                text("step ", steps() + 1, ": loss or gradients are no numbers any more"));
  }
  return out;
}

status training_run::apply(double rate, double factor) {
  return on_device([&](auto& device) {
    optimiser_.step(device, values_, gradients_, rate, factor);
    values_.refresh(device);
  });
}

result<pass_figures> training_run::evaluate(std::span<const training_document> documents) {
  return pass_over(documents, nullptr, 1);
}

status training_run::write(compute::dtype type, const byte_sink& to) const {
  return export_safetensors({.model = model_,
                             .map = map_,
                             .values = values_.all(),
                             .corrections = corrections_,
                             .type = type},
                            to);
}

} // namespace troupe::model
