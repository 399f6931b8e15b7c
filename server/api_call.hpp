// A request on its way through the routes. Internal to server/.
#pragma once

#include "server/api_handler.hpp"
#include "server/event_id.hpp"
#include "server/generation_session.hpp"
#include "storage/request_journal.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::server {

struct api_handler::call {
  http_request request;
  std::shared_ptr<http_exchange> exchange; // until answered: this is what keeps it
  class reply reply;
  time_point arrived;
  // Of an answer that is given again: the request as it was, and where the client was.
  storage::request_journal::entry_pointer entry = nullptr;
  std::optional<event_id> after = std::nullopt;
  const std::string& body() const { return entry != nullptr ? entry->body : request.body; }
  // What preparation left for the strand.
  std::optional<http_response> response = std::nullopt;
  std::optional<generation_session::args> session = std::nullopt;
};

// What follows "Bearer " in the field Authorization; empty when something else is there.
std::string_view bearer_key(std::string_view authorization);

} // namespace troupe::server
