// From the settings of a serving command to the options of its HTTP server.
#include "cli/http_setup.hpp"

#include "base/text.hpp"
#include "model/generation_defaults.hpp"

namespace troupe::cli {
namespace {

constexpr size_t key_file_bytes_max = 1 << 20;

// To those given, the ones of a file. `flag` says where the file was named.
status add_keys_of_file(program& context, const std::string& file, std::string_view flag,
                        std::vector<std::string>& keys) {
  if (file.empty()) return {};
  const auto content = context.files.read_text(file, key_file_bytes_max);
  if (!content) return content.error().within(flag);
  const auto more = keys_of_file(*content);
  if (more.empty())
    return status(status_code::invalid_argument, text(flag, ": ", file, " holds no key"));
  keys.insert(keys.end(), more.begin(), more.end());
  return {};
}

} // namespace

result<std::vector<std::string>> api_keys_of(program& context, const serve_settings& settings,
                                             std::string_view flag) {
  if (!is_address(settings.host))
    return fail(status_code::invalid_argument,
                text(flag, " ", settings.host,
                     " is no IP address of this machine; 127.0.0.1 is for itself alone, "
                     "0.0.0.0 and :: for all networks"));
  std::vector<std::string> keys = settings.api_key;
  if (auto s = add_keys_of_file(context, settings.api_key_file, "--api-key-file", keys); !s.ok())
    return fail(std::move(s));
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

result<std::vector<std::string>> ingest_keys_of(program& context, const serve_settings& settings) {
  std::vector<std::string> keys = settings.ingest_key;
  if (auto s = add_keys_of_file(context, settings.ingest_key_file, "--ingest-key-file", keys);
      !s.ok())
    return fail(std::move(s));
  for (const auto& key : keys)
    if (key.empty())
      return fail(status_code::invalid_argument, "--ingest-key: a key must not be empty");
  if (!settings.ingest.empty() && keys.empty())
    return fail(status_code::invalid_argument,
                "--ingest needs a key for those who may teach the model: give --ingest-key (or "
                "TROUPE_INGEST_KEY, or --ingest-key-file)");
  if (settings.ingest.empty() && !keys.empty())
    return fail(status_code::invalid_argument,
                "--ingest-key goes with --ingest DIR, where documents are kept");
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
