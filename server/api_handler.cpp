// The routes of the server.
#include "server/api_handler.hpp"

#include "base/text.hpp"
#include "server/admin.hpp"
#include "server/api_call.hpp"
#include "server/json_text.hpp"
#include "server/openai_logprobs.hpp"
#include "server/request_preparation.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace troupe::server {
namespace {

constexpr size_t request_id_bytes_max = 128;
constexpr duration progress_patience = std::chrono::seconds(10);

bool printable(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

// Takes the same time wherever the first difference is.
bool equal_in_constant_time(std::string_view given, std::string_view wanted) {
  size_t difference = given.size() ^ wanted.size();
  for (size_t i = 0; i < given.size(); ++i) {
    const char other = wanted.empty() ? '\0' : wanted[i % wanted.size()];
    difference |= static_cast<unsigned char>(given[i] ^ other);
  }
  return difference == 0;
}

bool needs_admin_key(std::string_view path) {
  return path == "/admin" || path.starts_with("/admin/");
}

constexpr std::string_view path_of_data = "/v1/data";

// Why nobody may use a route that always needs a key.
api_error nobody_may(std::string_view routes, std::string_view code, std::string_view without) {
  api_error error;
  error.http_status = 403;
  error.type = "permission_error";
  error.code = code;
  error.message = text(routes, " off: this server was started without ", without);
  return error;
}

bool needs_key(std::string_view path, const api_options& options) {
  if (options.api_keys.empty()) return false;
  if (path == "/metrics") return options.metrics_need_key;
  return path == "/v1" || path.starts_with("/v1/") || path == "/tokenize" || path == "/detokenize";
}

bool is_among(std::string_view given, const std::vector<std::string>& keys) {
  bool matches = false;
  for (const std::string& key : keys) { // all of them, whichever it is
    matches |= !key.empty() && equal_in_constant_time(given, key);
  }
  return matches;
}

} // namespace

std::string_view bearer_key(std::string_view authorization) {
  static constexpr std::string_view scheme = "bearer ";
  if (authorization.size() < scheme.size()) return {};
  for (size_t i = 0; i < scheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != scheme[i]) return {};
  }
  authorization.remove_prefix(scheme.size());
  while (authorization.starts_with(' ')) authorization.remove_prefix(1);
  return authorization;
}

struct api_handler::route {
  std::string_view method;
  std::string_view path; // with a slash at the end: everything below
  void (api_handler::*handler)(const call_pointer&);
};

const std::vector<api_handler::route>& api_handler::routes() {
  static const std::vector<route> table = {
      {"POST", "/v1/completions", &api_handler::post_completions},
      {"POST", "/v1/chat/completions", &api_handler::post_chat},
      {"GET", "/v1/completions/", &api_handler::get_completion},
      {"GET", "/v1/chat/completions/", &api_handler::get_chat},
      {"GET", "/v1/models", &api_handler::get_models},
      {"GET", "/v1/models/", &api_handler::get_model},
      {"GET", "/health", &api_handler::get_ready},
      {"GET", "/health/live", &api_handler::get_live},
      {"GET", "/health/ready", &api_handler::get_ready},
      {"GET", "/health/progress", &api_handler::get_progress},
      {"GET", "/admin/cluster", &api_handler::get_cluster},
      {"GET", "/version", &api_handler::get_version},
      {"GET", "/metrics", &api_handler::get_metrics},
      {"POST", "/tokenize", &api_handler::post_tokenize},
      {"POST", "/detokenize", &api_handler::post_detokenize},
      {"POST", path_of_data, &api_handler::post_data},
  };
  return table;
}

