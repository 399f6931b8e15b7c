// Reads every table with the options machinery, so that names, ranges and defaults are said once.
#include "cli/cluster_file.hpp"

#include "base/text.hpp"
#include "cli/host_port.hpp"
#include "storage/etcd/etcd_options.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>

namespace troupe::cli {
namespace {

constexpr size_t name_bytes_max = 64;
constexpr std::array<std::string_view, 3> node_own = {"attention-stages", "expert-shards",
                                                      "actor-threads"};

uint32_t milliseconds(duration from) {
  return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(from).count());
}

// Keys may be written with hyphens as flags are, or with underscores.
std::string with(char wanted, char instead_of, std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), instead_of, wanted);
  return out;
}
std::string as_option_name(std::string_view key) {
  return with('-', '_', key);
}
std::string as_key(std::string_view option) {
  return with('_', '-', option);
}

std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_boolean()) return show_value(value->get());
  if (const auto* value = node.as_integer()) return text(value->get());
  if (const auto* value = node.as_floating_point()) return text(value->get());
  return std::nullopt;
}

class file_reader {
public:
  explicit file_reader(const std::string& file) : file_(file) {}

  status read(const toml::table& document) {
    static const std::vector<std::string> tables = {"node", "timing", "engine"};
    auto options = options_of(out_);
    for (const auto& [key, node] : document) {
      if (key.str() == "node")
        TROUPE_RETURN_IF_ERROR(read_nodes(node));
      else if (key.str() == "timing")
        TROUPE_RETURN_IF_ERROR(read_table("timing", node, options_of(out_.timing)));
      else if (key.str() == "engine")
        TROUPE_RETURN_IF_ERROR(read_table("engine", node, shared_options(out_.engine)));
      else
        TROUPE_RETURN_IF_ERROR(read_key("a cluster file", key, node, options, tables));
    }
    TROUPE_RETURN_IF_ERROR(check_nodes(document));
    return check_whole(document);
  }

  cluster_file take() { return std::move(out_); }

private:
  static std::vector<option> shared_options(engine_settings& settings) {
    auto options = options_of(settings);
    std::erase_if(options, [](const option& each) { return !is_shared_engine_setting(each.name); });
    return options;
  }

  status refused(const toml::source_region& where, std::string why) const {
    return status(status_code::invalid_argument,
                  text(file_, ":", where.begin.line, ":", where.begin.column, ": ", why));
  }

  status read_nodes(const toml::node& node) {
    const auto* list = node.as_array();
    if (list == nullptr || !list->is_homogeneous(toml::node_type::table))
      return refused(node.source(), "nodes are written as tables that begin with [[node]]");
    for (const auto& entry : *list) {
      auto& made = out_.nodes.emplace_back();
      places_.push_back(entry.source());
      TROUPE_RETURN_IF_ERROR(read_table("[node]", entry, options_of(made)));
    }
    return {};
  }

  status read_table(const std::string& name, const toml::node& node, std::vector<option> options) {
    const auto* table = node.as_table();
    if (table == nullptr)
      return refused(node.source(), text(name, " must be a table: [", name, "]"));
    for (const auto& [key, value] : *table)
      TROUPE_RETURN_IF_ERROR(read_key(text("[", name, "]"), key, value, options, {}));
    return {};
  }

  status read_key(const std::string& of, const toml::key& key, const toml::node& node,
                  std::vector<option>& options, std::vector<std::string> names) {
    const std::string name = as_option_name(key.str());
    const auto found = std::find_if(options.begin(), options.end(),
                                    [&](const option& each) { return each.name == name; });
    if (found == options.end()) {
      for (const auto& each : options) names.push_back(as_key(each.name));
      const std::string near = nearest_name(as_key(name), names);
      return refused(key.source(), text(key.str(), " is no setting of ", of,
                                        near.empty() ? "" : text("; did you mean ", near, "?")));
    }
    std::vector<std::string> values;
    TROUPE_RETURN_IF_ERROR(read_values(key, node, found->is_list, values));
    std::string bad;
    if (const auto taken = found->assign(values, bad); !taken.ok())
      return refused(node.source(), text(key.str(), " is ", quoted_text(bad), "; ", taken.why()));
    return {};
  }

  status read_values(const toml::key& key, const toml::node& node, bool is_list,
                     std::vector<std::string>& out) const {
    if (const auto* list = node.as_array()) {
      if (!is_list) return refused(node.source(), text(key.str(), " takes one value, not a list"));
      for (const auto& entry : *list) {
        auto value = scalar_text(entry);
        if (!value) return refused(entry.source(), text(key.str(), " must be a list of texts"));
        out.push_back(std::move(*value));
      }
      return {};
    }
    auto value = scalar_text(node);
    if (!value)
      return refused(node.source(), text(key.str(), " must be a number, a text, true or false"));
    out.push_back(std::move(*value));
    return {};
  }

