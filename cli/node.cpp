// Wires disk, model, endpoint, the actors of a clustered node and the HTTP server together; tells
// when the cluster serves; leaves in good order.
#include "cli/node.hpp"

#include "actors/cluster_engine.hpp"
#include "base/text.hpp"
#include "base/wall_time.hpp"
#include "cli/cluster_secret.hpp"
#include "cli/engine_setup.hpp"
#include "cli/http_setup.hpp"
#include "cli/journal_setup.hpp"
#include "cli/model_text_codec.hpp"
#include "cli/node_means.hpp"
#include "cli/node_memory.hpp"
#include "cli/node_transport.hpp"
#include "cli/private_file.hpp"
#include "model/description.hpp"
#include "server/http_server.hpp"
#include "storage/etcd/etcd_state_store.hpp"
#include "storage/posix_disk.hpp"
#include "storage/posix_io_worker.hpp"
#include "storage/vote_store.hpp"

#include <atomic>
#include <filesystem>
#include <functional>
#include <span>

namespace troupe::cli {
namespace {

constexpr size_t cluster_file_bytes_max = 1 << 20;
constexpr size_t key_file_bytes_max = 4096;
constexpr duration look_every = std::chrono::milliseconds(200);
constexpr duration drain_poll = std::chrono::milliseconds(20);
constexpr duration patience_before_word = std::chrono::seconds(3); // about who is missing
constexpr duration alone_for = std::chrono::seconds(1); // then there is nobody to hand roles to
constexpr duration farewell = std::chrono::seconds(2);  // for last bytes on their way to clients

using outcome = tl::expected<int, setup_failure>;

tl::unexpected<setup_failure> failed(status why, int code = exit_failed) {
  return tl::make_unexpected(setup_failure{std::move(why), code});
}

// Everything a node is made of, torn down from the bottom up.
struct node_parts {
  node_plan plan;
  transport::secret key;
  std::vector<std::string> api_keys, admin_keys;
  std::unique_ptr<storage::posix_disk> disk;
  std::unique_ptr<storage::vote_store> votes;
  stop_request stop;
  running_engine loaded;   // executor and model
  running_journal journal; // other nodes put into it what they keep, through the engine
  std::unique_ptr<actors::cluster_engine> engine;
  std::unique_ptr<server::http_server> server;
};

setup_result<cluster_file> read_cluster(program& context, const node_settings& settings,
                                        transport::secret& key) {
  std::string content;
  const std::string& file = settings.join.empty() ? settings.cluster : settings.join;
  if (settings.join.empty()) {
    auto read = context.files.read_text(settings.cluster, cluster_file_bytes_max);
    if (!read) return failed(read.error().within("--cluster"), exit_usage);
    content = std::move(*read);
  } else {
    auto secret = cluster_secret(context, settings.secret_file);
    if (!secret) return failed(secret.error(), exit_usage);
    key = std::move(*secret);
    auto fetched = fetch_cluster_text(context.clock, settings.join, key);
    if (!fetched) return failed(fetched.error());
    content = std::move(*fetched);
  }
  auto parsed = parse_cluster_file(content, file);
  if (!parsed) return failed(parsed.error(), exit_usage);
  return std::move(*parsed);
}

setup_result<void> plan(program& context, const node_settings& settings, node_parts& parts) {
  if (auto s = check_node_settings(settings); !s.ok()) return failed(std::move(s), exit_usage);
  auto cluster = read_cluster(context, settings, parts.key);
  if (!cluster) return tl::make_unexpected(cluster.error());
  node_settings named = settings;
  if (named.name.empty()) {
    const auto taken = fetch_names(settings.join, parts.key);
    if (!taken) return failed(taken.error());
    auto name = free_name(*cluster, *taken);
    if (!name) return failed(name.error());
    named.name = std::move(*name);
  }
  auto made = plan_node(named, std::move(*cluster),
                        settings.join.empty() ? settings.cluster : settings.join);
  if (!made) return failed(made.error(), exit_usage);
  parts.plan = std::move(*made);
  if (!parts.key.empty()) return {};
  auto secret = cluster_secret(context, parts.plan.secret_file);
  if (!secret) return failed(secret.error(), exit_usage);
  parts.key = std::move(*secret);
  return {};
}

result<node_memory> open_memory(program& context, const node_settings& settings,
                                node_parts& parts) {
  const std::string& folder = parts.plan.data_dir;
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(folder).parent_path(), error);
  auto disk = storage::posix_disk::open(folder); // says what is wrong with the folder, if anything
  if (!disk) return fail(disk.error().within("--data-dir"));
  parts.disk = std::move(*disk);
  parts.votes = std::make_unique<storage::vote_store>(*parts.disk);
  auto memory = recall(*parts.disk, {.folder = folder,
                                     .voter = parts.plan.voter,
                                     .form = settings.form,
                                     .wall_ms = wall_milliseconds()});
  if (memory && !memory->warning.empty())
    (void)context.err.write(text("warning: ", memory->warning, "\n"));
  return memory;
}

// Null: the nodes vote.
result<std::unique_ptr<storage::state_store>> open_store(program& context,
                                                         const node_settings& settings,
                                                         const cluster_file& cluster) {
  if (cluster.votes()) return std::unique_ptr<storage::state_store>();
  auto options = storage::parse_etcd_address(cluster.coordination);
  if (!options) return fail(options.error().within("--coordination"));
  options->user = settings.etcd_user;
  options->ca_file = settings.etcd_ca_file;
  options->certificate_file = settings.etcd_cert_file;
  options->key_file = settings.etcd_key_file;
  if (!settings.etcd_password_file.empty()) {
    auto password = read_private_file(settings.etcd_password_file, key_file_bytes_max);
    if (!password) return fail(password.error().within("--etcd-password-file"));
    options->password = password->substr(0, password->find_last_not_of("\r\n") + 1);
  }
  return storage::open_etcd_store(*options, context.clock);
}

setup_result<void> start_cluster_engine(program& context, const node_settings& settings,
                                        node_memory memory, node_parts& parts) {
  const auto& description = *parts.loaded.model->description;
  actors::cluster_engine_options options;
  options.node = node_options_of(parts.plan.cluster.engine);
  options.node.actor_threads = settings.serve.engine.actor_threads;
  options.layout = layout_of(parts.plan.cluster, static_cast<uint32_t>(description.layers.size()),
                             description.experts_max());
  options.timing = parts.plan.cluster.timing.timing();
  options.self = parts.plan.self;
  options.incarnation = memory.incarnation;
  options.figures = {
      measure_speed(context.clock, *parts.loaded.executor, *parts.loaded.model->weights),
      parts.plan.memory};
  options.votes = std::move(memory.votes);
  options.remembers = memory.remembers;
  options.changed = [stop = &parts.stop] { stop->nudge(); };
  auto journal = open_journal(parts.plan.data_dir, settings.serve, context.clock);
  if (!journal) return failed(journal.error());
  parts.journal = std::move(*journal);
  actors::cluster_engine_seams seams;
  seams.executor = parts.loaded.executor.get();
  seams.time = &context.clock;
  seams.votes = parts.votes.get();
  seams.worker = std::make_unique<storage::posix_io_worker>();
  auto store = open_store(context, settings, parts.plan.cluster);
  if (!store) return failed(store.error(), exit_usage);
  seams.store = std::move(*store);
  seams.open_endpoint = [&parts,
                         incarnation = memory.incarnation](transport::endpoint_listener& listener) {
    return open_node_endpoint(parts.plan, incarnation, parts.key, listener);
  };
  seams.keep_entry = [journal = parts.journal.journal.get()](std::span<const std::byte> entry) {
    return journal->absorb(entry);
  };
  auto made =
      actors::cluster_engine::start(parts.loaded.model, std::move(seams), std::move(options));
  if (!made) {
    const bool wrong_setting = made.error().code() == status_code::invalid_argument;
    return failed(in_words_of_flags(made.error()), wrong_setting ? exit_usage : exit_failed);
  }
  parts.engine = std::move(*made);
  parts.journal.journal->replicate_with(
      [engine = parts.engine.get()](std::span<const std::byte> entry,
                                    std::function<void(bool)> done) {
        engine->replicate(entry, std::move(done));
      });
  return {};
}

result<std::vector<std::string>> admin_keys_of(const node_settings& settings) {
  std::vector<std::string> out;
  if (!settings.admin_key.empty()) out.push_back(settings.admin_key);
  if (settings.admin_key_file.empty()) return out;
  const auto content = read_private_file(settings.admin_key_file, key_file_bytes_max);
  if (!content) return fail(content.error().within("--admin-key-file"));
  const auto more = keys_of_file(*content);
  if (more.empty())
    return fail(status_code::invalid_argument,
                text("--admin-key-file: ", settings.admin_key_file, " holds no key"));
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

serve_settings http_settings_of(const node_settings& settings, const node_plan& plan) {
  serve_settings out = settings.serve;
  out.host = plan.http.host;
  out.port = plan.http.port;
  return out;
}

// Before the node joins: who cannot answer clients shall not disturb a cluster.
setup_result<void> read_keys(program& context, const node_settings& settings, node_parts& parts) {
  auto keys = api_keys_of(context, http_settings_of(settings, parts.plan), "--http");
  if (!keys) return failed(keys.error(), exit_usage);
  parts.api_keys = std::move(*keys);
  auto admin_keys = admin_keys_of(settings);
  if (!admin_keys) return failed(admin_keys.error(), exit_usage);
  parts.admin_keys = std::move(*admin_keys);
  return {};
}

setup_result<void> start_server(program& context, const node_settings& settings,
                                node_parts& parts) {
  const auto http = http_settings_of(settings, parts.plan);
  auto& engine = *parts.engine;
  server::server_parts with{.engine = engine,
                            .clock = context.clock,
                            .codec = make_text_codec(engine, context.clock),
                            .vocabulary = engine.description().vocabulary,
                            .defaults = sampling_defaults_of(engine.generation_defaults()),
                            .cluster = [&engine] { return engine.cluster(); },
                            .journal = parts.journal.journal};
  auto options = server_options_of(
      http, std::move(parts.api_keys),
      http.served_model_name.empty() ? parts.loaded.model->name : http.served_model_name);
  options.admin_keys = std::move(parts.admin_keys);
  auto made = server::http_server::start(std::move(with), std::move(options));
  if (!made) return failed(made.error());
  parts.server = std::move(*made);
  return {};
}

setup_result<void> start(program& context, const node_settings& settings, node_parts& parts) {
  if (auto done = plan(context, settings, parts); !done) return done;
  if (auto done = read_keys(context, settings, parts); !done) return done;
  auto memory = open_memory(context, settings, parts);
  if (!memory) return failed(memory.error());
  if (parts.plan.memory == 0) parts.plan.memory = available_memory(); // before the model takes some
  model_settings model = settings.serve.model;
  if (model.model.empty()) model.model = parts.plan.cluster.model;
  model.quantize = parts.plan.cluster.quantize;
  auto loaded = load_only(context, model, settings.serve.device);
  if (!loaded) return tl::make_unexpected(loaded.error());
  parts.loaded = std::move(*loaded);
  if (auto done = start_cluster_engine(context, settings, std::move(*memory), parts); !done)
    return done;
  return start_server(context, settings, parts);
}

// --- The life of a node that has started

std::string door_of(const node_parts& parts) {
  return url_of(parts.server->address(), parts.server->port());
}

// "waiting for a majority of the voters: n1, n2 do not answer".
std::string word_about_missing(const actors::cluster_picture& now) {
  if (!now.no_room.empty()) return text("no room for the model: ", now.no_room, "\n");
  std::string missing;
  for (const auto& member : now.members)
    if (member.voter && !member.connected)
      missing += text(missing.empty() ? "" : ", ", member.name);
  if (!missing.empty()) return text("waiting for the other voters; not connected: ", missing, "\n");
  return "waiting for an epoch\n";
}

int give_up(program& context, node_parts& parts, const actors::cluster_picture& now) {
  parts.server->stop(duration{});
  if (now.unfit)
    return context.complain(status(status_code::invalid_argument,
                                   text("node ", parts.plan.name, " ends: ", now.gave_up)),
                            exit_no_model);
  return context.complain(status(status_code::unavailable,
                                 text("node ", parts.plan.name,
                                      " cannot go on and ends; start it again: ", now.gave_up)),
                          exit_gave_up);
}

// Roles go to other nodes, and the streams of this door end. Where no majority can be reached there
// is nobody to hand roles to, and no stream goes on.
int drain(program& context, const node_settings& settings, node_parts& parts) {
  auto& engine = *parts.engine;
  const uint32_t at_most = drain_timeout_of(context.signals.number(), settings.serve.drain_timeout);
  engine.begin_drain();
  (void)context.err.write(text("draining: handing over; ", engine.streams_open(),
                               " streams are open; a second signal ends it at once\n"));
  const auto deadline = context.clock.now() + std::chrono::seconds(at_most);
  auto reached = context.clock.now(); // a majority, the last time
  for (;;) {
    const auto now = engine.cluster();
    const auto time = context.clock.now();
    if (!now.gave_up.empty()) return give_up(context, parts, now);
    if (now.majority) reached = time;
    const bool idle = engine.streams_open() == 0 && parts.server->streams_open() == 0;
    const bool alone = time - reached >= alone_for;
    if (idle && (now.drained || alone)) {
      parts.server->stop(farewell);
      (void)context.err.write(now.drained
                                  ? "drained: nothing depends on this node any more\n"
                                  : "left: no majority of the voters could be reached, so there "
                                    "was nobody to hand roles to\n");
      return exit_done;
    }
    if (time >= deadline) {
      parts.server->stop(duration{});
      return context.complain(
          status(status_code::timed_out,
                 text(idle ? "roles were not handed over" : "answers were cut off",
                      ": draining took longer than ", at_most, " s (--drain-timeout)")),
          exit_cut_off);
    }
    parts.stop.pause(drain_poll);
  }
}

int live(program& context, const node_settings& settings, node_parts& parts) {
  const auto began = context.clock.now();
  bool announced = false, said = false;
  for (;;) {
    const auto now = parts.engine->cluster();
    if (!now.gave_up.empty()) return give_up(context, parts, now);
    if (parts.stop.heard()) return drain(context, settings, parts);
    if (!announced && now.serving) {
      announced = true;
      (void)context.err.write(text("epoch ", now.epoch, " serves\nready ", door_of(parts), "\n"));
    }
    if (!announced && !said && context.clock.now() - began >= patience_before_word) {
      said = true;
      (void)context.err.write(word_about_missing(now));
    }
    parts.stop.pause(look_every);
  }
}

int run_node(program& context, const node_settings& settings) {
  node_parts parts;
  // Until there is something to hand over, a signal ends the process.
  std::atomic<bool> started{false};
  const signal_scope signals(context.signals, [&parts, &started](int signal) {
    return started.load() && parts.stop.hear(signal);
  });
  if (auto done = start(context, settings, parts); !done)
    return context.complain(done.error().why, done.error().code);
  started.store(true);
  const auto now = parts.engine->cluster();
  (void)context.err.write(text("node ", parts.plan.name, " of cluster ", parts.plan.cluster.cluster,
                               ", incarnation ", now.incarnation, ", answers on ", door_of(parts),
                               "\n"));
  return live(context, settings, parts);
}

constexpr command_info info = {
    .name = "node",
    .section = "node",
    .summary = "runs one node of a cluster, with its own HTTP door",
    .notes =
        "All nodes of a cluster are given the same cluster file, or join through a node that has "
        "it. The\n"
        "first start of a new cluster is with --form on every node. When an epoch serves, a node "
        "prints a\n"
        "line \"ready URL\" on standard error. SIGTERM or Ctrl-C drains: nothing new is accepted, "
        "roles go\n"
        "to other nodes, running answers finish within --drain-timeout. A second signal ends the "
        "process\n"
        "at once. docs/cluster.md describes the cluster file and running clusters.\n"
        "\n"
        "exit codes: 0 drained; 1 failed, for example an address is taken or the data folder "
        "cannot be\n"
        "  read; 2 wrong usage or settings; 3 the model cannot be loaded, or is not "
        "the\n"
        "  cluster's; 4 draining took too long and answers were cut off or roles not handed over; "
        "5 the\n"
        "  node could not go on (start it again), or a later start of it is running; 130 or 143 "
        "ended at\n"
        "  once by a second Ctrl-C or SIGTERM\n"
        "\n"
        "examples:\n"
        "  troupe node --cluster cluster.toml --name n0 --form\n"
        "  troupe node --join 10.0.0.1:7101 --secret-file secret --listen 10.0.0.4:7101\n",
};

} // namespace

std::unique_ptr<command> make_node() {
  return make_command<node_settings>(info, run_node);
}

} // namespace troupe::cli
