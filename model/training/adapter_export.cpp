// Names the modules and writes the factors like the parameters of a checkpoint.
#include "model/training/adapter_export.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <vector>

namespace troupe::model {
namespace {

std::string module_name(const parameter& p) {
  return p.name.substr(0, p.name.size() - std::string_view(".weight").size());
}
// Its last words, from the shortest on: "gate_proj", "3.gate_proj", ….
std::vector<std::string> ends_of(const std::string& module) {
  std::vector<std::string> out;
  for (size_t dot = module.rfind('.'); dot != module.npos && dot > 0;
       dot = module.rfind('.', dot - 1))
    out.push_back(module.substr(dot + 1));
  out.push_back(module);
  return out;
}

} // namespace

std::string adapter_config(const parameter_map& base, const parameter_set& targets,
                           const low_rank_options& options, const std::string& base_name) {
  std::set<std::string> others, modules;
  for (parameter_id id = 0; id < base.list.size(); ++id) {
    if (!base[id].is_matrix || targets.has(id)) continue;
    for (auto& end : ends_of(module_name(base[id]))) others.insert(std::move(end));
  }
  for (parameter_id id = 0; id < base.list.size(); ++id) {
    if (!targets.has(id)) continue;
    const auto ends = ends_of(module_name(base[id]));
    modules.insert(*std::ranges::find_if(
        ends, [&others](const std::string& end) { return others.count(end) == 0; }));
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