api_handler::api_handler(api_parts parts, api_options options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      started_seconds_(parts_.clock.wall_seconds()),
      progress_(progress_patience) {}

const api_handler::route* api_handler::find_route(const http_request& request,
                                                  bool& path_known) const {
  path_known = false;
  for (const route& entry : routes()) {
    const bool prefix = entry.path.ends_with('/');
    const bool matches =
        prefix ? request.path.starts_with(entry.path) && request.path.size() > entry.path.size()
               : request.path == entry.path;
    if (!matches) continue;
    path_known = true;
    const bool same_method = request.method == entry.method ||
                             (request.method == "HEAD" && entry.method == "GET") ||
                             request.method == "OPTIONS";
    if (same_method) return &entry;
  }
  return nullptr;
}

// Browsers ask OPTIONS without credentials; the answer gives nothing away.
std::optional<api_error> api_handler::key_refusal_of(const http_request& request) const {
  const bool admin = needs_admin_key(request.path);
  const bool data = request.path == path_of_data; // who may ask may not therefore teach
  if (request.method == "OPTIONS" || (!admin && !data && !needs_key(request.path, options_)))
    return std::nullopt;
  const auto& keys = admin ? options_.admin_keys : data ? options_.ingest_keys : options_.api_keys;
  const std::string_view authorization = request.field("authorization");
  if (is_among(bearer_key(authorization), keys)) return std::nullopt;
  if (keys.empty() && data) return nobody_may("ingest is", "ingest_disabled", "--ingest");
  if (keys.empty()) return nobody_may("admin routes are", "admin_disabled", "an admin key");
  api_error error;
  const std::string_view what = admin ? "admin key" : data ? "ingest key" : "API key";
  error.http_status = 401;
  error.type = "authentication_error";
  error.code = "invalid_api_key";
  error.message = authorization.empty()
                      ? text("an ", what, " is needed: send it as 'Authorization: Bearer KEY'")
                      : text("the ", what, " is not one of this server's");
  return error;
}

std::optional<api_error> api_handler::refusal_of(const http_request& request) const {
  if (auto error = key_refusal_of(request)) return error;
  api_error error;
  if (request.method == "OPTIONS" && request.path == "*") return std::nullopt;
  bool path_known = false;
  if (find_route(request, path_known) != nullptr) return std::nullopt;
  error.http_status = path_known ? 405 : 404;
  error.type = path_known ? "invalid_request_error" : "not_found_error";
  error.code = path_known ? "method_not_allowed" : "not_found";
  error.message = path_known ? text("the method ", in_quotes(request.method),
                                    " is not allowed for ", in_quotes(request.path))
                             : text("there is nothing at ", in_quotes(request.path));
  return error;
}

reply api_handler::reply_for(const http_request& request) const {
  bool path_known = false;
  const route* found = find_route(request, path_known);
  std::string id(request.field("x-request-id"));
  if (id.empty() || id.size() > request_id_bytes_max || !printable(id)) {
    const uint64_t high = parts_.seeds();
    id = own_name(high, parts_.seeds());
  }
  return {metrics_, found == nullptr ? "other" : std::string(found->path), std::move(id),
          options_.cors_origin};
}

std::optional<http_response> api_handler::refuse_early(const http_request& head) {
  const auto error = refusal_of(head);
  if (!error) return std::nullopt;
  http_response response = reply_for(head).error(*error);
  if (error->http_status != 405) return response;
  std::string allowed;
  for (const route& entry : routes()) {
    http_request other;
    other.method = entry.method;
    other.path = head.path;
    bool unused = false;
    if (find_route(other, unused) != &entry) continue;
    allowed +=
        text(allowed.empty() ? "" : ", ", entry.method, entry.method == "GET" ? ", HEAD" : "");
  }
  response.fields.emplace_back("Allow", allowed + ", OPTIONS");
  return response;
}

http_response api_handler::connection_error(const api_error& error) {
  return reply_for({}).error(error);
}

void api_handler::handle(http_request request, const std::shared_ptr<http_exchange>& exchange) {
  class reply reply = reply_for(request);
  bool path_known = false;
  const route* found = find_route(request, path_known);
  auto made = std::make_shared<call>(call{.request = std::move(request),
                                          .exchange = exchange,
                                          .reply = std::move(reply),
                                          .arrived = parts_.clock.now()});
  if (made->request.method == "OPTIONS") return options(made);
  (this->*found->handler)(made); // refuse_early() let only known routes pass
}

void api_handler::options(const call_pointer& call) {
  http_response response = call->reply.json("", 204);
  response.content_type.clear();
  response.fields.emplace_back("Allow", "GET, HEAD, POST, OPTIONS");
  if (!options_.cors_origin.empty()) {
    response.fields.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS");
    response.fields.emplace_back(
        "Access-Control-Allow-Headers",
        "Authorization, Content-Type, Last-Event-ID, X-Request-Id, X-Request-Deadline-Ms");
    response.fields.emplace_back("Access-Control-Max-Age", "600");
  }
  call->exchange->respond(std::move(response));
}

void api_handler::respond_with(const call_pointer& call, bool always_aside,
                               std::function<http_response(const call_pointer&)> work) {
  if (!always_aside && call->request.body.size() < options_.aside_bytes_min) {
    return call->exchange->respond(work(call));
  }
  call->exchange->run_aside([call, work = std::move(work)] { call->response = work(call); },
                            [call] { call->exchange->respond(std::move(*call->response)); });
}

std::string api_handler::model_card() const {
  return dump(json_value{{"id", options_.rules.model_name},
                         {"object", "model"},
                         {"created", started_seconds_},
                         {"owned_by", "troupe"},
                         {"root", options_.rules.model_name},
                         {"parent", nullptr},
                         {"max_model_len", options_.rules.positions_max}});
}

void api_handler::get_models(const call_pointer& call) {
  call->exchange->respond(
      call->reply.json(text(R"({"object":"list","data":[)", model_card(), "]}")));
}

void api_handler::get_model(const call_pointer& call) {
  const std::string name = call->request.path.substr(std::string_view("/v1/models/").size());
  if (name == options_.rules.model_name) {
    return call->exchange->respond(call->reply.json(model_card()));
  }
  call->exchange->respond(call->reply.error(unknown_model(name, options_.rules)));
}

void api_handler::get_live(const call_pointer& call) {
  respond_with(call, true, [this, keep = shared_from_this()](const call_pointer& of) {
    const bool healthy = parts_.engine.healthy();
    return of->reply.json(healthy ? R"({"status":"ok"})" : R"({"status":"unhealthy"})",
                          healthy ? 200 : 503);
  });
}

void api_handler::get_ready(const call_pointer& call) {
  respond_with(call, true, [this, keep = shared_from_this()](const call_pointer& of) {
    if (!parts_.engine.healthy()) return of->reply.json(R"({"status":"unhealthy"})", 503);
    if (parts_.engine.draining()) return of->reply.json(R"({"status":"draining"})", 503);
    if (!parts_.engine.serving()) return of->reply.json(R"({"status":"no epoch serves"})", 503);
    return of->reply.json(R"({"status":"ok"})");
  });
}

// Live and ready say what the server could do; this says whether it does.
void api_handler::get_progress(const call_pointer& call) {
  using verdict = progress_watch::verdict;
  static constexpr std::array<const char*, 4> names = {"idle", "moving", "waiting", "stalled"};
  respond_with(call, true, [this, keep = shared_from_this()](const call_pointer& of) {
    const auto now = parts_.engine.metrics();
    const uint64_t open = parts_.engine.streams_open();
    uint64_t moved = now.steps + now.generated_tokens + now.time_to_first_token_s.count +
                     now.inter_token_latency_s.count;
    for (const uint64_t finished : now.requests_finished) moved += finished;
    const auto seen = progress_.look(open, moved, parts_.clock.now());
    const auto still = std::chrono::duration<double>(seen.still).count();
    return of->reply.json(dump(json_value{{"status", names[static_cast<size_t>(seen.what)]},
                                          {"streams_open", open},
                                          {"still_s", still}}),
                          seen.what == verdict::stalled ? 503 : 200);
  });
}

void api_handler::get_cluster(const call_pointer& call) {
  respond_with(call, true, [this, keep = shared_from_this()](const call_pointer& of) {
    if (!parts_.cluster) {
      api_error error;
      error.http_status = 404;
      error.type = "not_found_error";
      error.code = "no_cluster";
      error.message = "this server is a node of its own and belongs to no cluster";
      return of->reply.error(error);
    }
    const auto cluster = parts_.cluster();
    const auto engine = parts_.engine.metrics();
    return of->reply.json(cluster_json({cluster, engine, parts_.engine.streams_open()}));
  });
}

void api_handler::get_version(const call_pointer& call) {
  call->exchange->respond(call->reply.json(R"({"version":")" TROUPE_VERSION R"("})"));
}

void api_handler::get_metrics(const call_pointer& call) {
  respond_with(call, true, [this, keep = shared_from_this()](const call_pointer& of) {
    const actors::engine_metrics engine = parts_.engine.metrics();
    const transport_metrics transport = parts_.transport();
    const http_metrics::counts requests = metrics_.snapshot();
    const storage::journal_counters journal = parts_.journal->counters();
    std::optional<storage::ingest_log_counters> ingest;
    if (parts_.ingest != nullptr) ingest = parts_.ingest->counters();
    return of->reply.content(
        metrics_text({engine,
                      transport,
                      requests,
                      options_.rules.model_name,
                      {journal, streams_resumed_.load()},
                      ingest,
                      parts_.weights ? parts_.weights() : std::vector<weights_in_memory>()}),
        metrics_content_type);
  });
}

void api_handler::post_tokenize(const call_pointer& call) {
  respond_with(call, false, [this, keep = shared_from_this()](const call_pointer& of) {
    const auto request = parse_tokenize(of->request.body, options_.rules);
    if (!request) return of->reply.error(request.error());
    const auto tokens = tokens_of(request->source, *parts_.codec);
    if (!tokens) return of->reply.error(tokens.error());
    json_value body{{"count", tokens->size()},
                    {"max_model_len", options_.rules.positions_max},
                    {"tokens", *tokens},
                    {"token_strs", nullptr}};
    if (request->token_texts) {
      json_value names = json_value::array();
      for (const int32_t token : *tokens)
        names.push_back(token_name(parts_.codec->token_bytes(token)));
      body["token_strs"] = std::move(names);
    }
    return of->reply.json(dump(body));
  });
}

void api_handler::post_detokenize(const call_pointer& call) {
  respond_with(call, false, [this, keep = shared_from_this()](const call_pointer& of) {
    const auto tokens = parse_detokenize(of->request.body, options_.rules);
    if (!tokens) return of->reply.error(tokens.error());
    return of->reply.json(dump(json_value{{"prompt", parts_.codec->decode(*tokens, false)}}));
  });
}

} // namespace troupe::server
