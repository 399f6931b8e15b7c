// Finds the place of a parameter in a recorded tensor, which may hold all experts of a layer.
#include "tests/unit/model_training/golden_tensors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace troupe::model_test {
namespace {

constexpr double relative_max = 1e-4;
constexpr double cosine_min = 0.999999;

struct stored_place {
  std::string name;
  size_t offset = 0;
};

stored_place place_of(const model::parameter& p, const model::safetensors_file& golden,
                      const std::string& kind) {
  if (golden.find(kind + p.stored_name) != nullptr) return {p.stored_name, p.stored_offset};
  // Experts of a checkpoint with fused tensors.
  const std::string prefix = p.name.substr(0, p.name.find("mlp.experts."));
  const bool down = p.name.ends_with("down_proj.weight");
  const size_t second = p.name.ends_with("up_proj.weight") ? 1 : 0;
  return {prefix + (down ? "mlp.experts.down_proj" : "mlp.experts.gate_up_proj"),
          (down ? p.expert : 2 * p.expert + second) * p.count()};
}

} // namespace

model::safetensors_file parse_golden(const std::string& bytes) {
  return model::safetensors_file::parse("golden.safetensors", std::as_bytes(std::span(bytes)))
      .value();
}

std::vector<float> golden_values(const model::safetensors_file& golden, const std::string& name) {
  const auto* tensor = golden.find(name);
  if (tensor == nullptr) {
    ADD_FAILURE() << name << " was not recorded";
    return {};
  }
  std::vector<float> out(tensor->elements());
  EXPECT_EQ(tensor->data.size(), out.size() * sizeof(float)) << name;
  std::memcpy(out.data(), tensor->data.data(), out.size() * sizeof(float));
  return out;
}

std::map<std::string, std::vector<float>> as_stored(const model::parameter_map& map,
                                                    std::span<const float> values,
                                                    const model::safetensors_file& golden,
                                                    const std::string& kind) {
  std::map<std::string, std::vector<float>> out;
  for (const auto& tensor : golden.tensors()) {
    if (tensor.name.starts_with(kind))
      out[tensor.name.substr(kind.size())].resize(tensor.elements());
  }
  for (const auto& p : map.list) {
    const auto place = place_of(p, golden, kind);
    EXPECT_EQ(out.count(place.name), 1u) << place.name;
    const auto own = values.subspan(p.offset, p.count());
    std::copy(own.begin(), own.end(), out[place.name].begin() + static_cast<long>(place.offset));
  }
  return out;
}

void read_stored(const model::parameter_map& map, const model::safetensors_file& golden,
                 const std::string& kind, std::span<float> values) {
  for (const auto& p : map.list) {
    const auto place = place_of(p, golden, kind);
    const auto stored = golden_values(golden, kind + place.name);
    const auto own = std::span(stored).subspan(place.offset, p.count());
    std::copy(own.begin(), own.end(), values.begin() + static_cast<long>(p.offset));
  }
}

void expect_close(const std::map<std::string, std::vector<float>>& ours,
                  const model::safetensors_file& golden, const std::string& kind) {
  for (const auto& [name, values] : ours) {
    const auto theirs = golden_values(golden, kind + name);
    ASSERT_EQ(theirs.size(), values.size()) << kind << name;
    double off = 0, own = 0, other = 0, both = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double a = values[i], b = theirs[i];
      off += (a - b) * (a - b);
      own += a * a;
      other += b * b;
      both += a * b;
    }
    EXPECT_LE(std::sqrt(off), relative_max * std::sqrt(other)) << kind << name;
    if (other > 0) {
      EXPECT_GE(both / std::sqrt(own * other), cosine_min) << kind << name;
    }
  }
}

} // namespace troupe::model_test
