// The TCP connection on which two nodes shake hands and then exchange control records. It never
// blocks and holds a bounded number of bytes.
#pragma once

#include "base/status.hpp"
#include "transport/session/record_stream.hpp"
#include "transport/ucx/socket_address.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace troupe::transport {

// One thread at a time.
class connection {
public:
  // Begins to connect; on_writable() says how it went.
  static result<connection> dial(const socket_address& address);
  // One that was accepted.
  explicit connection(file_handle socket);

  int fd() const { return socket_.fd(); }
  bool connecting() const { return connecting_; }
  bool wants_to_write() const { return connecting_ || unsent() > 0; }
  size_t unsent() const { return out_.size() - out_taken_; }

  // The socket can be written: finishes connecting, sends what waits.
  status on_writable();
  // The socket can be read. unavailable: the peer has closed it; records that came before are
  // still there.
  status on_readable();

  // Records from now on are sealed.
  void secure(aead_key out, aead_key in);
  // exhausted: the peer does not read.
  status send(std::span<const std::byte> record);
  // The next whole record; corrupt when the stream is none of the peer's.
  result<std::optional<std::vector<std::byte>>> next();

private:
  status flush();

  file_handle socket_;
  bool connecting_ = false;
  record_reader in_;
  std::vector<std::byte> out_;
  size_t out_taken_ = 0;
  std::optional<record_sealer> sealer_;
  std::optional<record_opener> opener_;
};

} // namespace troupe::transport
