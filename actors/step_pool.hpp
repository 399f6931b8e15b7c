// The memory of steps: what a step works on lies in a slot of this pool, and messages carry the
// slot's number. Whoever holds the message about a slot owns the slot; jobs of one executor run one
// after another, so no two parts touch it at once. The sequencer has a slot, every stage has one
// for steps that come from another node, and shards share one for rows that do.
#pragma once

#include "base/status.hpp"
#include "compute/executor.hpp"
#include "dataflow/expert_groups.hpp"
#include "dataflow/ids.hpp"
#include "dataflow/pipeline.hpp"
#include "dataflow/request.hpp"
#include "model/grammar/matcher.hpp"
#include "model/sampler.hpp"
#include "model/step_buffers.hpp"
#include "schemas/pipeline_messages.hpp"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace troupe::model {
struct description;
struct model_weights;
} // namespace troupe::model

namespace troupe::actors {

// One row of logits and what it is for: drawing the next token, or scoring one that is given.
struct row_draw {
  uint32_t row = 0; // of the step
  dataflow::sequence_id sequence = 0;
  std::shared_ptr<const dataflow::generation_request> request; // shared with sequencer and ingress
  std::shared_ptr<const model::token_history> history;         // shared with the sequencer
  uint32_t choice = 0;
  uint32_t position = 0; // of the token in the sequence
  std::optional<int32_t> given;
  std::vector<int32_t> banned;
  std::shared_ptr<const model::token_mask> allowed; // shared with the matcher; null: no constraint
  std::vector<int32_t> ends;                        // beside what is allowed
  // Filled by step_pool::draw: the token, or why there is none.
  model::sampled_token drawn;
  status why;
};

// Rows of f32 on their way between nodes.
struct row_block {
  uint32_t rows = 0;
  uint32_t columns = 0;
  std::vector<float> values; // row by row

  static row_block make(uint32_t rows, uint32_t columns);
  std::span<float> row(uint32_t i) {
    return std::span(values).subspan(size_t{i} * columns, columns);
  }
  std::span<const float> row(uint32_t i) const {
    return std::span(values).subspan(size_t{i} * columns, columns);
  }
};

// One step: its rows, the buffers they pass through, and the dispatch plan of the layer under way.
struct step_frame {
  std::vector<int32_t> ids;
  std::vector<uint32_t> positions;
  std::vector<uint32_t> sequence_of;
  std::vector<uint32_t> prompt_lengths;
  std::vector<compute::kv_slot> slots;
  std::vector<std::vector<uint32_t>> tables; // page table of each sequence
  std::vector<row_draw> draws;
  std::vector<std::vector<float>> draw_scratch; // per row of a group of logits, kept between steps
  model::step_buffers buffers;
  std::optional<dataflow::expert_groups> groups; // rebuilt by the router of each layer
  bool carried = false;                          // came from another node; goes back as rows
  std::vector<uint32_t> wanted_rows; // whose hidden state the sequencer needs, ascending

  void clear();
  // Borrows from this frame until it changes.
  model::step_rows rows();
  // The step as it travels, without and with its hidden state.
  schemas::step_rows description() const;
  row_block hidden_rows() const;
  // Takes over a step from another node; hidden has as many rows as the step, or none.
  void take(const schemas::step_rows& step, const row_block& hidden);
  row_block wanted_hidden() const;
  void put_wanted(const row_block& hidden);

private:
  std::vector<std::span<const uint32_t>> table_views_;
};

class step_pool {
public:
  struct options {
    const model::description* description = nullptr; // outlive the pool
    const model::model_weights* weights = nullptr;
    const dataflow::pipeline_graph* graph = nullptr;
    bool clustered = false; // other nodes may send steps and rows
    model::step_limits limits;
  };
  static constexpr uint32_t sequencer_slot = 0;

  // `exhausted` when there is no memory.
  static result<std::unique_ptr<step_pool>> make(const options& options,
                                                 compute::executor& executor);

  step_frame& at(uint32_t slot) { return frames_[slot]; }
  // For steps that come from another node to a stage, and for rows that come to any shard.
  uint32_t stage_slot(uint32_t stage) const { return 1 + stage; }
  uint32_t shard_slot() const { return static_cast<uint32_t>(frames_.size()) - 1; }

  // Final norm, head and sampling of the slot's draws, a group of rows at a time. In an executor
  // job.
  void draw(compute::kernels& device, uint32_t slot);

private:
  options options_;
  std::vector<step_frame> frames_;
};

} // namespace troupe::actors
