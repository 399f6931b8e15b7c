// How many tokens a second training takes on this machine, forward, backward and optimiser, for the
// shape of a checkpoint with random weights; checks first that the loss of one repeated batch
// falls. tests/bench/torch_training.py is the same in PyTorch.
//   model_training_bench CONFIG_JSON [documents of a step] [tokens of a document] [steps] [threads]
#include "base/random.hpp"
#include "compute/cpu_training.hpp"
#include "model/training/optimiser.hpp"
#include "model/training/training_pass.hpp"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iterator>
#include <string>

namespace troupe {
namespace {

struct shape {
  uint32_t documents = 4;
  uint32_t tokens = 256;
  uint32_t steps = 10;
  uint32_t threads = 2;
};

float draw(uint64_t seed, uint64_t n) {
  return 2 * random_unit({.seed = seed, .subsystem = random_subsystem::workload}, n) - 1;
}

struct batch {
  std::vector<std::vector<int32_t>> tokens, targets;
  std::vector<model::training_document> views;
};

batch make_batch(const shape& of, uint32_t vocabulary) {
  batch out;
  for (uint32_t d = 0; d < of.documents; ++d) {
    auto& tokens = out.tokens.emplace_back();
    for (uint32_t i = 0; i < of.tokens; ++i)
      tokens.push_back(static_cast<int32_t>((draw(d, i) + 1) / 2 * static_cast<float>(vocabulary)));
    out.targets.emplace_back(tokens.begin() + 1, tokens.end()).push_back(-1);
  }
  for (uint32_t d = 0; d < of.documents; ++d) out.views.push_back({out.tokens[d], out.targets[d]});
  return out;
}

void fill(const model::parameter_map& map, model::parameter_values<float>& values) {
  for (model::parameter_id id = 0; id < map.list.size(); ++id) {
    const auto& p = map[id];
    const auto of = values.of(id);
    for (size_t i = 0; i < of.size(); ++i)
      of[i] = p.is_matrix ? 0.035f * draw(id, i) : (p.name.ends_with("bias") ? 0.0f : 1.0f);
  }
}

struct outcome {
  double first_loss = 0, last_loss = 0, seconds = 0; // of all steps but the first
};

outcome train(compute::kernels& host, const model::description& description, const shape& of) {
  const auto device = compute::make_cpu_training_kernels(host);
  const auto map = model::map_parameters(description);
  model::parameter_values<float> values(map);
  model::parameter_gradients<float> gradients(map);
  model::adamw_optimiser<float> optimiser(map, {});
  model::training_pass<float> pass(description, {});
  std::vector<std::vector<float>> corrections(description.layers.size());
  for (size_t i = 0; i < corrections.size(); ++i)
    if (description.layers[i].moe.correction_bias)
      corrections[i].resize(description.layers[i].moe.rule.experts);
  fill(map, values);
  const auto data = make_batch(of, description.vocabulary);
  const float weight = 1 / static_cast<float>(of.documents * (of.tokens - 1));
  outcome out;
  auto begin = std::chrono::steady_clock::now();
  for (uint32_t step = 0; step <= of.steps; ++step) {
    values.refresh(*device);
    gradients.clear();
    const auto run =
        pass.run(*device, {values, corrections, &gradients}, data.views, weight).value();
    gradients.close_share();
    const double norm = std::sqrt(model::squared_norm(*device, map, gradients));
    optimiser.step(*device, values, gradients, 1e-3, std::min(1.0, 1 / (norm + 1e-6)));
    out.last_loss = run.loss_sum * static_cast<double>(weight);
    if (step > 0) continue;
    out.first_loss = out.last_loss;
    begin = std::chrono::steady_clock::now();
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return out;
}

int run(const char* config, const shape& of) {
  std::ifstream in(config);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const auto description = model::parse_config(text, config);
  if (!description) {
    std::fprintf(stderr, "%s\n", description.error().why().c_str());
    return 1;
  }
  const auto executor = compute::make_cpu_executor({.threads = of.threads}).value();
  outcome out;
  std::promise<void> done;
  const status accepted =
      executor->submit([&](compute::kernels& host) { out = train(host, *description, of); },
                       [&done](const status&) { done.set_value(); });
  if (!accepted.ok()) return 1;
  done.get_future().wait();
  if (!(out.last_loss < out.first_loss)) {
    std::fprintf(stderr, "the loss went from %f to %f\n", out.first_loss, out.last_loss);
    return 1;
  }
  const double tokens = static_cast<double>(of.documents) * of.tokens * of.steps;
  std::printf(
      "{\"name\": \"model_training\", \"device\": \"%s\", \"parameters\": %zu, "
      "\"tokens_per_step\": %u, \"steps\": %u, \"loss\": [%.4f, %.4f], "
      "\"tokens_per_second\": %.0f}\n",
      executor->description().c_str(), model::map_parameters(*description).scalars,
      of.documents * of.tokens, of.steps, out.first_loss, out.last_loss, tokens / out.seconds);
  return 0;
}

} // namespace
} // namespace troupe

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: %s CONFIG_JSON [documents] [tokens] [steps] [threads]\n",
                 arguments[0]);
    return 2;
  }
  troupe::shape of;
  uint32_t* const fields[] = {&of.documents, &of.tokens, &of.steps, &of.threads};
  for (int i = 2; i < count && i < 6; ++i)
    *fields[i - 2] = static_cast<uint32_t>(std::strtoul(arguments[i], nullptr, 10));
  return troupe::run(arguments[1], of);
}
