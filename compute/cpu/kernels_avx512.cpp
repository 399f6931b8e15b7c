// The kernel templates compiled for AVX-512 with VNNI. No other file may be compiled with these
// flags, and this one includes no header that others share beyond plain structs.
#include "compute/cpu/kernel_attention.hpp"
#include "compute/cpu/kernel_limits.hpp"
#include "compute/cpu/kernel_math.hpp"
#include "compute/cpu/kernel_matmul.hpp"
#include "compute/cpu/kernel_quantise.hpp"
#include "compute/cpu/kernel_training.hpp"
#include "compute/cpu/simd_avx512.hpp"

namespace troupe::compute {

const kernel_table& avx512_kernels() {
  using simd = avx512::simd;
  using product = matmul_kernels<simd>;
  using math = math_kernels<simd>;
  static constexpr kernel_table table = {
      .matmul_f32 = product::float_product<product::f32_weights>,
      .matmul_bf16 = product::float_product<product::bf16_weights>,
      .matmul_f16 = product::float_product<product::f16_weights>,
      .matmul_int8 = product::block_product<product::int8_weights>,
      .matmul_int4 = product::block_product<product::int4_weights>,
      .quantise_row = product::quantise_row,
      .attend = attention_kernels<simd>::attend,
      .rms_norm = math::rms_norm,
      .gated_activation = math::gated_activation,
      .rope = math::rope,
      .softmax = math::softmax,
      .sigmoid = math::sigmoid_row,
      .combine = math::combine,
      .clamp = math::clamp,
      .scale = math::scale,
      .pack_int8 = quantise_kernels<simd>::int8,
      .pack_int4 = quantise_kernels<simd>::int4,
      .read_floats = limit_kernels<simd>::read_floats,
      .multiply_integers = limit_kernels<simd>::multiply_integers,
  };
  return table;
}

const training_table& avx512_training() {
  return training_functions<avx512::simd>::table;
}

} // namespace troupe::compute
