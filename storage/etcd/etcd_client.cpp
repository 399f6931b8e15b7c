// One connection of libcurl that is kept from call to call.
#include "storage/etcd/etcd_client.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace troupe::storage {
namespace {

constexpr size_t answer_bytes_max = size_t{8} << 20;

// Codes of gRPC.
constexpr uint32_t deadline_exceeded = 4;
constexpr uint32_t not_found = 5;
constexpr uint32_t permission_denied = 7;
constexpr uint32_t unavailable = 14;
constexpr uint32_t unauthenticated = 16;

// What etcd says of a login that is over: its token has ended, or its rules have changed since.
constexpr std::string_view bad_token = "invalid auth token";
constexpr std::string_view old_token = "revision of auth store is old";

struct received {
  std::string body;
  bool too_long = false;
};

size_t take_bytes(char* bytes, size_t, size_t count, void* to) {
  auto& out = *static_cast<received*>(to);
  out.too_long = out.body.size() + count > answer_bytes_max;
  if (out.too_long) return 0; // which ends the transfer
  out.body.append(bytes, count);
  return count;
}

struct end_headers {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct end_handle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

long milliseconds(duration time) {
  return std::max(
      1L, static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()));
}

// An answer that is none: whether another endpoint may do better is told by the code.
status complaint_status(const std::string& endpoint, long http, const etcd_complaint& complaint) {
  const auto who = text("etcd at ", endpoint);
  if (complaint.message.empty())
    return {http == 404 ? status_code::unsupported : status_code::unavailable,
            text(who, " answers HTTP ", http,
                 http == 404 ? "; is it etcd, 3.4 or later, with its JSON gateway on?" : "")};
  const auto why = text(who, " says: ", complaint.message);
  switch (complaint.code) {
    case not_found:
      return {status_code::not_found, why};
    case permission_denied:
    case unauthenticated:
      return {status_code::invalid_argument, why};
    case unavailable:
    case deadline_exceeded:
      return {status_code::unavailable, why};
    default:
      // "authentication failed, invalid user ID or password" comes as an invalid argument.
      return {http < 500 ? status_code::invalid_argument : status_code::unavailable, why};
  }
}

bool login_is_over(const status& why) {
  return why.why().find(bad_token) != std::string::npos ||
         why.why().find(old_token) != std::string::npos;
}

} // namespace

struct etcd_client::connection {
  connection() {
    // Once in the life of the process, before any other use; it is never undone.
    static const CURLcode begun = curl_global_init(CURL_GLOBAL_DEFAULT);
    TROUPE_CHECK(begun == CURLE_OK);
    handle.reset(curl_easy_init());
    TROUPE_CHECK(handle != nullptr);
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    TROUPE_CHECK(curl_easy_setopt(handle.get(), option, value) == CURLE_OK);
  }

  void prepare(const etcd_options& options) {
    curl_easy_reset(handle.get()); // connections stay
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, options.tls ? "https" : "http");
    set(CURLOPT_PROXY, ""); // whatever the environment says: etcd is a neighbour
    set(CURLOPT_TCP_NODELAY, 1L);
    set(CURLOPT_WRITEFUNCTION, take_bytes);
    if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
    if (!options.certificate_file.empty()) {
      set(CURLOPT_SSLCERT, options.certificate_file.c_str());
      set(CURLOPT_SSLKEY, options.key_file.c_str());
    }
  }

  // What the endpoint answers, and the code of HTTP.
  result<std::string> post(const std::string& url, const std::string& body,
                           const std::string& token, duration timeout, long& http) {
    std::unique_ptr<curl_slist, end_headers> headers;
    const auto add = [&headers](const std::string& line) {
      auto* list = curl_slist_append(headers.get(), line.c_str());
      TROUPE_CHECK(list != nullptr);
      (void)headers.release();
      headers.reset(list);
    };
    add("Content-Type: application/json");
    add("Expect:"); // no waiting before the body
    if (!token.empty()) add("Authorization: " + token);
    received answer;
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_POSTFIELDS, body.c_str());
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    set(CURLOPT_TIMEOUT_MS, milliseconds(timeout));
    set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(timeout));
    set(CURLOPT_WRITEDATA, &answer);
    const CURLcode code = curl_easy_perform(handle.get());
    if (answer.too_long)
      return fail(status_code::corrupt, text("more than ", answer_bytes_max, " bytes"));
    if (code != CURLE_OK) return fail(status_code::unavailable, curl_easy_strerror(code));
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &http);
    return std::move(answer.body);
  }

  std::unique_ptr<CURL, end_handle> handle;
};

