// Fields that all answers have in common.
#include "server/reply.hpp"

#include "server/sse.hpp"

namespace troupe::server {

http_response reply::with_fields(http_response response) const {
  metrics_->count(route_, response.status);
  response.fields.emplace_back("X-Request-Id", request_id_);
  if (!cors_origin_.empty()) {
    response.fields.emplace_back("Access-Control-Allow-Origin", cors_origin_);
    response.fields.emplace_back("Access-Control-Expose-Headers",
                                 "X-Request-Id, X-Stream-Resume, Retry-After");
  }
  return response;
}

http_response reply::json(std::string body, int status) const {
  http_response response;
  response.status = status;
  response.body = std::move(body);
  return with_fields(std::move(response));
}

http_response reply::content(std::string body, std::string_view content_type) const {
  http_response response;
  response.content_type = content_type;
  response.body = std::move(body);
  return with_fields(std::move(response));
}

http_response reply::error(const api_error& error) const {
  http_response response;
  response.status = error.http_status;
  response.body = error_body(error);
  if (error.retry_after_s > 0) {
    response.fields.emplace_back("Retry-After", std::to_string(error.retry_after_s));
  }
  if (error.retry_useless) response.fields.emplace_back("x-should-retry", "false");
  if (error.http_status == 401) response.fields.emplace_back("WWW-Authenticate", "Bearer");
  return with_fields(std::move(response));
}

http_response reply::stream_head(std::string_view resumable) const {
  http_response response;
  response.content_type = sse_content_type;
  response.fields.emplace_back("Cache-Control", "no-cache");
  response.fields.emplace_back("X-Accel-Buffering", "no"); // proxies hold streams back otherwise
  response.fields.emplace_back("X-Stream-Resume", resumable);
  return with_fields(std::move(response));
}

} // namespace troupe::server
