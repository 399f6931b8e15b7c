// POST /v1/data: documents to learn from, answered when they are on the disk.
#include "base/text.hpp"
#include "server/api_call.hpp"
#include "server/ingest_body.hpp"
#include "server/json_text.hpp"

#include <charconv>

namespace troupe::server {
namespace {

constexpr size_t client_bytes_max = 256;

// Who sends, and the number of the batch among those it sends; both or neither.
api_result<void> read_sender(const http_request& request, schemas::ingest_batch& out) {
  const auto client = request.field("x-client-id");
  const auto sequence = request.field("x-sequence");
  if (client.empty() != sequence.empty())
    return refuse(invalid_field(client.empty() ? "X-Client-Id" : "X-Sequence",
                                "X-Client-Id and X-Sequence go together: with both, a request that "
                                "is repeated is kept once"));
  if (client.empty()) return {};
  if (client.size() > client_bytes_max)
    return refuse(invalid_field(
        "X-Client-Id",
        text("X-Client-Id must have at most ", client_bytes_max, " bytes, got ", client.size())));
  const auto [end, error] =
      std::from_chars(sequence.data(), sequence.data() + sequence.size(), out.sequence);
  if (error != std::errc{} || end != sequence.data() + sequence.size() || out.sequence == 0)
    return refuse(invalid_field(
        "X-Sequence", text("X-Sequence must be an integer above 0, got ", in_quotes(sequence))));
  out.client = text("http ", client);
  return {};
}

http_response receipt_of(const reply& reply, const result<storage::ingest_receipt>& outcome) {
  if (!outcome) return reply.error(error_of(outcome.error()));
  return reply.json(dump(json_value{{"object", "data.receipt"},
                                    {"first", outcome->first},
                                    {"count", outcome->count},
                                    {"repeated", outcome->repeated}}));
}

} // namespace

void api_handler::post_data(const call_pointer& call) {
  // Aside even when it is small: it may be thousands of lines.
  const auto batch = std::make_shared<schemas::ingest_batch>(); // shared by both steps
  call->exchange->run_aside(
      [call, batch] {
        const auto sender = read_sender(call->request, *batch);
        auto documents = parse_ingest_body(call->request.body, call->request.field("content-type"));
        if (!sender)
          call->response = call->reply.error(sender.error());
        else if (!documents)
          call->response = call->reply.error(documents.error());
        else
          batch->documents = std::move(*documents);
      },
      [this, keep = shared_from_this(), call, batch] {
        if (call->response) return call->exchange->respond(std::move(*call->response));
        parts_.ingest->put(std::move(*batch), [call](const auto& outcome) {
          call->exchange->post([call, response = receipt_of(call->reply, outcome)] {
            call->exchange->respond(response);
          });
        });
      });
}

} // namespace troupe::server
