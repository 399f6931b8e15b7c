// The plain kernels: one number after the other, on the calling thread. They are the specification
// (docs/numerics.md in code) and what runs on a processor without vector units that we know.
#pragma once

#include "compute/kernels.hpp"
#include "compute/part_meter.hpp"

namespace troupe::compute {

class reference_kernels final : public kernels {
public:
  // The meter, where there is one, must outlive the kernels.
  explicit reference_kernels(part_meter* meter = nullptr) : meter_(meter) {}

  void enter(part next) override {
    if (meter_ != nullptr) meter_->enter(next);
  }
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

private:
  part_meter* const meter_;
};

} // namespace troupe::compute
