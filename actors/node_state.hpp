// Everything the actors of a node point to, sized and made before them and gone after them.
#pragma once

#include "actors/metrics_board.hpp"
#include "actors/node.hpp"
#include "actors/node_supervisor.hpp"
#include "actors/stage_memory.hpp"
#include "actors/step_pool.hpp"

#include <memory>
#include <vector>

namespace troupe::actors {

class node_state {
public:
  // Once. Fails when an option is out of range (the message names it) or memory cannot be had.
  status prepare(std::shared_ptr<const model_bundle> bundle, compute::executor& executor,
                 const clock& time, const node_options& options);

  node_resources resources;
  std::unique_ptr<metrics_board> board;
  std::unique_ptr<step_pool> steps;
  std::vector<std::unique_ptr<stage_memory>> memories;

private:
  status check(const node_options& options) const;
  status size_pages(const node_options& options);
  status make_memories(compute::executor& executor);
};

} // namespace troupe::actors