etcd_client::etcd_client(const etcd_options& options, const clock& time)
    : options_(options), time_(time), connection_(std::make_unique<connection>()) {
  TROUPE_CHECK(validate(options).ok());
}

etcd_client::~etcd_client() = default;

result<std::string> etcd_client::call_any(std::string_view path, const std::string& body,
                                          time_point until) {
  status why(status_code::unavailable, "etcd: no time left to ask");
  const size_t count = options_.endpoints.size();
  for (size_t tried = 0; tried < count; ++tried) {
    const duration left = until - time_.now();
    if (left <= duration(0)) break;
    const auto& endpoint = options_.endpoints[endpoint_];
    connection_->prepare(options_);
    long http = 0;
    auto answer = connection_->post(
        text(options_.tls ? "https://" : "http://", endpoint, "/v3/", path), body, token_,
        count == 1 ? left : std::min(left, options_.attempt_timeout), http);
    if (answer && http == 200) return answer;
    why = answer ? complaint_status(endpoint, http, read_complaint(*answer))
                 : answer.error().within(text("etcd at ", endpoint));
    if (why.code() != status_code::unavailable && why.code() != status_code::unsupported) break;
    endpoint_ = (endpoint_ + 1) % count;
  }
  return fail(std::move(why));
}

status etcd_client::login(time_point until) {
  token_.clear();
  const auto answer =
      call_any("auth/authenticate", write_login(options_.user, options_.password), until);
  if (!answer) return answer.error().within("login");
  auto token = read_token(*answer);
  if (!token) return token.error();
  token_ = std::move(*token);
  return {};
}

result<std::string> etcd_client::call(std::string_view path, const std::string& body) {
  const auto until = time_.now() + options_.call_timeout;
  const bool has_user = !options_.user.empty();
  if (has_user && token_.empty())
    if (auto s = login(until); !s.ok()) return fail(std::move(s));
  auto answer = call_any(path, body, until);
  // Tokens end, and do not outlive a restart of etcd.
  if (answer || !has_user || !login_is_over(answer.error())) return answer;
  if (auto s = login(until); !s.ok()) return fail(std::move(s));
  return call_any(path, body, until);
}

result<etcd_outcome> etcd_client::commit(const etcd_transaction& transaction) {
  const auto answer = call("kv/txn", write_transaction(transaction));
  if (!answer) return fail(answer.error());
  return read_outcome(*answer);
}

result<etcd_lease> etcd_client::grant(duration term) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(term).count();
  const auto answer = call("lease/grant", write_lease_grant(static_cast<uint64_t>(seconds)));
  if (!answer) return fail(answer.error());
  return read_lease(*answer);
}

result<etcd_lease> etcd_client::keep(uint64_t lease) {
  const auto answer = call("lease/keepalive", write_lease(lease));
  if (!answer) return fail(answer.error());
  // A stream that complains does so with HTTP 200.
  if (const auto complaint = read_complaint(*answer); !complaint.message.empty())
    return fail(status_code::unavailable, text("etcd says: ", complaint.message));
  auto kept = read_kept_lease(*answer);
  if (kept && kept->id != lease) return fail(status_code::corrupt, "etcd: another lease was kept");
  return kept;
}

status etcd_client::revoke(uint64_t lease) {
  const auto answer = call("lease/revoke", write_lease(lease));
  return answer ? status() : answer.error();
}

} // namespace troupe::storage
