// What a model knows of several domains after each stage of learning, and how much it has
// forgotten.
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace troupe::dataflow {

// losses[i][j]: bits per byte of domain j after stage i, row 0 being before the first one. Stage i
// learns domain i - 1; there may be more domains than stages. All rows have the same length.
using domain_losses = std::vector<std::vector<double>>;

// As in Lopez-Paz and Ranzato 2017 (GEM), with losses for scores: what is named a transfer is
// better when it is larger. Stages after which nothing was learnt or before which nothing had been
// have none.
struct retention_figures {
  double average = 0;                      // of the last row
  std::optional<double> backward_transfer; // of all stages but the last: right after it minus now
  std::optional<double> forward_transfer;  // of all but the first: at the beginning minus before it
  std::optional<double> forgetting; // of all but the last: now minus the least there ever was
  std::optional<double> retention;  // 2 ^ backward transfer; 1: nothing forgotten
  std::optional<double> regret;     // of all domains: now minus what learning all at once gave
};

// Requires at least one row and one domain, and no more stages than domains. `joint`: losses after
// learning from all domains together; empty where nobody did.
retention_figures measure_retention(const domain_losses& losses, std::span<const double> joint);

} // namespace troupe::dataflow
