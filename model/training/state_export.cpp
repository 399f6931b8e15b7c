// Puts the values back where the map wants them.
#include "model/training/state_export.hpp"

#include "base/text.hpp"

#include <cstring>
#include <map>
#include <string_view>

namespace troupe::model {
namespace {

using parts_by_name = std::map<std::string_view, std::span<const std::byte>>;

status copy_part(const parts_by_name& parts, const std::string& name, std::span<float> to) {
  const auto at = parts.find(name);
  if (at == parts.end())
    return {status_code::corrupt, text("state: ", name, " of this model is missing")};
  if (at->second.size() != to.size_bytes())
    return {status_code::corrupt, text("state: ", name, " has ", at->second.size(),
                                       " bytes, this model needs ", to.size_bytes())};
  std::memcpy(to.data(), at->second.data(), to.size_bytes());
  return {};
}

} // namespace

status export_state(const description& model, std::span<const state_part> state,
                    compute::dtype type, const byte_sink& to) {
  parts_by_name parts;
  for (const auto& part : state) parts.emplace(part.name, part.bytes);
  const auto map = map_parameters(model);
  std::vector<float> values(map.scalars);
  for (const auto& p : map.list)
    TROUPE_RETURN_IF_ERROR(
        copy_part(parts, text("value/", p.name), std::span(values).subspan(p.offset, p.count())));
  std::vector<std::vector<float>> corrections(map.layers.size());
  for (size_t layer = 0; layer < corrections.size(); ++layer) {
    const std::string name = text("bias/", layer);
    if (!parts.contains(name)) continue; // of a family without them
    corrections[layer].resize(map.layers[layer].experts.size());
    TROUPE_RETURN_IF_ERROR(copy_part(parts, name, corrections[layer]));
  }
  return export_safetensors(
      {.model = model, .map = map, .values = values, .corrections = corrections, .type = type}, to);
}

} // namespace troupe::model