  // Where a key stands, for what is wrong only together with others.
  toml::source_region place_of(const toml::table& document, std::string_view name) const {
    for (const auto& [key, node] : document)
      if (as_option_name(key.str()) == name) return key.source();
    return document.source();
  }

  status check_nodes(const toml::table& document) {
    if (out_.nodes.empty())
      return refused(document.source(), "there is no node; each is written as a [[node]] table");
    std::map<std::string, size_t> lines, addresses;
    for (size_t i = 0; i < out_.nodes.size(); ++i) {
      auto& node = out_.nodes[i];
      TROUPE_RETURN_IF_ERROR(check_name(node.name, places_[i], lines));
      TROUPE_RETURN_IF_ERROR(check_addresses(node, i, addresses));
    }
    for (const auto& name : out_.spare)
      TROUPE_RETURN_IF_ERROR(check_name(name, place_of(document, "spare"), lines));
    return {};
  }

  status check_name(const std::string& name, const toml::source_region& where,
                    std::map<std::string, size_t>& lines) const {
    if (name.empty()) return refused(where, "this node has no name");
    if (!is_node_name(name))
      return refused(where, text("name is ", quoted_text(name),
                                 "; it may have at most 64 letters, digits, '.', '_' and '-', and "
                                 "must not begin with '.' or '-'"));
    const auto [at, added] = lines.emplace(name, where.begin.line);
    if (!added)
      return refused(where, text("two nodes are named ", quoted_text(name),
                                 "; the other one is in "
                                 "line ",
                                 at->second));
    return {};
  }

  status check_addresses(const cluster_file_node& node, size_t index,
                         std::map<std::string, size_t>& taken) const {
    const auto& where = places_[index];
    if (node.address.empty()) return refused(where, text("node ", node.name, " has no address"));
    const auto address = parse_host_port(node.address);
    if (!address)
      return refused(where, text("address of node ", node.name, " is ", quoted_text(node.address),
                                 "; ", address.error().why()));
    if (address->port == 0)
      return refused(where, text("address of node ", node.name, " is ", quoted_text(node.address),
                                 "; the others must know its port, so it cannot be 0"));
    for (const auto* each : {&node.address, &node.http}) {
      if (each->empty()) continue;
      const auto parsed = parse_host_port(*each);
      if (!parsed)
        return refused(where, text("http of node ", node.name, " is ", quoted_text(*each), "; ",
                                   parsed.error().why()));
      if (parsed->port == 0) continue;
      const auto [at, added] = taken.emplace(*each, where.begin.line);
      if (!added) return refused(where, text(*each, " is used twice, also in line ", at->second));
    }
    return {};
  }

  status check_whole(const toml::table& document) {
    const auto nodes = static_cast<uint32_t>(out_.nodes.size());
    if (!is_node_name(out_.cluster))
      return refused(place_of(document, "cluster"),
                     text("cluster is ", quoted_text(out_.cluster),
                          "; it may have at most 64 letters, digits, '.', '_' and '-'"));
    if (auto s = check_coordination(out_.coordination); !s.ok())
      return refused(place_of(document, "coordination"), s.why());
    if (out_.voters == 0) out_.voters = nodes >= 3 ? 3 : 1;
    if (out_.shard_copies == 0) out_.shard_copies = std::min(2u, nodes);
    if (out_.voters > nodes)
      return refused(place_of(document, "voters"),
                     text("voters is ", out_.voters, "; there are ", nodes,
                          " nodes, and a spare one cannot vote"));
    // The model says more about these two, when it is known.
    const auto most = std::numeric_limits<uint32_t>::max();
    if (auto s = dataflow::validate(layout_of(out_, most, most)); !s.ok())
      return refused(document.source(), s.why());
    if (auto s = dataflow::validate(out_.timing.timing()); !s.ok())
      return refused(place_of(document, "timing"), text("[timing]: ", s.why()));
    return {};
  }

  const std::string& file_;
  cluster_file out_;
  std::vector<toml::source_region> places_; // of nodes
};

// What differs from a default, as lines.
std::string lines_of(const std::vector<option>& options, const std::vector<option>& defaults) {
  std::string out;
  for (size_t i = 0; i < options.size(); ++i) {
    const std::string value = options[i].show();
    if (!value.empty() && value != defaults[i].show())
      out += text(as_key(options[i].name), " = ", value, "\n");
  }
  return out;
}

