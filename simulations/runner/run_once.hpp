// Runs one scenario with one seed: forms a simulated cluster, lets clients and faults loose on it,
// heals it, and checks everything that must hold.
#pragma once

#include "base/status.hpp"
#include "simulations/runner/run.hpp"

#include <memory>

namespace troupe::simulations {

// What runs share: the model, the kernels, and the right answers found so far. One thread.
class laboratory {
public:
  static result<std::unique_ptr<laboratory>> make();
  ~laboratory();

  run_result run(const run_spec& spec);

  struct parts;
  // For make() alone.
  explicit laboratory(std::unique_ptr<parts> made);

private:
  std::unique_ptr<parts> parts_;
};

} // namespace troupe::simulations
