// Sums over a record, and names for people.
#include "simulations/workload/client_record.hpp"

namespace troupe::simulations {

std::string_view to_string(client_end end) {
  switch (end) {
    case client_end::open:
      return "open";
    case client_end::completed:
      return "completed";
    case client_end::cancelled:
      return "cancelled";
    case client_end::failed:
      return "failed";
  }
  return "unknown";
}

uint32_t client_record::tokens() const {
  size_t sum = 0;
  for (const auto& choice : choices) sum += choice.tokens.size();
  return static_cast<uint32_t>(sum);
}

} // namespace troupe::simulations
