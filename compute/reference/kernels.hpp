// The plain kernels: one number after the other, on the calling thread. They are the specification
// (docs/numerics.md in code) and what runs on a processor without vector units that we know.
#pragma once

#include "compute/kernels.hpp"

namespace troupe::compute {

class reference_kernels final : public kernels {
public:
  void embed(const embed_args& args) override;
  void rms_norm(const rms_norm_args& args) override;
  void matmul(const matmul_args& args) override;
  void grouped_matmul(const grouped_matmul_args& args) override;
  void per_head_matmul(const per_head_matmul_args& args) override;
  void gated_activation(const gated_activation_args& args) override;
  void rope(const rope_args& args) override;
  void kv_store(const kv_store_args& args) override;
  void attention(const attention_args& args) override;
  void route(const route_args& args) override;
  void gather(const gather_args& args) override;
  void combine(const combine_args& args) override;
  void clamp(const clamp_args& args) override;
  void scale(const scale_args& args) override;
  void sigmoid_gate(const sigmoid_gate_args& args) override;
  void for_each(uint32_t count, const std::function<void(uint32_t)>& body) override;
};

} // namespace troupe::compute
