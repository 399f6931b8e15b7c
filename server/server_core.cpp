// The list of open connections.
#include "server/server_core.hpp"

namespace troupe::server {

void server_core::add(const std::shared_ptr<http_connection>& connection) {
  const std::lock_guard lock(mutex_);
  connections_.emplace(connection.get(), connection);
}

void server_core::remove(http_connection* connection) {
  const std::lock_guard lock(mutex_);
  if (connections_.erase(connection) != 0 && connections_.empty()) none_left_.notify_all();
}

std::vector<std::shared_ptr<http_connection>> server_core::connections() {
  std::vector<std::shared_ptr<http_connection>> out;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, connection] : connections_) {
    if (auto open = connection.lock()) out.push_back(std::move(open));
  }
  return out;
}

bool server_core::wait_for_no_connections(std::chrono::nanoseconds at_most) {
  std::unique_lock lock(mutex_);
  return none_left_.wait_for(lock, at_most, [this] { return connections_.empty(); });
}

} // namespace troupe::server
