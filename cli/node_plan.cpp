// From settings and cluster file to what one node is to be.
#include "base/text.hpp"
#include "cli/node.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

namespace troupe::cli {
namespace {

constexpr std::array<std::string_view, 6> serve_alone = {"data-dir",         "host", "persist-kv",
                                                         "persist-kv-bytes", "port", "quantize"};

status wrong(std::string why) {
  return status(status_code::invalid_argument, std::move(why));
}

status check_address(const char* flag, const std::string& value) {
  if (value.empty()) return {};
  const auto parsed = parse_host_port(value);
  return parsed ? status() : wrong(text(flag, " is ", value, "; ", parsed.error().why()));
}

bool is_everywhere(std::string_view host) {
  return host == "0.0.0.0" || host == "::";
}

// Names that others cannot dial are told nobody.
status check_advertised(const node_plan& plan) {
  const auto listen = parse_host_port(plan.listen);
  if (!plan.advertise.empty() || !listen || !is_everywhere(listen->host)) return {};
  return wrong(text("--listen ", plan.listen,
                    " is no address that others can dial; say which one with --advertise"));
}

status put_addresses(const node_settings& settings, node_plan& plan) {
  const auto* own = plan.cluster.find(plan.name);
  plan.listen = settings.listen;
  plan.advertise = settings.advertise;
  if (own != nullptr) {
    if (plan.listen.empty()) plan.listen = own->address;
    if (plan.advertise.empty()) plan.advertise = own->address;
  }
  if (plan.listen.empty()) plan.listen = "127.0.0.1:0";
  std::string http = settings.http;
  if (http.empty() && own != nullptr) http = own->http;
  if (http.empty()) http = "127.0.0.1:0";
  plan.http = parse_host_port(http).value(); // both were checked
  return check_advertised(plan);
}

} // namespace

bool is_of_serve_alone(std::string_view option) {
  static const std::vector<std::string> of_engine = [] {
    std::vector<std::string> out;
    engine_settings unused;
    unused.for_each_field([&out](const field& from, auto&) {
      if (from.name != "actor-threads") out.emplace_back(from.name);
    });
    return out;
  }();
  return std::find(serve_alone.begin(), serve_alone.end(), option) != serve_alone.end() ||
         std::find(of_engine.begin(), of_engine.end(), option) != of_engine.end();
}

status check_node_settings(const node_settings& settings) {
  if (settings.cluster.empty() == settings.join.empty())
    return wrong(settings.cluster.empty()
                     ? "give --cluster FILE with the cluster file, or --join HOST:PORT with the "
                       "address of a node that has it"
                     : "give one of --cluster and --join, not both");
  if (!settings.cluster.empty() && settings.name.empty())
    return wrong("give --name NAME: which node of the cluster file this is");
  if (!settings.name.empty() && !is_node_name(settings.name))
    return wrong(text("--name is ", quoted_text(settings.name),
                      "; it may have at most 64 letters, digits, '.', '_' and '-'"));
  if (!settings.coordination.empty())
    if (auto s = check_coordination(settings.coordination); !s.ok()) return wrong("--" + s.why());
  TROUPE_RETURN_IF_ERROR(check_address("--join", settings.join));
  TROUPE_RETURN_IF_ERROR(check_address("--http", settings.http));
  TROUPE_RETURN_IF_ERROR(check_address("--listen", settings.listen));
  TROUPE_RETURN_IF_ERROR(check_address("--advertise", settings.advertise));
  if (settings.transport_encryption == "off" && !settings.trusted_network)
    return wrong(
        "--transport-encryption off lets whoever can reach the network read and forge "
        "what nodes tell each other; if nobody else can, say so with --trusted-network");
  return {};
}

result<node_plan> plan_node(const node_settings& settings, cluster_file cluster,
                            const std::string& file) {
  node_plan plan;
  plan.cluster = std::move(cluster);
  plan.name = settings.name;
  const auto names = plan.cluster.names();
  const auto self = std::find(names.begin(), names.end(), plan.name);
  if (self == names.end()) {
    const std::string near = nearest_name(plan.name, names);
    return fail(wrong(text(file, ": no node is called ", quoted_text(plan.name),
                           near.empty() ? "" : text("; did you mean ", near, "?"),
                           " A name for a node that is added later stands in spare")));
  }
  plan.self = static_cast<schemas::node_index>(self - names.begin());
  if (!settings.coordination.empty()) plan.cluster.coordination = settings.coordination;
  plan.voter = plan.cluster.votes() && plan.self < plan.cluster.voters;
  if (auto s = put_addresses(settings, plan); !s.ok()) return fail(std::move(s));
  for (const auto& node : plan.cluster.nodes)
    if (node.name != plan.name) plan.peers.emplace_back(node.name, node.address);
  if (!settings.join.empty()) plan.peers.emplace_back("", settings.join);
  plan.data_dir = settings.data_dir.empty() ? text("troupe-data/", plan.name) : settings.data_dir;
  plan.secret_file = settings.secret_file;
  if (plan.secret_file.empty() && !plan.cluster.secret_file.empty())
    plan.secret_file =
        (std::filesystem::path(file).parent_path() / plan.cluster.secret_file).string();
  plan.encrypt = settings.transport_encryption == "on";
  plan.memory = settings.memory.bytes;
  if (const auto* own = plan.cluster.find(plan.name); plan.memory == 0 && own != nullptr)
    plan.memory = own->memory.bytes;
  return plan;
}

result<std::string> free_name(const cluster_file& cluster, const std::vector<std::string>& taken) {
  auto names = cluster.spare;
  for (const auto& node : cluster.nodes) names.push_back(node.name);
  for (const auto& name : names)
    if (std::find(taken.begin(), taken.end(), name) == taken.end()) return name;
  return fail(status_code::exhausted,
              text("all ", names.size(),
                   " names of the cluster are taken; more of them are given "
                   "by spare in the cluster file, equal on all nodes"));
}

} // namespace troupe::cli
