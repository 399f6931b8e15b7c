// Plans as TOML.
#include "simulations/faults/plan_text.hpp"

#include "base/text.hpp"
#include "simulations/faults/catalogue.hpp"
#include "simulations/faults/scenario_text.hpp"
#include "simulations/runner/invariants.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace troupe::simulations {
namespace {

constexpr duration long_time = std::chrono::hours(1);
constexpr uint32_t picks_most = 1'000'000;

void read_seed_key(table_reader& from, std::string_view key, std::optional<uint64_t>& out) {
  const auto* value = from.take_any(key);
  if (value == nullptr || !from.good()) return;
  if (value->is == toml_value::kind::integer && value->number >= 0) {
    out = static_cast<uint64_t>(value->number);
    return;
  }
  const auto parsed = parse_seed(value->text);
  if (parsed)
    out = *parsed;
  else
    from.complain(*value, text(key, " must be a number, or one in quotes such as \"0x1f\""));
}

const fault_entry* read_id(table_reader& from, std::string& out) {
  from.take("id", out);
  if (!from.good()) return nullptr;
  const fault_entry* entry = find_fault(out);
  if (out.empty())
    from.complain("id", "a fault needs an id, such as id = \"F03\"");
  else if (entry == nullptr)
    from.complain("id", text("'", out, "' is no fault of the catalogue"));
  else if (!entry->implemented())
    from.complain("id", text(out, " (", entry->name, ") cannot be injected: ", entry->not_yet));
  return entry;
}

void read_fault_settings(table_reader& from, const fault_entry& entry, fault& out,
                         std::string_view file) {
  const auto* table = from.take("settings", toml_value::kind::table);
  if (table == nullptr) return;
  table_reader settings(*table, text("settings of ", entry.id), file);
  for (const auto& each : entry.settings) {
    const std::string name(each.name);
    int64_t value = 0;
    settings.take(name, value, each.allowed_least, each.allowed_most);
    if (table->find(name) != nullptr) out.settings[name] = value;
  }
  if (const auto done = settings.finish(); !done.ok()) from.fail_with(done);
}

status read_fault(const toml_value& table, uint32_t nodes, std::string_view file, fault& out) {
  table_reader from(table, "fault", file);
  const fault_entry* entry = read_id(from, out.id);
  from.take("at", out.when.at, duration{}, long_time);
  from.take("probe", out.when.probe);
  from.take("nth", out.when.nth, uint64_t{1}, uint64_t{1'000'000'000});
  from.take("target", out.target);
  constexpr std::array roles = {"", "leader", "sequencer", "stage", "shard", "idle"};
  if (std::find(roles.begin(), roles.end(), out.target) == roles.end())
    from.complain("target",
                  "target must be leader, sequencer, stage, shard or idle; a fault of "
                  "a certain node has `node` alone");
  from.take("node", out.node, 0u, out.target.empty() ? nodes - 1 : picks_most);
  uint32_t peer = UINT32_MAX;
  from.take("peer", peer, 0u, nodes - 1);
  if (from.good() && peer != UINT32_MAX) out.peer = peer;
  if (out.peer && *out.peer == out.node && out.target.empty())
    from.complain("peer", "peer is the node itself");
  from.take("lasts", out.lasts, duration{}, long_time);
  if (entry != nullptr && from.good()) read_fault_settings(from, *entry, out, file);
  return from.finish();
}

void read_strategy(table_reader& from, strategy_options& out) {
  std::string name(to_string(out.kind));
  from.take("strategy", name);
  const auto kind = parse_strategy(name);
  if (kind)
    out.kind = *kind;
  else
    from.complain("strategy", text("strategy: ", kind.error().why()));
  from.take("changes", out.changes, 0u, 1'000'000u);
  from.take("horizon", out.horizon, uint64_t{1}, uint64_t{1'000'000'000'000});
}

// For a comment, which ends with its line.
std::string in_one_line(std::string what) {
  for (char& c : what)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return what;
}

void write_fault(const fault& from, std::string& out) {
  out += text("\n[[fault]] # ", in_one_line(describe(from)), "\nid = ", toml_quoted(from.id), "\n");
  if (from.when.probe.empty()) {
    out += text("at = ", toml_quoted(write_duration(from.when.at)), "\n");
  } else {
    out += text("probe = ", toml_quoted(from.when.probe), "\nnth = ", from.when.nth, "\n");
    if (from.when.at != duration{})
      out += text("at = ", toml_quoted(write_duration(from.when.at)), "\n");
  }
  if (from.when.probe.empty() && from.when.nth != 1) out += text("nth = ", from.when.nth, "\n");
  if (!from.target.empty()) out += text("target = ", toml_quoted(from.target), "\n");
  out += text("node = ", from.node, "\n");
  if (from.peer) out += text("peer = ", *from.peer, "\n");
  if (from.lasts != duration{})
    out += text("lasts = ", toml_quoted(write_duration(from.lasts)), "\n");
  if (from.settings.empty()) return;
  std::string settings;
  for (const auto& [key, value] : from.settings)
    settings += text(settings.empty() ? "" : ", ", key, " = ", value);
  out += text("settings = { ", settings, " }\n");
}

} // namespace

bool operator==(const plan_file& a, const plan_file& b) {
  return a.about == b.about && a.seed == b.seed && a.strategy.kind == b.strategy.kind &&
         a.strategy.changes == b.strategy.changes && a.strategy.horizon == b.strategy.horizon &&
         a.plan == b.plan && a.invariant == b.invariant && a.hash == b.hash;
}

result<plan_file> parse_plan(std::string_view source, std::string_view file) {
  const auto document = read_toml(source, file);
  if (!document) return fail(document.error());
  plan_file out;
  table_reader from(*document, "", file);
  int64_t format = plan_format;
  from.take("format", format, plan_format, plan_format);
  std::optional<uint64_t> seed;
  read_seed_key(from, "seed", seed);
  out.seed = seed.value_or(0);
  read_strategy(from, out.strategy);
  from.take("invariant", out.invariant);
  if (!out.invariant.empty() && !is_failure_name(out.invariant))
    from.complain("invariant",
                  text("invariant is '", out.invariant, "', must be one such as \"S2\""));
  read_seed_key(from, "hash", out.hash);
  if (const auto* table = from.take("scenario", toml_value::kind::table)) {
    auto about = read_scenario(*table, file);
    if (!about) return fail(about.error());
    out.about = std::move(*about);
  }
  if (const auto* list = from.take("fault", toml_value::kind::array)) {
    for (const auto& each : list->items) {
      out.plan.faults.emplace_back();
      const auto read = read_fault(each, out.about.cluster.nodes, file, out.plan.faults.back());
      if (!read.ok()) return fail(read);
    }
  }
  if (const auto done = from.finish(); !done.ok()) return fail(done);
  return out;
}

std::string write_plan(const plan_file& what) {
  std::string out =
      text("# A run of troupe simulate: troupe simulate replay THIS_FILE\nformat = ", plan_format,
           "\nseed = ", toml_quoted(seed_text(what.seed)), "\n");
  out += text("strategy = ", toml_quoted(to_string(what.strategy.kind)),
              "\nchanges = ", what.strategy.changes, "\nhorizon = ", what.strategy.horizon, "\n");
  if (!what.invariant.empty()) out += text("invariant = ", toml_quoted(what.invariant), "\n");
  if (what.hash) out += text("hash = ", toml_quoted(seed_text(*what.hash)), "\n");
  out += text("\n", write_scenario_at(what.about, "scenario."));
  for (const auto& each : what.plan.faults) write_fault(each, out);
  return out;
}

std::string describe(const fault& what) {
  const fault_entry* entry = find_fault(what.id);
  std::string out = what.id;
  if (entry != nullptr) out += text(" ", entry->name);
  if (what.when.probe.empty())
    out += text(" at ", write_duration(what.when.at));
  else
    out += text(" at hit ", what.when.nth, " of ", what.when.probe);
  if (entry == nullptr || entry->scope != fault_scope::cluster)
    out += what.target.empty() ? text(", n", what.node)
                               : text(", ", what.target, " (", what.node, ")");
  if (what.peer) out += text(" to n", *what.peer);
  if (what.lasts != duration{}) out += text(", lasts ", write_duration(what.lasts));
  return out;
}

result<uint64_t> parse_seed(std::string_view source) {
  const bool hex = source.starts_with("0x") || source.starts_with("0X");
  const std::string_view digits = hex ? source.substr(2) : source;
  uint64_t out = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), out, hex ? 16 : 10);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    return fail(status_code::invalid_argument,
                text("'", source, "' is no seed: a number up to 2^64 - 1, or 0x and hex digits"));
  return out;
}

std::string seed_text(uint64_t seed) {
  std::string out(16, '0');
  const auto [end, error] = std::to_chars(out.data(), out.data() + out.size(), seed, 16);
  return text("0x", std::string_view(out.data(), static_cast<size_t>(end - out.data())));
}

} // namespace troupe::simulations
