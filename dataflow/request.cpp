// Names for people and protocols.
#include "dataflow/request.hpp"

namespace troupe::dataflow {

std::string_view to_string(finish_reason reason) {
  switch (reason) {
    case finish_reason::stop:
      return "stop";
    case finish_reason::length:
      return "length";
    case finish_reason::cancelled:
      return "cancelled";
    case finish_reason::deadline:
      return "deadline";
    case finish_reason::failed:
      return "failed";
  }
  return "unknown";
}

} // namespace troupe::dataflow
