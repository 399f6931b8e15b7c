// Calls to etcd over HTTP, one after another, each with a deadline.
#pragma once

#include "base/clock.hpp"
#include "storage/etcd/etcd_messages.hpp"
#include "storage/etcd/etcd_options.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace troupe::storage {

// Waits, so it belongs on a thread that may. One thread at a time.
class etcd_client {
public:
  // `options` are valid. `time` outlives this.
  etcd_client(const etcd_options& options, const clock& time);
  etcd_client(const etcd_client&) = delete;
  etcd_client& operator=(const etcd_client&) = delete;
  ~etcd_client();

  // The answer of the first endpoint that has one; the one that had it last is asked first. An
  // endpoint may have acted although no answer came, and the next is asked to do the same again:
  // only for calls of which that is harmless.
  //   unavailable       nobody answers, or etcd cannot act now
  //   invalid_argument  etcd refuses us
  //   not_found, corrupt, unsupported
  result<etcd_outcome> commit(const etcd_transaction& transaction);
  result<etcd_lease> grant(duration term);
  result<etcd_lease> keep(uint64_t lease); // seconds 0: it has ended
  status revoke(uint64_t lease);           // not_found: it had ended

private:
  struct connection; // libcurl's

  result<std::string> call(std::string_view path, const std::string& body);
  result<std::string> call_any(std::string_view path, const std::string& body, time_point until);
  status login(time_point until);

  etcd_options options_;
  const clock& time_;
  std::unique_ptr<connection> connection_;
  size_t endpoint_ = 0; // answered last
  std::string token_;   // of the login; empty: none yet
};

} // namespace troupe::storage
