// Wires executor, model, node and HTTP server together, waits for a signal, and drains.
#include "cli/serve.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "cli/model_text_codec.hpp"
#include "cli/program.hpp"
#include "model/description.hpp"
#include "model/generation_defaults.hpp"
#include "server/http_server.hpp"

#include <condition_variable>
#include <mutex>

namespace troupe::cli {
namespace {

constexpr size_t key_file_bytes_max = 1 << 20;
constexpr duration drain_poll = std::chrono::milliseconds(20);
constexpr duration farewell = std::chrono::seconds(2); // for last bytes on their way to clients

// The first signal, for the main thread to wait for; the second ends the process at once.
class stop_request {
public:
  bool hear(int signal) {
    const std::lock_guard lock(mutex_);
    if (signal_ != 0) return false;
    signal_ = signal;
    changed_.notify_all();
    return true;
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return signal_ != 0; });
  }
  // Lets time pass; there is no second event to wait for while draining.
  void pause(duration at_most) {
    std::unique_lock lock(mutex_);
    pause_.wait_for(lock, at_most);
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_, pause_;
  int signal_ = 0;
};

result<std::vector<std::string>> api_keys_of(program& context, const serve_settings& settings) {
  if (!is_address(settings.host))
    return fail(status_code::invalid_argument,
                text("--host ", settings.host,
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
            "--host ", settings.host,
            " is reachable from other machines and no key is set: give --api-key "
            "(or TROUPE_API_KEY, or --api-key-file), or --allow-open-network to let everybody in"));
  return keys;
}

server::sampling_defaults defaults_of(const model::generation_defaults& from) {
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

server::server_options options_of(const serve_settings& settings, std::vector<std::string> keys,
                                  std::string name) {
  server::server_options out;
  out.address = settings.host == "localhost" ? "127.0.0.1" : settings.host;
  out.port = settings.port;
  out.io_threads = settings.http_threads;
  out.connections_max = settings.max_connections;
  out.served_model_name = std::move(name);
  out.api_keys = std::move(keys);
  out.metrics_need_key = settings.metrics_need_key;
  out.cors_origin = settings.cors_origin;
  out.connection.body_bytes_max = settings.max_body.bytes;
  out.connection.header_bytes_max = settings.max_header.bytes;
  out.request.choices_max = settings.max_choices;
  return out;
}

void announce(program& context, const serve_settings& settings, actors::engine& engine,
              const server::http_server& server, const std::string& name) {
  const auto pages = engine.metrics().pages_total;
  const uint64_t positions = pages * settings.engine.page_tokens;
  const std::string url = url_of(server.address(), server.port());
  const bool from_environment = context.variables.count("TROUPE_API_KEY") != 0;
  (void)context.err.write(text(
      "model ", name, ": sequences of up to ", engine.positions_max(), " tokens; memory for ",
      positions, " tokens, ", double(positions * 10 / engine.positions_max()) / 10,
      " full sequences\n", "limits: ", settings.engine.max_running, " sequences at once, ",
      settings.engine.max_queued_requests, " waiting, ", settings.max_connections, " connections\n",
      "ready ", url, "\n", "  curl ", url, "/v1/completions -H 'Content-Type: application/json'",
      key_header_hint(settings, from_environment), " -d '{\"model\": \"", name,
      "\", \"prompt\": \"Once upon a time\", \"max_tokens\": 60}'\n"));
}

// Lets running answers finish. True when all did in time.
bool drain(program& context, actors::engine& engine, server::http_server& server,
           stop_request& stop, duration at_most) {
  engine.begin_drain();
  const auto first = engine.metrics();
  const uint64_t waiting = first.requests_running + first.requests_waiting;
  if (waiting > 0)
    (void)context.err.write(
        text("draining: ", waiting,
             " running, nothing new is accepted; a second signal ends it at once\n"));
  const time_point deadline = context.clock.now() + at_most;
  bool idle = false;
  for (;;) {
    const auto now = engine.metrics();
    idle = now.requests_running + now.requests_waiting == 0 && server.streams_open() == 0;
    if (idle || context.clock.now() >= deadline) break;
    stop.pause(drain_poll);
  }
  server.stop(idle ? farewell : duration{});
  return idle;
}

int run_serve(program& context, const serve_settings& settings) {
  auto keys = api_keys_of(context, settings);
  if (!keys) return context.complain(keys.error(), exit_usage);
  auto started = start_engine(
      context, {.model = settings.model, .device = settings.device, .engine = settings.engine});
  if (!started) return context.complain(started.error().why, started.error().code);
  auto& engine = *started->engine;
  const std::string name =
      settings.served_model_name.empty() ? started->model->name : settings.served_model_name;

  server::server_parts parts{.engine = engine,
                             .clock = context.clock,
                             .codec = make_text_codec(engine, context.clock),
                             .vocabulary = engine.description().vocabulary,
                             .defaults = defaults_of(engine.generation_defaults())};
  stop_request stop;
  const signal_scope signals(context.signals, [&stop](int signal) { return stop.hear(signal); });
  auto server =
      server::http_server::start(std::move(parts), options_of(settings, std::move(*keys), name));
  if (!server) return context.complain(server.error());
  announce(context, settings, engine, **server, name);

  stop.wait();
  if (drain(context, engine, **server, stop, std::chrono::seconds(settings.drain_timeout)))
    return exit_done;
  return context.complain(
      status(status_code::timed_out, text("answers were cut off: draining took longer than ",
                                          settings.drain_timeout, " s (--drain-timeout)")),
      exit_cut_off);
}

constexpr command_info info = {
    .name = "serve",
    .section = "serve",
    .summary = "serves a model over HTTP, with the API of OpenAI",
    .notes =
        "When it is ready, it prints a line \"ready URL\" and a curl command on standard error. "
        "SIGTERM or\n"
        "Ctrl-C drains: nothing new is accepted, running answers finish within --drain-timeout. A "
        "second\n"
        "signal ends the process at once.\n"
        "\n"
        "exit codes: 0 drained; 1 failed, for example the port is taken; 2 wrong usage or "
        "settings;\n"
        "  3 the model cannot be loaded; 4 draining took too long and answers were cut off; 130 or "
        "143\n"
        "  ended at once by a second Ctrl-C or SIGTERM\n"
        "\n"
        "examples:\n"
        "  troupe serve\n"
        "  troupe serve --model /models/olmoe --quantize int8 --port 9000 --max-model-len 4096\n"
        "  TROUPE_API_KEY=secret troupe serve --host 0.0.0.0\n",
};

} // namespace

std::unique_ptr<command> make_serve() {
  return make_command<serve_settings>(info, run_serve);
}

} // namespace troupe::cli
