// What every answer to one HTTP request carries besides its body, and the counting of it.
#pragma once

#include "server/api_error.hpp"
#include "server/http_message.hpp"
#include "server/http_metrics.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::server {

inline constexpr int status_client_gone = 499; // only ever counted, never sent

// Makes the response of a request; made once it is known which request it is.
class reply {
public:
  reply(http_metrics& metrics, std::string route, std::string request_id, std::string cors_origin)
      : metrics_(&metrics),
        route_(std::move(route)),
        request_id_(std::move(request_id)),
        cors_origin_(std::move(cors_origin)) {}

  const std::string& request_id() const { return request_id_; }

  // Each of these counts one answer.
  http_response json(std::string body, int status = 200) const;
  http_response content(std::string body, std::string_view content_type) const;
  http_response error(const api_error& error) const;
  // `resumable` says from what the answer can be resumed by its id.
  http_response stream_head(std::string_view resumable) const;
  void client_gone() const { metrics_->count(route_, status_client_gone); }

private:
  http_response with_fields(http_response response) const;

  http_metrics* metrics_; // outlives every request
  std::string route_;
  std::string request_id_;
  std::string cors_origin_; // empty: no word about origins
};

} // namespace troupe::server
