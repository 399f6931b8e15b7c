// What the words of a list name, and that frozen tensors keep every bit.
#include "model/training/parameter_choice.hpp"
#include "tests/unit/model_training/training_model.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace troupe::model_test {
namespace {

using model::parameter_set;
using model::read_parameter_list;

training_model<float> trained_of(const std::string& name) {
  return training_model<float>(checkpoint::read(golden_training_folder(name)));
}

std::set<std::string> names_in(const parameter_set& chosen, const model::parameter_map& map) {
  std::set<std::string> out;
  for (model::parameter_id id = 0; id < map.list.size(); ++id)
    if (chosen.has(id)) out.insert(map[id].name);
  EXPECT_EQ(out.size(), chosen.count());
  return out;
}

TEST(parameter_choice, names_kinds_of_tensors) {
  const auto trained = trained_of("deepseek_v2");
  const auto of = [&](const char* list) {
    return names_in(read_parameter_list(list, trained.map).value(), trained.map);
  };
  EXPECT_EQ(of(""), std::set<std::string>());
  EXPECT_EQ(of("embedding"), std::set<std::string>({"model.embed_tokens.weight"}));
  EXPECT_EQ(of("head"), std::set<std::string>({"lm_head.weight"}));
  EXPECT_EQ(of("router"), std::set<std::string>({"model.layers.1.mlp.gate.weight"}));
  EXPECT_EQ(of("shared").count("model.layers.1.mlp.shared_experts.up_proj.weight"), 1u);
  EXPECT_EQ(of("dense").count("model.layers.0.mlp.down_proj.weight"), 1u);
  EXPECT_EQ(of("expert").count("model.layers.1.mlp.experts.2.up_proj.weight"), 1u);
  const auto norms = of("norm");
  EXPECT_EQ(norms.count("model.norm.weight"), 1u);
  EXPECT_EQ(norms.count("model.layers.1.self_attn.kv_a_layernorm.weight"), 1u);
  EXPECT_EQ(norms.count("model.layers.1.self_attn.kv_b_proj.weight"), 0u);
  EXPECT_EQ(of("attention").count("model.layers.0.self_attn.o_proj.weight"), 1u);
}

TEST(parameter_choice, has_each_tensor_in_one_kind) {
  for (const auto& name : golden_training_names()) {
    const auto trained = trained_of(name);
    size_t sum = 0;
    parameter_set all(trained.map);
    for (const char* kind :
         {"embedding", "attention", "dense", "router", "shared", "expert", "head", "norm"}) {
      const auto chosen = read_parameter_list(kind, trained.map);
      const bool again = std::string(kind) == "head" && trained.map.head == trained.map.embedding;
      if (!chosen || again) continue;
      sum += chosen->count();
      for (model::parameter_id id = 0; id < trained.map.list.size(); ++id)
        if (chosen->has(id)) all.add(id);
    }
    EXPECT_EQ(sum, trained.map.list.size()) << name;
    EXPECT_EQ(all.count(), sum) << name;
  }
}

TEST(parameter_choice, names_layers_and_joins_words) {
  const auto trained = trained_of("qwen3_moe");
  const auto names =
      names_in(read_parameter_list("layers:0-0, head,router", trained.map).value(), trained.map);
  EXPECT_EQ(names.count("model.layers.0.input_layernorm.weight"), 1u);
  EXPECT_EQ(names.count("model.layers.1.input_layernorm.weight"), 0u);
  EXPECT_EQ(names.count("model.embed_tokens.weight"), 1u); // the head, too
  EXPECT_EQ(names.count("model.layers.1.mlp.gate.weight"), 1u);
  const auto both = read_parameter_list("layers:0-1", trained.map).value();
  EXPECT_EQ(both.count() + 2, trained.map.list.size());
}

TEST(parameter_choice, says_which_word_means_nothing) {
  const auto trained = trained_of("llama");
  const auto why = [&](const char* list) {
    return std::string(read_parameter_list(list, trained.map).error().why());
  };
  EXPECT_EQ(why("norm,exprt").find("'exprt' at character 6: must be one of"), 0u)
      << why("norm,exprt");
  EXPECT_NE(why("layers:1-2").find("layers 0 to 1"), std::string::npos);
  EXPECT_NE(why("expert").find("no such tensor"), std::string::npos);
  for (const char* wrong : {",", "norm,", "layers:", "layers:1-0", "layers:-1", "layers:1x", "Norm",
                            "layers:99999999999"})
    EXPECT_FALSE(read_parameter_list(wrong, trained.map).has_value()) << wrong;
}

TEST(parameter_choice, freezes_bits_and_leaves_them_out_of_the_norm) {
  auto trained = trained_of("qwen3_moe");
  const auto documents = random_documents(trained.description.vocabulary, {30, 12}, 4);
  const auto frozen = read_parameter_list("embedding,expert,norm", trained.map).value();
  model::adamw_optimiser<float> optimiser(trained.map, {.decay_vectors = true}, frozen);
  const auto before = trained.values;
  trained.run(documents);
  double others = 0;
  for (model::parameter_id id = 0; id < trained.map.list.size(); ++id)
    if (!frozen.has(id)) others += trained.device.sum_of_squares(trained.gradients.total_of(id));
  EXPECT_EQ(model::squared_norm(trained.device, trained.map, trained.gradients, frozen), others);
  EXPECT_LT(others, model::squared_norm(trained.device, trained.map, trained.gradients));
  for (int i = 0; i < 3; ++i) {
    trained.run(documents);
    optimiser.step(trained.device, trained.values, trained.gradients, 1e-2, 1);
    trained.values.refresh(trained.device);
  }
  for (model::parameter_id id = 0; id < trained.map.list.size(); ++id) {
    const auto old = before.of(id), now = std::as_const(trained.values).of(id);
    const bool same = std::memcmp(old.data(), now.data(), old.size_bytes()) == 0;
    EXPECT_EQ(same, frozen.has(id)) << trained.map[id].name;
  }
}

} // namespace
} // namespace troupe::model_test
