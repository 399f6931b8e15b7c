// Which of several engines, one for each version of the weights, answers a request.
#pragma once

#include "actors/engine.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace troupe::server {

struct engine_wish {
  std::string_view request_id;
  std::optional<uint32_t> model_hash; // of an answer that goes on; see model_hash_of
};

// What events of streams say of the weights they were computed with.
uint32_t model_hash_of(std::string_view fingerprint);

// The engine lives as long as an answer holds it. Any thread.
using engine_choice = std::function<std::shared_ptr<actors::engine>(const engine_wish&)>;

} // namespace troupe::server
