// Everything one step batch needs in memory, made once. The parts of a pipeline (attention stages,
// routers, expert shards) work on these buffers one after another, in jobs of one executor.
#pragma once

#include "compute/executor.hpp"
#include "model/description.hpp"

#include <span>
#include <vector>

namespace troupe::model {

using compute::matrix_view;

// The rows of one step: one per token to be computed. Spans are borrowed until the step ends.
struct step_rows {
  std::span<const int32_t> tokens;
  std::span<const uint32_t> positions;
  std::span<const compute::kv_slot> slots;
  std::span<const uint32_t> sequence_of; // index into page_tables
  std::span<const std::span<const uint32_t>> page_tables;
  std::span<const uint32_t>
      prompt_lengths; // of each row's sequence; may be empty (model/rotary.hpp)

  uint32_t count() const { return static_cast<uint32_t>(tokens.size()); }
};

struct step_limits {
  uint32_t rows_max = 0;
  uint32_t logit_rows_max = 0; // rows whose logits are wanted
};

// Views have rows_max rows unless said otherwise; a step uses the first of them. What a model has
// no use for is empty.
struct step_buffers {
  compute::buffer memory;
  step_limits limits;

  matrix_view hidden; // the residual stream
  matrix_view normed; // what projections, MLP, router and experts read

  matrix_view q_rank; // latent: compressed queries
  matrix_view q;
  matrix_view q_absorbed;    // latent: queries in the cached space, with their rotated part
  matrix_view keys;          // as cached; latent: compressed row and rotated key
  matrix_view values;        // gqa
  matrix_view attended_rank; // latent: attention output in the cached space
  matrix_view attended;      // what o_proj reads

  matrix_view mlp_gate, mlp_up; // dense MLP and shared expert
  matrix_view shared;           // output of the shared expert
  matrix_view shared_gate;      // [rows_max, 1]

  matrix_view router_logits;
  std::vector<int32_t> expert_ids; // [rows, top_k] in routing order
  std::vector<float> expert_scores;

  // Rows of tokens sorted by expert: rows_max * top_k of them.
  matrix_view expert_input, expert_gate, expert_up, expert_output;

  matrix_view head_input; // [logit_rows_max, hidden]
  matrix_view logits;     // [logit_rows_max, vocabulary]

  std::vector<compute::matmul_args> products; // scratch for grouped products
  std::vector<uint32_t> every_head;           // 0, 1, 2, … for rows_max * heads rows
};

// Fails with `exhausted` when the memory cannot be had.
result<step_buffers> make_step_buffers(const description& model, const step_limits& limits,
                                       compute::executor& executor);

} // namespace troupe::model
