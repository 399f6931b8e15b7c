// Wires executor, model, node and HTTP server together, waits for a signal, and drains.
#include "cli/serve.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "cli/http_setup.hpp"
#include "cli/ingest_setup.hpp"
#include "cli/journal_setup.hpp"
#include "cli/model_text_codec.hpp"
#include "cli/program.hpp"
#include "cli/weights.hpp"
#include "cli/weights_setup.hpp"
#include "model/description.hpp"
#include "server/http_server.hpp"

namespace troupe::cli {
namespace {

constexpr duration drain_poll = std::chrono::milliseconds(20);
constexpr duration tend_every = std::chrono::milliseconds(100);
constexpr duration farewell = std::chrono::seconds(2); // for last bytes on their way to clients

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
  auto ingest_keys = ingest_keys_of(context, settings);
  if (!ingest_keys) return context.complain(ingest_keys.error(), exit_usage);
  running_ingest ingest;
  if (!settings.ingest.empty()) {
    auto opened = start_ingest(settings.ingest, settings.ingest_bytes.bytes);
    if (!opened) return context.complain(opened.error().within("--ingest"));
    ingest = std::move(*opened);
  }
  engine_setup setup{.model = settings.model,
                     .device = settings.device,
                     .engine = settings.engine,
                     .persist_kv = settings.persist_kv,
                     .persist_kv_bytes = settings.persist_kv_bytes.bytes};
  std::unique_ptr<storage::weights_registry> registry;
  storage::weights_manifest first;
  if (!settings.weights_dir.empty()) {
    registry = std::make_unique<storage::weights_registry>(
        weights_registry_of(context, settings.weights_dir));
    auto promoted = promoted_weights(*registry, settings);
    if (!promoted) return context.complain(promoted.error().why, promoted.error().code);
    first = std::move(*promoted);
    setup.model.model = registry->path_of(first.version);
  }
  auto started = start_engine(context, setup);
  if (!started) return context.complain(started.error().why, started.error().code);
  std::string name = settings.served_model_name;
  if (name.empty()) name = registry ? name_of_weights(settings.weights_dir) : started->model->name;
  running_versions versions;
  if (registry)
    versions = follow_weights(context, std::move(registry), first, *started, setup,
                              version_limits_of(settings));
  auto& engine =
      versions.versions ? static_cast<actors::engine&>(*versions.versions) : *started->engine;

  auto journal = open_journal(settings.data_dir, settings, context.clock);
  if (!journal) return context.complain(journal.error());
  server::server_parts parts{.engine = engine,
                             .clock = context.clock,
                             .codec = make_text_codec(engine, context.clock),
                             .vocabulary = engine.description().vocabulary,
                             .defaults = sampling_defaults_of(engine.generation_defaults()),
                             .journal = journal->journal,
                             .ingest = ingest.queue};
  if (auto* of = versions.versions.get()) {
    parts.choose_engine = [of](const server::engine_wish& wish) { return of->choose(wish); };
    parts.weights = [of] { return of->in_memory(); };
  }
  stop_request stop;
  const signal_scope signals(context.signals, [&stop](int signal) { return stop.hear(signal); });
  auto options = server_options_of(settings, std::move(*keys), name);
  options.ingest_keys = std::move(*ingest_keys);
  auto server = server::http_server::start(std::move(parts), std::move(options));
  if (!server) return context.complain(server.error());
  announce(context, settings, engine, **server, name);

  if (versions.versions)
    for (; !stop.heard(); stop.pause(tend_every)) versions.versions->tend();
  else
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
