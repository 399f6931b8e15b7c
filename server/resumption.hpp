// What a client says that comes back for the rest of an answer, and whether it fits. Pure.
#pragma once

#include "actors/engine.hpp"
#include "server/api_error.hpp"
#include "server/event_id.hpp"
#include "server/http_message.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace troupe::server {

// Where the client says it was: the field Last-Event-ID, or `after` in the query, which is for the
// first request of a browser's EventSource. The field is the stronger: it is the newer one when an
// EventSource comes back. Absent: at the beginning.
api_result<std::optional<event_id>> event_id_of(const http_request& request);

// The same for the same route and the same JSON, however its members are ordered and spaced. `body`
// is known to be JSON.
uint64_t hash_of_request(std::string_view path, std::string_view body);

// Who may ask for an answer by its id: whoever has the key it was asked for with. 0: there is none.
uint64_t owner_of(uint64_t nonce, std::string_view key);

// Whether the client's position is one of this answer. 409: of another request or another model.
std::optional<api_error> mismatch_of(const event_id& given, const answer_identity& asked,
                                     const std::vector<dataflow::generation_request>& generations);

api_error not_a_stream();
api_error foreign_event(std::string_view response_id, std::string_view of_the_event);
api_error response_not_found(std::string_view response_id);
api_error response_gone(std::string_view response_id);

// What the engine need not tell again of one prompt's choices.
actors::engine::received_so_far received_of(const stream_position& from, size_t prompt,
                                            uint32_t choices);

} // namespace troupe::server
