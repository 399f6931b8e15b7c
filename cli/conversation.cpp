// A list of messages and its JSON.
#include "cli/chat.hpp"

#include <nlohmann/json.hpp>

namespace troupe::cli {

void conversation::reset() {
  messages_.clear();
  if (!system_.empty()) add("system", system_);
}

void conversation::add(std::string role, std::string content) {
  messages_.push_back({std::move(role), std::move(content)});
}

void conversation::drop_last() {
  messages_.pop_back();
}

std::string conversation::messages_json() const {
  auto out = nlohmann::ordered_json::array();
  for (const auto& each : messages_)
    out.push_back({{"role", each.role}, {"content", each.content}});
  // What people type need not be UTF-8.
  return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace troupe::cli
