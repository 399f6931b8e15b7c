// The seam between data and training: what each step learns from.
#pragma once

#include "base/status.hpp"
#include "model/training/training_pass.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace troupe::model {

struct step_batch {
  std::vector<training_document> documents; // valid until the next call
  uint64_t bytes = 0;                       // of text, for bits per byte
};

// Deterministic: the n-th batch depends on the log of the data, the settings and the seed alone.
// One thread at a time.
class step_source {
public:
  virtual ~step_source() = default;

  // Nothing: there is nothing (more) to learn from now.
  virtual result<std::optional<step_batch>> next() = 0;

  // Where it stands: after restore() the batches go on as they did after state(). Opaque, with a
  // version of its own. restore() refuses what another log or other settings have left, and then
  // changes nothing.
  virtual std::vector<std::byte> state() const = 0;
  virtual status restore(std::span<const std::byte> state) = 0;
};

} // namespace troupe::model
