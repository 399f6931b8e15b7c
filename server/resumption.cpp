// Checks of what comes back; each refusal names the field and says what would help.
#include "server/resumption.hpp"

#include "base/text.hpp"
#include "schemas/checksum.hpp"
#include "server/json_text.hpp"

#include <span>
#include <string>

namespace troupe::server {
namespace {

constexpr const char* header_name = "Last-Event-ID";
constexpr const char* query_name = "after";

api_error conflict(const char* code, std::string message) {
  api_error error = invalid_field(header_name, std::move(message));
  error.http_status = 409;
  error.code = code;
  error.retry_useless = true; // clients repeat a 409 by themselves otherwise
  return error;
}

std::string_view after_of(std::string_view query) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view part = query.substr(0, end);
    if (part.starts_with("after=")) return part.substr(std::string_view("after=").size());
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
  }
  return {};
}

uint64_t checksum_of(std::string_view content) {
  return schemas::checksum_of(std::as_bytes(std::span(content)));
}

} // namespace

api_result<std::optional<event_id>> event_id_of(const http_request& request) {
  const std::string_view field = request.field("last-event-id");
  const std::string_view query = after_of(request.query);
  if (field.empty() && query.empty()) return std::nullopt;
  auto id = parse_event_id(field.empty() ? query : field);
  if (id) return std::optional(std::move(*id));
  const char* name = field.empty() ? query_name : header_name;
  return refuse(invalid_field(
      name, text(name, ' ', in_quotes(field.empty() ? query : field), ' ', id.error().why(),
                 "; send the id of the last event that arrived, unchanged")));
}

uint64_t hash_of_request(std::string_view path, std::string_view body) {
  // Sorted members, unlike elsewhere.
  const auto value = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  return checksum_of(
      text(path, ' ', value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
}

uint64_t owner_of(uint64_t nonce, std::string_view key) {
  if (key.empty()) return 0;
  const uint64_t owner = checksum_of(text(nonce, ' ', key));
  return owner == 0 ? 1 : owner;
}

std::optional<api_error> mismatch_of(const event_id& given, const answer_identity& asked,
                                     const std::vector<dataflow::generation_request>& generations) {
  if (given.of.chat != asked.chat || given.of.request_hash != asked.request_hash)
    return conflict("request_mismatch",
                    "Last-Event-ID belongs to the answer to another request: to go on with that "
                    "answer, send the same body to the same path; for a new answer leave the "
                    "field out");
  if (given.of.model_hash != asked.model_hash)
    return conflict("model_changed",
                    "the model has changed since the event of Last-Event-ID was sent, so the rest "
                    "would not fit what came before; leave the field out for a new answer");
  const auto& had = given.after.choices;
  const uint32_t choices = generations.front().choices; // the same for all
  bool possible = had.size() == generations.size() * choices && given.of.offsets == asked.offsets;
  for (size_t i = 0; possible && i < had.size(); ++i)
    possible = had[i].tokens <= generations[i / choices].tokens_max;
  if (possible) return std::nullopt;
  return invalid_field(header_name,
                       "Last-Event-ID is of no event that the answer to this request can have");
}

api_error not_a_stream() {
  return invalid_field(header_name,
                       "Last-Event-ID is only allowed when stream is true: an answer that comes as "
                       "a whole has no events");
}

api_error foreign_event(std::string_view response_id, std::string_view of_the_event) {
  return conflict("response_mismatch",
                  text("Last-Event-ID belongs to the response ", in_quotes(of_the_event),
                       ", not to ", in_quotes(response_id)));
}

api_error response_not_found(std::string_view response_id) {
  api_error error = invalid_field(
      "id", text("this server knows no response ", in_quotes(response_id),
                 "; only streams are kept, for a while. A stream can go on at any server: POST the "
                 "same body again with the field Last-Event-ID"));
  error.http_status = 404;
  error.type = "not_found_error";
  error.code = "response_not_found";
  return error;
}

api_error response_gone(std::string_view response_id) {
  api_error error = invalid_field(
      "id", text("the response ", in_quotes(response_id),
                 " was here and is not kept any more. Its stream can still go on: POST the same "
                 "body again with the field Last-Event-ID"));
  error.http_status = 410;
  error.code = "response_gone";
  return error;
}

actors::engine::received_so_far received_of(const stream_position& from, size_t prompt,
                                            uint32_t choices) {
  actors::engine::received_so_far out;
  for (uint32_t i = 0; i < choices; ++i) {
    const auto& had = from.choices[prompt * choices + i];
    out.push_back({.tokens = had.tokens,
                   .text_bytes = had.text_bytes,
                   .finished = had.finished,
                   .prompt_scored = had.opened});
  }
  return out;
}

} // namespace troupe::server
