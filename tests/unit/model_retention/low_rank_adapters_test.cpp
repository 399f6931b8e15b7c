// Adapters begin as nothing, their gradients agree with central differences, only they move, and
// their files are what PEFT reads.
#include "model/training/low_rank_adapters.hpp"
#include "compute/cpu_training.hpp"
#include "model/training/adapter_export.hpp"
#include "tests/unit/model_training/golden_tensors.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>
#include <future>

namespace troupe::model_test {
namespace {

template <class T>
struct adapted_model {
  adapted_model(const std::string& name, const char* list, uint64_t seed = 1)
      : trained(checkpoint::read(golden_training_folder(name))),
        targets(model::read_parameter_list(list, trained.map).value()),
        adapters(trained.map, matrices(), options(seed), {}, trained.values),
        documents(random_documents(trained.description.vocabulary, {12, 7}, 2)) {}

  static model::low_rank_options options(uint64_t seed) {
    return {.rank = 3, .alpha = 6, .seed = seed};
  }
  model::parameter_set matrices() {
    model::parameter_set out(trained.map);
    for (model::parameter_id id = 0; id < trained.map.list.size(); ++id)
      if (targets.has(id) && trained.map[id].is_matrix) out.add(id);
    return targets = out;
  }
  void step(compute::training_kernels<T>& device, double rate) {
    trained.run(documents);
    adapters.compute_gradients(device, trained.gradients);
    adapters.step(device, trained.values, rate, 1);
    trained.values.refresh(device);
  }

