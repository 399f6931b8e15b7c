// Wires listener, connections and routes together and owns their threads.
#include "server/http_server.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "server/api_handler.hpp"
#include "server/http_connection.hpp"
#include "server/http_listener.hpp"

#include <boost/asio/executor_work_guard.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <thread>

namespace troupe::server {
namespace {

namespace asio = boost::asio;
using work_guard = asio::executor_work_guard<asio::io_context::executor_type>;

constexpr duration cut_off_patience = std::chrono::seconds(10); // for closing what has been cut off
constexpr rlim_t descriptors_spare = 256;                       // files, pipes, other sockets

// As many descriptors as connections_max asks for, if the system allows.
void raise_descriptor_limit(uint32_t connections_max) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = connections_max + descriptors_spare;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
    log::warn(text("only ", limit.rlim_cur, " file descriptors for up to ", connections_max,
                   " connections; raise 'ulimit -n'"));
  }
}

status check(const server_parts& parts, const server_options& options) {
  const auto out_of_range = [](std::string message) {
    return status(status_code::invalid_argument, std::move(message));
  };
  if (options.io_threads < 1 || options.io_threads > 64) {
    return out_of_range(text("io_threads must be between 1 and 64, got ", options.io_threads));
  }
  if (options.connections_max < 1) return out_of_range("connections_max must be at least 1, got 0");
  if (options.connection.header_bytes_max < 1024 ||
      options.connection.header_bytes_max > (1u << 20)) {
    return out_of_range(text("header_bytes_max must be between 1024 and 1048576, got ",
                             options.connection.header_bytes_max));
  }
  if (options.served_model_name.empty()) return out_of_range("served_model_name must not be empty");
  if (parts.codec == nullptr || parts.vocabulary == 0) {
    return out_of_range("a server needs a codec and a vocabulary");
  }
  for (const auto* keys : {&options.api_keys, &options.admin_keys, &options.ingest_keys}) {
    for (const std::string& key : *keys) {
      if (key.empty()) return out_of_range("an API key must not be empty");
    }
  }
  return {};
}

transport_metrics snapshot(const connection_counters& from) {
  return {.connections_total = from.connections_total.load(),
          .connections_refused = from.connections_refused.load(),
          .connections_open = from.connections_open.load(),
          .streams_open = from.streams_open.load(),
          .clients_gone = from.clients_gone.load(),
          .slow_readers = from.slow_readers.load(),
          .bad_messages = from.bad_messages.load()};
}

std::shared_ptr<api_handler> make_handler(const server_parts& parts, const server_options& options,
                                          const std::shared_ptr<server_core>& core) {
  request_rules rules{.limits = options.request,
                      .model_name = options.served_model_name,
                      .positions_max = parts.engine.positions_max(),
                      .vocabulary = parts.vocabulary,
                      .defaults = parts.defaults};
  // The core owns the handler, so the handler may only point back.
  return std::make_shared<api_handler>(
      api_parts{.engine = parts.engine,
                .clock = parts.clock,
                .transport = [core = core.get()] { return snapshot(core->counters); },
                .codec = parts.codec,
                .seeds = parts.seeds,
                .cluster = parts.cluster,
                .journal = parts.journal != nullptr
                               ? parts.journal
                               : std::make_shared<storage::request_journal>(parts.clock),
                .ingest = parts.ingest,
                .choose_engine = parts.choose_engine,
                .weights = parts.weights},
      api_options{
          .rules = std::move(rules),
          .api_keys = options.api_keys,
          .admin_keys = options.admin_keys,
          .ingest_keys = parts.ingest != nullptr ? options.ingest_keys : std::vector<std::string>(),
          .metrics_need_key = options.metrics_need_key,
          .cors_origin = options.cors_origin,
          .aside_bytes_min = options.aside_bytes_min,
          .event_ids = options.event_ids});
}

} // namespace

struct http_server::parts {
  parts(std::shared_ptr<server_core> core_in, std::shared_ptr<http_listener> listener_in)
      : core(std::move(core_in)),
        listener(std::move(listener_in)),
        work(asio::make_work_guard(core->io)) {}

  std::shared_ptr<server_core> core;
  std::shared_ptr<http_listener> listener;
  work_guard work;
  std::vector<std::thread> threads;
};

result<std::unique_ptr<http_server>> http_server::start(server_parts parts,
                                                        server_options options) {
  if (status ok = check(parts, options); !ok.ok()) return fail(std::move(ok));
  raise_descriptor_limit(options.connections_max);
  auto core = std::make_shared<server_core>(parts.clock, options.connection,
                                            static_cast<int>(options.io_threads));
  core->handler = make_handler(parts, options, core);
  auto listener = http_listener::open(core, options.address, options.port, options.connections_max);
  if (!listener) return fail(std::move(listener.error()));
  auto inner = std::make_unique<http_server::parts>(core, std::move(*listener));
  for (uint32_t i = 0; i < options.io_threads; ++i) {
    inner->threads.emplace_back([core] { core->io.run(); });
  }
  inner->listener->start();
  return std::unique_ptr<http_server>(new http_server(std::move(inner)));
}

http_server::http_server(std::unique_ptr<parts> inner) : parts_(std::move(inner)) {}

http_server::~http_server() {
  stop(duration::zero());
}

uint16_t http_server::port() const {
  return parts_->listener->endpoint().port();
}

std::string http_server::address() const {
  return parts_->listener->endpoint().address().to_string();
}

uint64_t http_server::connections_open() const {
  return parts_->core->counters.connections_open.load();
}

uint64_t http_server::streams_open() const {
  return parts_->core->counters.streams_open.load();
}

void http_server::stop(duration patience) {
  if (parts_->threads.empty()) return;
  server_core& core = *parts_->core;
  core.stopping.store(true);
  parts_->listener->stop();
  for (const auto& connection : core.connections()) connection->close_soon();
  if (!core.wait_for_no_connections(patience)) {
    const auto left = core.connections();
    if (patience > duration::zero()) {
      log::warn(text("cutting off ", left.size(), " connections that did not finish in time"));
    }
    for (const auto& connection : left) connection->close_now();
  }
  if (!core.wait_for_no_connections(cut_off_patience)) {
    log::error(text(core.connections().size(), " connections did not close after being cut off"));
  }
  core.aside.join();
  parts_->work.reset();
  for (std::thread& thread : parts_->threads) thread.join();
  parts_->threads.clear();
}

} // namespace troupe::server
