// Checks that the arguments of a kernel fit together; a misfit is a bug of the caller and ends the
// process. Every implementation calls these first.
#pragma once

#include "compute/kernels.hpp"

namespace troupe::compute {

void check_args(const embed_args& args);
void check_args(const rms_norm_args& args);
void check_args(const matmul_args& args);
void check_args(const per_head_matmul_args& args);
void check_args(const gated_activation_args& args);
void check_args(const rope_args& args);
void check_args(const kv_store_args& args);
void check_args(const attention_args& args);
void check_args(const route_args& args);
void check_args(const gather_args& args);
void check_args(const combine_args& args);
void check_args(const clamp_args& args);
void check_args(const scale_args& args);
void check_args(const sigmoid_gate_args& args);

// Head h of a per-head product as an ordinary product.
matmul_args head_product(const per_head_matmul_args& args, uint32_t head);

} // namespace troupe::compute
