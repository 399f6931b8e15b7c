// The kernels of one instruction set, split over a team of threads.
#pragma once

#include "compute/cpu/kernel_table.hpp"
#include "compute/kernels.hpp"
#include "compute/part_meter.hpp"
#include "compute/route_choice.hpp"
#include "compute/thread_team.hpp"

#include <vector>

namespace troupe::compute {

// Checks the arguments, cuts the work by rows, columns or heads (never along a sum) and gives each
// thread its share. What is too small to be worth a hand-over runs on the caller alone; the bits
// are the same. One job at a time (the executor sees to that), so scratch is kept between calls.
class team_kernels final : public kernels {
public:
  // All must outlive the kernels; no meter: nobody measures.
  team_kernels(const kernel_table& table, thread_team& team, part_meter* meter);

  void enter(part next) override;

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
  // Work is counted in vector steps of sixteen numbers, about a nanosecond each.
  static constexpr uint64_t alone_max = 1000;

  // Quantised rows of an input, shared by the products that read it.
  struct quantised_input {
    const_matrix_view x;
    size_t row_begin = 0;   // among all rows of the call
    size_t block_begin = 0; // of its first block
  };
  // One product of a call, cut into units: (group of panels, chunk of rows).
  struct product {
    const matmul_args* args = nullptr;
    uint32_t input = 0; // index of its quantised input, for the block formats
    uint32_t chunk_rows = 0;
    uint32_t chunks = 0;
    uint64_t units = 0;
    uint64_t unit_cost = 0;
    uint64_t cost_begin = 0; // of all units before
  };
  struct attention_plan; // team_attention.cpp
  // What one share needs besides its input and output.
  struct share_scratch {
    buffer floats;
    std::vector<const float*> rows;
    std::vector<float> scores;
    std::vector<float> choice;
    expert_chooser chooser;
  };

  // body(begin, end, share) over parts of [0, units), which together take `work` vector steps.
  template <class Body>
  void split(uint64_t units, uint64_t work, Body body) {
    const uint32_t shares = team_.size();
    if (shares == 1 || units <= 1 || work <= alone_max) {
      if (units > 0) body(uint64_t{0}, units, uint32_t{0});
      return;
    }
    team_.run([&body, units, shares](uint32_t share) {
      const uint64_t begin = units * share / shares;
      const uint64_t end = units * (share + 1) / shares;
      if (begin < end) body(begin, end, share);
    });
  }
  // body(row, first column, columns): rows cut further where there are fewer than threads.
  template <class Body>
  void split_elements(const matrix_view& y, uint64_t steps_each, Body body);

  void multiply(std::span<const matmul_args> parts);
  void collect_inputs(std::span<const matmul_args> parts);
  void quantise_inputs();
  void multiply_between(uint64_t begin, uint64_t end);
  void run_units(const product& p, uint64_t begin, uint64_t end, const std::byte* after);
  float* scratch_floats(uint32_t share, size_t count);
  void route_row(const route_args& args, uint32_t row, share_scratch& scratch);

  const kernel_table& table_;
  thread_team& team_;
  part_meter* const meter_;
  std::vector<share_scratch> scratch_; // by share
  std::vector<product> products_;
  std::vector<quantised_input> inputs_;
  std::vector<matmul_args> head_products_;
  buffer quantised_;
  buffer quantised_scales_;
  buffer quantised_sums_;
};

} // namespace troupe::compute
