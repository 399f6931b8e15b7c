// Names the modules and writes the factors like the parameters of a checkpoint.
#include "model/training/adapter_export.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <set>

namespace troupe::model {
namespace {

std::string module_name(const parameter& p) {
  return p.name.substr(0, p.name.size() - std::string_view(".weight").size());
}
std::string last_word(const std::string& module) {
  return module.substr(module.rfind('.') + 1);
}

} // namespace

std::string adapter_config(const parameter_map& base, const parameter_set& targets,
                           const low_rank_options& options, const std::string& base_name) {
  std::set<std::string> others, modules;
  for (parameter_id id = 0; id < base.list.size(); ++id) {
    if (base[id].is_matrix && !targets.has(id)) others.insert(last_word(module_name(base[id])));
  }
  for (parameter_id id = 0; id < base.list.size(); ++id) {
    if (!targets.has(id)) continue;
    const std::string module = module_name(base[id]), word = last_word(module);
    modules.insert(others.count(word) > 0 ? module : word);
  }
  const nlohmann::ordered_json json = {{"peft_type", "LORA"},
                                       {"task_type", "CAUSAL_LM"},
                                       {"base_model_name_or_path", base_name},
                                       {"r", options.rank},
                                       {"lora_alpha", options.alpha},
                                       {"lora_dropout", 0.0},
                                       {"target_modules", modules},
                                       {"bias", "none"},
                                       {"fan_in_fan_out", false},
                                       {"use_rslora", false},
                                       {"use_dora", false},
                                       {"modules_to_save", nullptr},
                                       {"inference_mode", true},
                                       {"init_lora_weights", true}};
  return json.dump(2) + "\n";
}

status export_adapter(const description& model, const low_rank_adapters<float>& adapters,
                      const byte_sink& to) {
  return export_safetensors({.model = model,
                             .map = adapters.map(),
                             .values = adapters.factors().all(),
                             .corrections = {},
                             .type = compute::dtype::f32},
                            to);
}

} // namespace troupe::model
