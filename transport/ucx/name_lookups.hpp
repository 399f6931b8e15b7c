// Names of hosts looked up on threads of their own: a name server may take longer than the endpoint
// lives.
#pragma once

#include "base/status.hpp"
#include "transport/ucx/socket_address.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::transport {

// One thread's, but for what it hides.
class name_lookups {
public:
  static constexpr size_t running_max = 16;
  struct answer {
    uint64_t session;
    result<socket_address> address;
  };

  // Rings the eventfd with every answer. Once, before anything is asked.
  void ring_at(file_handle wake);
  // False: too many are under way.
  bool ask(uint64_t session, const std::string& address);
  std::vector<answer> take();

private:
  struct box; // shared with the threads
  std::shared_ptr<box> box_ = make_box();
  static std::shared_ptr<box> make_box();
};

} // namespace troupe::transport
