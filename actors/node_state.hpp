// Everything the actors of a node point to, sized and made before them and gone after them.
#pragma once

#include "actors/kv_archive.hpp"
#include "actors/kv_persistence.hpp"
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
  struct seams {
    compute::executor* executor = nullptr;
    const clock* time = nullptr;
    troupe::trace* trace = nullptr;
  };
  // Once. Fails when an option is out of range (the message names it) or memory cannot be had. In a
  // cluster the memory of a stage is made when the node first plays it.
  status prepare(std::shared_ptr<const model_bundle> bundle, const seams& seams,
                 const node_options& options, const dataflow::cluster_layout* cluster = nullptr);

  // After prepare(), where every stage is this process's. The disk and the worker stay until no
  // actor is left.
  status open_archive(const kv_persistence& persistence);

  node_resources resources;
  std::unique_ptr<metrics_board> board;
  std::unique_ptr<step_pool> steps;
  std::vector<std::unique_ptr<stage_memory>> memories; // per stage; null: not yet
  std::unique_ptr<kv_archive> archive;                 // null: pages are not kept

private:
  status check(const node_options& options) const;
  status plan_graph(const node_options& options, const dataflow::cluster_layout* cluster);
  status size_pages(const node_options& options);
  status make_steps(bool clustered);
  result<stage_memory*> memory_of(uint32_t stage);
};

} // namespace troupe::actors
