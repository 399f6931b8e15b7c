// From the settings of a serving command to the options of its HTTP server.
#include "cli/http_setup.hpp"

#include "base/text.hpp"
#include "model/generation_defaults.hpp"

namespace troupe::cli {
namespace {

constexpr size_t key_file_bytes_max = 1 << 20;

} // namespace

result<std::vector<std::string>> api_keys_of(program& context, const serve_settings& settings,
                                             std::string_view flag) {
  if (!is_address(settings.host))
    return fail(status_code::invalid_argument,
                text(flag, " ", settings.host,
                     " is no IP address of this machine; 127.0.0.1 is for itself alone, "
                     "0.0.0.0 and :: for all networks"));
  std::vector<std::string> keys = settings.api_key;
  if (!settings.api_key_file.empty()) {
    const auto content = context.files.read_text(settings.api_key_file, key_file_bytes_max);
    if (!content) return fail(content.error().within("--api-key-file"));
    const auto more = keys_of_file(*content);
    if (more.empty())
      return fail(status_code::invalid_argument,
                  text("--api-key-file: ", settings.api_key_file, " holds no key"));
    keys.insert(keys.end(), more.begin(), more.end());
  }
  for (const auto& key : keys)
    if (key.empty())
      return fail(status_code::invalid_argument, "--api-key: a key must not be empty");
  if (keys.empty() && !is_loopback(settings.host) && !settings.allow_open_network)
    return fail(
        status_code::invalid_argument,
        text(
            flag, " ", settings.host,
            " is reachable from other machines and no key is set: give --api-key "
            "(or TROUPE_API_KEY, or --api-key-file), or --allow-open-network to let everybody in"));
  return keys;
}

server::sampling_defaults sampling_defaults_of(const model::generation_defaults& from) {
  server::sampling_defaults out;
  const bool greedy = from.do_sample.has_value() && !*from.do_sample;
  out.temperature = greedy ? 0.0f : from.temperature.value_or(out.temperature);
  out.top_k = from.top_k.value_or(out.top_k);
  out.top_p = from.top_p.value_or(out.top_p);
  out.min_p = from.min_p.value_or(out.min_p);
  out.repetition_penalty = from.repetition_penalty.value_or(out.repetition_penalty);
  out.tokens_max = from.max_new_tokens;
  return out;
}

server::server_options server_options_of(const serve_settings& settings,
                                         std::vector<std::string> keys, std::string name) {
  server::server_options out;
  out.address = settings.host == "localhost" ? "127.0.0.1" : settings.host;
  out.port = settings.port;
  out.io_threads = settings.http_threads;
  out.connections_max = settings.max_connections;
  out.served_model_name = std::move(name);
  out.api_keys = std::move(keys);
  out.metrics_need_key = settings.metrics_need_key;
  out.cors_origin = settings.cors_origin;
  out.event_ids = settings.event_ids;
  out.connection.body_bytes_max = settings.max_body.bytes;
  out.connection.header_bytes_max = settings.max_header.bytes;
  out.request.choices_max = settings.max_choices;
  return out;
}

} // namespace troupe::cli
