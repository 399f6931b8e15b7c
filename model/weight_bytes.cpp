// Adds up matrices and vectors.
#include "model/weight_bytes.hpp"

namespace troupe::model {
namespace {

uint64_t bytes(const weight_matrix& matrix) {
  return matrix.bytes();
}
uint64_t bytes(const std::vector<float>& values) {
  return values.size() * sizeof(float);
}
uint64_t bytes(const std::vector<weight_matrix>& matrices) {
  uint64_t sum = 0;
  for (const auto& each : matrices) sum += each.bytes();
  return sum;
}

template <class... Parts>
uint64_t sum_of(const Parts&... parts) {
  return (bytes(parts) + ...);
}

} // namespace

uint64_t bytes_of(const attention_weights& w) {
  return sum_of(w.input_norm, w.post_norm, w.q, w.k, w.v, w.q_bias, w.k_bias, w.v_bias, w.q_norm,
                w.k_norm, w.q_down, w.kv_down, w.q_down_bias, w.kv_down_bias, w.q_rank_norm,
                w.kv_rank_norm, w.absorb, w.expand, w.output, w.output_bias);
}

uint64_t bytes_of(const dense_mlp_weights& w) {
  return sum_of(w.gate, w.up, w.down, w.gate_bias, w.up_bias, w.down_bias);
}

uint64_t bytes_of(const router_weights& w) {
  return sum_of(w.gate, w.correction, w.shared_gate) + bytes_of(w.shared);
}

uint64_t bytes_of(const expert_weights& w) {
  return sum_of(w.gate, w.up, w.down);
}

uint64_t bytes_of(const head_weights& w) {
  return sum_of(w.norm, w.matrix);
}

} // namespace troupe::model