  training_model<T> trained;
  model::parameter_set targets;
  model::low_rank_adapters<T> adapters;
  document_set documents;
};

TEST(low_rank_adapters, begin_with_the_outputs_of_the_base) {
  adapted_model<float> adapted("qwen3_moe", "attention,expert,router");
  auto& trained = adapted.trained;
  model::training_pass<float> pass(trained.description, trained.options);
  const auto logits = [&] {
    return pass
        .logits(trained.device, {trained.values, trained.corrections, nullptr},
                adapted.documents.views())
        .value();
  };
  const auto before = logits();
  adapted.adapters.factors().refresh(trained.device);
  adapted.adapters.merge(trained.device, trained.values);
  trained.values.refresh(trained.device);
  const auto after = logits();
  EXPECT_EQ(std::memcmp(after.data(), before.data(), before.size() * sizeof(float)), 0);
  adapted.step(trained.device, 1e-2);
  EXPECT_NE(logits(), before);
}

TEST(low_rank_adapters, draw_a_within_its_bound_from_the_seed_alone) {
  adapted_model<float> one("llama", "attention"), same("llama", "attention"),
      other("llama", "attention", 2);
  const auto a = one.adapters.factors().all();
  EXPECT_TRUE(std::ranges::equal(a, same.adapters.factors().all()));
  EXPECT_FALSE(std::ranges::equal(a, other.adapters.factors().all()));
  const auto& map = one.adapters.map();
  for (model::parameter_id id = 0; id < map.list.size(); ++id) {
    const bool is_a = id % 2 == 0;
    EXPECT_TRUE(map[id].name.ends_with(is_a ? ".lora_A.weight" : ".lora_B.weight"));
    const float bound = 1 / std::sqrt(float(map[id].cols));
    float most = 0;
    for (const float value : one.adapters.factors().of(id)) most = std::max(most, std::abs(value));
    EXPECT_LE(most, is_a ? bound : 0) << map[id].name;
    if (is_a) {
      EXPECT_GT(most, 0.8f * bound) << map[id].name;
    }
  }
}

TEST(low_rank_adapters, agree_with_central_differences) {
  for (const char* name : {"deepseek_v3", "granitemoe"}) {
    adapted_model<double> adapted(name, "attention,router,expert,head");
    auto& trained = adapted.trained;
    auto& adapters = adapted.adapters;
    const auto values = adapters.factors().all();
    for (size_t i = 0; i < values.size(); ++i) values[i] += 0.02 * std::sin(double(i));
    const auto loss = [&] {
      adapters.merge(trained.device, trained.values);
      trained.values.refresh(trained.device);
      return trained.loss(adapted.documents);
    };
    loss();
    trained.run(adapted.documents);
    adapters.compute_gradients(trained.device, trained.gradients);
    for (const auto& p : adapters.map().list) {
      if (p.owner == model::parameter_owner::expert && p.expert % 4 != 0) continue;
      const size_t i = p.offset + p.count() / 3;
      const double kept = values[i], step = 1e-4;
      values[i] = kept + step;
      const double above = loss();
      values[i] = kept - step;
      const double measured = (above - loss()) / (2 * step);
      values[i] = kept;
      EXPECT_NEAR(measured, adapters.gradients().total()[i], 1e-5 * std::abs(measured) + 1e-9)
          << p.name;
    }
  }
}

TEST(low_rank_adapters, move_their_targets_alone) {
  adapted_model<float> adapted("qwen2_moe", "expert,layers:0");
  const auto before = adapted.trained.values;
  for (int i = 0; i < 3; ++i) adapted.step(adapted.trained.device, 1e-2);
  for (model::parameter_id id = 0; id < adapted.trained.map.list.size(); ++id) {
    const auto old = before.of(id), now = std::as_const(adapted.trained.values).of(id);
    EXPECT_EQ(std::ranges::equal(old, now), !adapted.targets.has(id))
        << adapted.trained.map[id].name;
  }
}

TEST(low_rank_adapters, have_the_same_bits_on_every_instruction_set_and_any_number_of_threads) {
  adapted_model<float> plain("deepseek_v3", "attention,expert");
  for (int i = 0; i < 2; ++i) plain.step(plain.trained.device, 1e-2);
  const auto expected = std::as_const(plain.trained.values).all();
  for (const auto set : {compute::instruction_set::avx2, compute::instruction_set::avx512}) {
    if (!compute::supported(set)) continue;
    const auto executor = compute::make_cpu_executor({.threads = 2}).value();
    adapted_model<float> adapted("deepseek_v3", "attention,expert");
    std::promise<void> done;
    const auto job = [&](compute::kernels& host) {
      const auto device = compute::make_cpu_training_kernels(host, set);
      for (int i = 0; i < 2; ++i) adapted.step(*device, 1e-2);
    };
    ASSERT_TRUE(executor->submit(job, [&done](const status&) { done.set_value(); }).ok());
    done.get_future().wait();
    const auto made = std::as_const(adapted.trained.values).all();
    EXPECT_EQ(std::memcmp(made.data(), expected.data(), expected.size_bytes()), 0);
  }
}

TEST(low_rank_adapters, refuse_what_is_no_matrix_of_a_layer) {
  training_model<float> trained(checkpoint::read(golden_training_folder("llama")));
  for (const char* list : {"norm", "embedding", "head", "attention"}) {
    const auto targets = model::read_parameter_list(list, trained.map).value();
    const status checked = model::check_low_rank_targets(trained.map, targets);
    EXPECT_EQ(checked.code(), status_code::invalid_argument) << list;
    EXPECT_NE(checked.why().find("takes no adapter"), std::string::npos);
  }
}

TEST(low_rank_adapters, write_the_files_of_peft) {
  adapted_model<float> adapted("qwen3_moe", "attention,expert,layers:0");
  const auto& map = adapted.trained.map;
  const auto config = nlohmann::json::parse(
      model::adapter_config(map, adapted.targets, adapted.options(1), "some/model"));
  EXPECT_EQ(config.at("peft_type"), "LORA");
  EXPECT_EQ(config.at("r"), 3);
  EXPECT_EQ(config.at("lora_alpha"), 6);
  EXPECT_EQ(config.at("base_model_name_or_path"), "some/model");
  // Layer 0 is dense, the others' experts are targets, too: no gate_proj is left out.
  EXPECT_EQ(config.at("target_modules"),
            nlohmann::json::parse(R"(["down_proj","gate_proj","k_proj","o_proj","q_proj","up_proj",
                                      "v_proj"])"));
  adapted_model<float> some("qwen3_moe", "layers:0");
  const auto named =
      nlohmann::json::parse(model::adapter_config(map, some.targets, some.options(1), ""));
  EXPECT_EQ(named.at("target_modules"),
            nlohmann::json::parse(R"(["0.self_attn.k_proj","0.self_attn.o_proj",
                                      "0.self_attn.q_proj","0.self_attn.v_proj",
                                      "mlp.down_proj","mlp.gate_proj","mlp.up_proj"])"));

  std::string bytes;
  const status written = model::export_adapter(
      adapted.trained.description, adapted.adapters, [&bytes](std::span<const std::byte> part) {
        bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
        return status();
      });
  ASSERT_TRUE(written.ok());
  const auto file = parse_golden(bytes);
  EXPECT_EQ(file.tensors().size(), 2 * adapted.targets.count());
  const auto* b = file.find("base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->shape.at(1), 3u);
}

} // namespace
} // namespace troupe::model_test