template <class Settings>
std::string table_of(std::string_view heading, Settings settings, bool (*keep)(std::string_view)) {
  Settings fresh;
  auto options = options_of(settings);
  auto defaults = options_of(fresh);
  if (keep != nullptr) {
    std::erase_if(options, [keep](const option& each) { return !keep(each.name); });
    std::erase_if(defaults, [keep](const option& each) { return !keep(each.name); });
  }
  const std::string lines = lines_of(options, defaults);
  if (lines.empty()) return "";
  return heading.empty() ? lines : text("\n", heading, "\n", lines);
}

} // namespace

status check_coordination(const std::string& where) {
  if (where == "embedded") return {};
  const auto parsed = storage::parse_etcd_address(where);
  if (parsed) return {};
  return status(status_code::invalid_argument, text("coordination is ", quoted_text(where),
                                                    "; it is embedded, or ", parsed.error().why()));
}

cluster_file_timing::cluster_file_timing() {
  const dataflow::cluster_timing from;
  report_every_ms = milliseconds(from.report_every);
  suspect_phi = from.suspect_phi;
  pause_allowed_ms = milliseconds(from.pause_allowed);
  silence_max_ms = milliseconds(from.silence_max);
  reconnect_allowed_ms = milliseconds(from.reconnect_allowed);
  vote_timeout_ms = milliseconds(from.vote_timeout);
  readmit_first_ms = milliseconds(from.readmit_first);
  readmit_max_ms = milliseconds(from.readmit_max);
  formation_wait_ms = milliseconds(from.formation_wait);
  resend_after_ms = milliseconds(from.resend_after);
  step_max_ms = milliseconds(from.step_max);
  reroute_after_ms = milliseconds(from.reroute_after);
  rebalance_every_ms = milliseconds(from.rebalance_every);
}

dataflow::cluster_timing cluster_file_timing::timing() const {
  using std::chrono::milliseconds;
  dataflow::cluster_timing out;
  out.report_every = milliseconds(report_every_ms);
  out.suspect_phi = suspect_phi;
  out.pause_allowed = milliseconds(pause_allowed_ms);
  out.silence_max = milliseconds(silence_max_ms);
  out.reconnect_allowed = milliseconds(reconnect_allowed_ms);
  out.vote_timeout = milliseconds(vote_timeout_ms);
  out.readmit_first = milliseconds(readmit_first_ms);
  out.readmit_max = milliseconds(readmit_max_ms);
  out.formation_wait = milliseconds(formation_wait_ms);
  out.resend_after = milliseconds(resend_after_ms);
  out.step_max = milliseconds(step_max_ms);
  out.reroute_after = milliseconds(reroute_after_ms);
  out.rebalance_every = milliseconds(rebalance_every_ms);
  return out;
}

const cluster_file_node* cluster_file::find(std::string_view name) const {
  for (const auto& node : nodes)
    if (node.name == name) return &node;
  return nullptr;
}

std::vector<std::string> cluster_file::names() const {
  std::vector<std::string> out;
  for (const auto& node : nodes) out.push_back(node.name);
  out.insert(out.end(), spare.begin(), spare.end());
  return out;
}

bool is_shared_engine_setting(std::string_view option) {
  return std::find(node_own.begin(), node_own.end(), option) == node_own.end();
}

result<cluster_file> parse_cluster_file(std::string_view toml_text, const std::string& file) {
  toml::table document;
  try {
    document = toml::parse(toml_text, std::string_view(file));
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    return fail(status_code::invalid_argument, text(file, ":", at.line, ":", at.column, ": ",
                                                    std::string_view(error.description())));
  }
  file_reader reader(file);
  if (auto read = reader.read(document); !read.ok()) return fail(std::move(read));
  return reader.take();
}

std::string render_cluster_file(const cluster_file& from) {
  cluster_file portable = from;
  portable.secret_file.clear();
  std::string out = "# a cluster of Troupe; docs/cluster.md describes every setting\n";
  out += table_of("", portable, nullptr);
  for (const auto& node : from.nodes) out += table_of("[[node]]", node, nullptr);
  out += table_of("[timing]", from.timing, nullptr);
  out += table_of("[engine]", from.engine, is_shared_engine_setting);
  return out;
}

dataflow::cluster_layout layout_of(const cluster_file& from, uint32_t layers, uint32_t experts) {
  dataflow::cluster_layout out;
  out.nodes = from.names();
  out.voters = from.voters;
  out.stages = from.stages;
  out.shards = from.shards;
  if (out.shards == 0) out.shards = static_cast<uint32_t>(from.nodes.size());
  if (from.shards == 0 && experts > 0) out.shards = std::min(out.shards, experts);
  out.shard_copies = from.shard_copies;
  out.shard_copies_max = from.shard_copies_max;
  out.layers = layers;
  out.experts = experts;
  return out;
}

bool is_node_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= name_bytes_max && name[0] != '.' && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), allowed);
}

} // namespace troupe::cli
