// Asks every node for its page, and draws.
#include "cli/top.hpp"

#include "base/text.hpp"
#include "cli/cluster.hpp"
#include "cli/cluster_view.hpp"
#include "cli/http_setup.hpp"
#include "cli/private_file.hpp"

namespace troupe::cli {
namespace {

constexpr size_t key_file_bytes_max = 4096;
constexpr std::string_view home_and_clear = "\x1b[H\x1b[2J";

result<host_port> server_of(std::string_view url) {
  constexpr std::string_view scheme = "http://";
  if (url.starts_with(scheme)) url.remove_prefix(scheme.size());
  while (url.ends_with('/')) url.remove_suffix(1);
  auto out = parse_host_port(url);
  if (!out) return fail(out.error().within(text("--url ", url)));
  return out;
}

// One node, as it knows the cluster.
result<cluster_view> look_through(const program& context, const top_settings& settings) {
  const auto server = server_of(settings.url);
  if (!server) return fail(server.error());
  std::string key;
  if (const auto given = context.variables.find("TROUPE_ADMIN_KEY");
      given != context.variables.end())
    key = given->second;
  if (!settings.admin_key_file.empty()) {
    const auto content = read_private_file(settings.admin_key_file, key_file_bytes_max);
    if (!content) return fail(content.error().within("--admin-key-file"));
    const auto keys = keys_of_file(*content);
    if (!keys.empty()) key = keys.front();
  }
  cluster_view out;
  out.taken = context.clock.now();
  out.wall_seconds = context.clock.wall_seconds();
  node_view node;
  node.url = settings.url;
  node.name = settings.url;
  ask_node(context.clock, *server, key, node);
  out.nodes.push_back(std::move(node));
  return out;
}

result<cluster_view> look(const program& context, const top_settings& settings) {
  if (!settings.url.empty()) return look_through(context, settings);
  const auto folder = cluster_folder::open(context.files, settings.dir);
  if (!folder) return fail(folder.error());
  return look_at(context, *folder);
}

int run_top(program& context, const top_settings& settings) {
  auto now = look(context, settings);
  if (!now) return context.complain(now.error(), exit_usage);
  if (settings.once) {
    (void)context.out.write(top_text(*now, nullptr));
    if (now->newest() == nullptr) return exit_failed;
    return context.exit_after_output();
  }
  stop_request stop;
  const signal_scope signals(context.signals, [&stop](int signal) { return stop.hear(signal); });
  std::optional<cluster_view> before;
  const std::string_view clear = context.out.is_terminal() ? home_and_clear : "";
  while (!stop.heard() && context.out.failure().ok()) {
    (void)context.out.write(text(clear, top_text(*now, before ? &*before : nullptr)));
    stop.pause(std::chrono::milliseconds(settings.interval_ms));
    before = std::move(*now);
    now = look(context, settings);
    if (!now) return context.complain(now.error());
  }
  return context.exit_after_output();
}

constexpr command_info info = {
    .name = "top",
    .section = "top",
    .summary = "shows nodes, roles, load, epochs and recoveries of a cluster, live",
    .notes =
        "Tokens per second are those of the node that draws them; KV pages are used + kept for "
        "reuse / all.\n"
        "With --url, TROUPE_ADMIN_KEY or --admin-key-file has the node's admin key.\n"
        "\n"
        "exit codes: 0 done; 1 no node answers (--once); 2 wrong usage; 141 whoever read the "
        "output left\n",
};

} // namespace

std::unique_ptr<command> make_top() {
  return make_command<top_settings>(info, run_top);
}

} // namespace troupe::cli
