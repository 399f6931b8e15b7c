// Joins the parameters of a stored tensor, writes the header, then the data in its order.
#include "model/training/checkpoint_export.hpp"

#include "base/check.hpp"
#include "model/safetensors.hpp"
#include "model/tensor_names.hpp"

#include <algorithm>
#include <map>

namespace troupe::model {
namespace {

using compute::dtype;

// One tensor of the file and where its values are, in order.
struct stored {
  std::vector<uint64_t> shape;
  dtype type = dtype::f32;
  std::vector<std::span<const float>> parts;

  uint64_t bytes() const {
    uint64_t count = 0;
    for (const auto& part : parts) count += part.size();
    return count * compute::dtype_bytes(type);
  }
};

using stored_tensors = std::map<std::string, stored>;

stored_tensors collect(const exported_parameters& what) {
  stored_tensors out;
  std::vector<const parameter*> ordered;
  for (const auto& p : what.map.list) ordered.push_back(&p);
  std::stable_sort(ordered.begin(), ordered.end(), [](const parameter* a, const parameter* b) {
    return a->stored_offset < b->stored_offset;
  });
  for (const parameter* p : ordered) {
    auto& tensor = out[p->stored_name];
    tensor.shape = p->stored_shape;
    tensor.type = what.type;
    tensor.parts.push_back(what.values.subspan(p->offset, p->count()));
  }
  for (uint32_t layer = 0; layer < what.corrections.size(); ++layer) {
    const auto& bias = what.corrections[layer];
    if (bias.empty()) continue;
    out[layer_prefix(layer) + "mlp.gate.e_score_correction_bias"] = {
        .shape = {bias.size()}, .type = dtype::f32, .parts = {bias}};
  }
  return out;
}

std::string header_of(const stored_tensors& tensors) {
  std::vector<tensor_to_store> out;
  for (const auto& [name, tensor] : tensors)
    out.push_back({name, tensor.type == dtype::f32 ? "F32" : "BF16", tensor.shape, tensor.bytes()});
  return safetensors_header(out);
}

} // namespace

status export_safetensors(const exported_parameters& what, const byte_sink& to) {
  TROUPE_CHECK(what.type != dtype::f16 && what.values.size() == what.map.scalars);
  const auto tensors = collect(what);
  const std::string header = header_of(tensors);
  TROUPE_RETURN_IF_ERROR(to(std::as_bytes(std::span(header))));
  std::vector<uint16_t> narrow;
  for (const auto& [name, tensor] : tensors) {
    for (const auto& part : tensor.parts) {
      if (tensor.type == dtype::f32) {
        TROUPE_RETURN_IF_ERROR(to(std::as_bytes(part)));
        continue;
      }
      narrow.resize(part.size());
      std::transform(part.begin(), part.end(), narrow.begin(), compute::f32_to_bf16);
      TROUPE_RETURN_IF_ERROR(to(std::as_bytes(std::span(narrow))));
    }
  }
  return {};
}

} // namespace troupe::model
