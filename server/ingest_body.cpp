// Lines and fields.
#include "server/ingest_body.hpp"

#include "base/text.hpp"
#include "server/json_fields.hpp"

namespace troupe::server {
namespace {

constexpr size_t text_bytes_max = size_t{1} << 30; // the body has a bound of its own
const schemas::ingest_limits limits;

// A string, or an integer written as one; empty when absent.
std::string id_of(json_fields& fields) {
  const json_value* value = fields.find("id");
  if (value == nullptr) return {};
  if (value->is_number_integer()) return dump(*value);
  return fields.string("id", limits.name_bytes_max).value_or("");
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// Whether each line is an object: the client says so, or the first one is one and more follow.
bool is_lines(std::string_view content_type, std::string_view body) {
  for (const auto* const name : {"ndjson", "jsonl", "json-seq"})
    if (content_type.find(name) != std::string_view::npos) return true;
  const size_t end = body.find('\n', body.find_first_not_of(" \t\r\n"));
  return end != std::string_view::npos && !is_blank(body.substr(end)) &&
         parse_object(body.substr(0, end), {}).has_value();
}

api_error within_line(api_error error, size_t number) {
  error.message = text("line ", number, ": ", error.message);
  return error;
}

} // namespace

api_result<schemas::ingest_document> parse_ingest_document(std::string_view json) {
  const auto object = parse_object(json, {});
  if (!object) return refuse(object.error());
  json_fields fields(*object);
  schemas::ingest_document out;
  out.id = id_of(fields);
  out.domain = fields.string("domain", limits.name_bytes_max).value_or("");
  out.erases = fields.boolean("delete").value_or(false);
  const auto content = fields.string("text", text_bytes_max);
  if (fields.ok() && !out.erases && !content)
    fields.fail("text", "is missing; it holds the document");
  if (fields.ok() && out.erases && out.id.empty())
    fields.fail("id", "is missing; it says what to delete");
  if (!fields.ok()) return refuse(fields.error());
  if (!out.erases) out.text = *content;
  return out;
}

api_result<std::vector<schemas::ingest_document>> parse_ingest_body(std::string_view body,
                                                                    std::string_view content_type) {
  std::vector<schemas::ingest_document> out;
  const bool lines = is_lines(content_type, body);
  for (size_t number = 1; !body.empty(); ++number) {
    const size_t end = lines ? body.find('\n') : std::string_view::npos;
    const auto line = body.substr(0, end);
    body = end == std::string_view::npos ? std::string_view() : body.substr(end + 1);
    if (is_blank(line)) continue;
    auto document = parse_ingest_document(line);
    if (!document) return refuse(lines ? within_line(document.error(), number) : document.error());
    if (out.size() == limits.documents_max) {
      api_error error;
      error.message = text("a request may hold ", limits.documents_max, " documents");
      error.code = "too_many_documents";
      return refuse(std::move(error));
    }
    document->source = "http";
    document->position = number;
    out.push_back(std::move(*document));
  }
  if (out.empty()) {
    api_error error;
    error.message =
        "there is no document: send a JSON object with a string named text, or one a line with "
        "Content-Type: application/x-ndjson";
    error.code = "no_document";
    return refuse(std::move(error));
  }
  return out;
}

} // namespace troupe::server
