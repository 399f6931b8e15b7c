// What an engine tells of its node and its model without disturbing either; the same for a node of
// its own and one of a cluster.
#pragma once

#include "actors/engine.hpp"

namespace troupe::actors {

struct node_resources;

class engine_readings : public engine {
public:
  engine_metrics metrics() override;
  // False when a part has failed for good, or a step takes far longer than any may.
  bool healthy() override;
  uint64_t streams_open() override;

  const model::tokenizer& tokenizer() const override;
  const model::chat_template* chat_template() const override;
  const model::description& description() const override;
  const model::generation_defaults& generation_defaults() const override;
  uint32_t positions_max() const override;
  std::string fingerprint() const override;

protected:
  // Of the node; as long as the engine lives.
  virtual const node_resources& resources() const = 0;
};

} // namespace troupe::actors
