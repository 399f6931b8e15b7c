// What parts of a node work with, kept small; the device is under the test's control.
#pragma once

#include "actors/model_bundle.hpp"
#include "actors/node_state.hpp"
#include "model/description.hpp"
#include "tests/support/built_in_model.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <utility>

namespace troupe::tests {

// Computes on the calling thread, unless it is told to hang or to be gone.
class steered_executor final : public compute::executor {
public:
  result<compute::buffer> allocate(size_t bytes) override {
    if (!gone.ok()) return fail(gone);
    return shared_executor().allocate(bytes);
  }
  result<compute::weight_matrix> load(const compute::matrix_source& source,
                                      compute::weight_format format) override {
    return shared_executor().load(source, format);
  }
  status submit(job work, completion done) override {
    if (!gone.ok()) return gone;
    ++jobs;
    if (hangs) {
      hanging.emplace_back(std::move(work), std::move(done));
      return {};
    }
    return shared_executor().submit(std::move(work), std::move(done));
  }
  std::string description() const override { return "steered"; }
  uint32_t threads() const override { return 1; }

  // What hung is done after all.
  void wake() {
    hangs = false;
    for (auto& [work, done] : std::exchange(hanging, {}))
      EXPECT_TRUE(shared_executor().submit(std::move(work), std::move(done)).ok());
  }

  bool hangs = false;
  status gone; // not ok: takes no work, and says so
  size_t jobs = 0;
  std::deque<std::pair<job, completion>> hanging;
};

inline actors::node_options small_node_options() {
  actors::node_options out;
  out.positions_max = 64;
  out.page_tokens = 8;
  out.sequences_max = 4;
  out.queue_max = 2;
  out.step_tokens_max = 16;
  return out;
}

// Fills `state` for a part of a cluster of this layout, whose layers and experts come from the
// built-in model.
inline void prepare_small_node(actors::node_state& state, compute::executor& executor,
                               const clock& time, trace& trace, dataflow::cluster_layout& layout) {
  const auto model = built_in_model();
  layout.layers = static_cast<uint32_t>(model->description->layers.size());
  layout.experts = model->description->experts_max();
  const auto s = state.prepare(model, {&executor, &time, &trace}, small_node_options(), &layout);
  EXPECT_TRUE(s.ok()) << s.why();
}

} // namespace troupe::tests
