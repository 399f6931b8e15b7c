// Scenarios as TOML. Each struct lists its keys once, for reading and for writing, so that neither
// can forget one.
#include "simulations/faults/scenario.hpp"

#include "base/text.hpp"
#include "simulations/faults/catalogue.hpp"
#include "simulations/faults/scenario_text.hpp"
#include "simulations/runner/invariants.hpp"

#include <algorithm>
#include <array>

namespace troupe::simulations {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// What the tiny model of the simulations can be cut into.
constexpr uint32_t stages_most = 4, shards_most = 8, positions_most = 128;
constexpr uint32_t page_tokens = 8;
constexpr uint32_t many = 1'000'000;
constexpr std::array target_names = {"any",   "leader", "voter", "sequencer",
                                     "stage", "shard",  "door",  "idle"};

template <class Visitor, class Cluster>
void cluster_keys(Visitor& visit, Cluster& c) {
  visit("nodes", c.nodes, 1u, 64u);
  visit("voters", c.voters, 1u, 63u);
  visit("stages", c.stages, 1u, stages_most);
  visit("shards", c.shards, 1u, shards_most);
  visit("shard_copies", c.shard_copies, 1u, 64u);
  visit("shard_copies_max", c.shard_copies_max, 0u, 64u);
  visit("node_speeds", c.node_speeds, 1u, 1024u);
  visit("doors", c.doors, 0u, 64u);
  visit("sequences_max", c.sequences_max, 1u, 1024u);
  visit("queue_max", c.queue_max, 1u, many);
  visit("kv_pages", c.kv_pages, 0u, many);
}

template <class Visitor, class Workload>
void workload_keys(Visitor& visit, Workload& w) {
  visit("requests", w.requests, 0u, 100'000u);
  visit("over", w.over, duration{}, duration(hours(1)));
  visit("prompt_tokens_min", w.prompt_tokens_min, 1u, positions_most - 1);
  visit("prompt_tokens_max", w.prompt_tokens_max, 1u, positions_most - 1);
  visit("answer_tokens_min", w.answer_tokens_min, 1u, positions_most - 1);
  visit("answer_tokens_max", w.answer_tokens_max, 1u, positions_most - 1);
  visit("choices_max", w.choices_max, 1u, 8u);
  visit("shared_prefix_percent", w.shared_prefix_percent, 0u, 100u);
  visit("cancel_percent", w.cancel_percent, 0u, 100u);
  visit("greedy_percent", w.greedy_percent, 0u, 100u);
  visit("logprobs_percent", w.logprobs_percent, 0u, 100u);
  visit("stop_percent", w.stop_percent, 0u, 100u);
  visit("priority_percent", w.priority_percent, 0u, 100u);
  visit("salt_percent", w.salt_percent, 0u, 100u);
  visit("deadline_percent", w.deadline_percent, 0u, 100u);
  visit("deadline_max", w.deadline_max, duration(milliseconds(1)), duration(hours(1)));
  visit("patience", w.patience, duration(milliseconds(10)), duration(hours(1)));
  visit("retries_max", w.retries_max, 0u, many);
}

template <class Visitor, class Expectation>
void expectation_keys(Visitor& visit, Expectation& e) {
  visit("explicit_errors", e.explicit_errors);
  visit("survivable", e.survivable);
  visit("fails_with", e.fails_with);
  visit("settle", e.settle, duration(milliseconds(1)), duration(hours(1)));
  visit("core_only", e.core_only);
}

struct key_reader {
  table_reader& from;
  template <class Value>
  void operator()(std::string_view key, Value& out, Value least, Value most) {
    from.take(key, out, least, most);
  }
  template <class Value>
  void operator()(std::string_view key, Value& out) {
    from.take(key, out);
  }
  void operator()(std::string_view key, std::vector<uint32_t>& out, uint32_t least, uint32_t most) {
    const auto* list = from.take(key, toml_value::kind::array);
    if (list == nullptr) return;
    out.clear();
    for (const auto& each : list->items) {
      if (each.is != toml_value::kind::integer || each.number < int64_t{least} ||
          each.number > int64_t{most})
        return from.complain(each,
                             text(key, " must hold whole numbers from ", least, " to ", most));
      out.push_back(static_cast<uint32_t>(each.number));
    }
  }
};

std::string value_text(uint32_t value) {
  return text(value);
}
std::string value_text(bool value) {
  return value ? "true" : "false";
}
std::string value_text(duration value) {
  return toml_quoted(write_duration(value));
}
std::string value_text(const std::string& value) {
  return toml_quoted(value);
}

struct key_writer {
  std::string out;
  template <class Value>
  void operator()(std::string_view key, const Value& value, Value = {}, Value = {}) {
    out += text(key, " = ", value_text(value), "\n");
  }
  void operator()(std::string_view key, const std::vector<uint32_t>& values, uint32_t, uint32_t) {
    std::string list;
    for (const uint32_t each : values) list += text(list.empty() ? "" : ", ", each);
    if (!values.empty()) out += text(key, " = [", list, "]\n");
  }
};

// "key = 3" or "key = [1, 3]".
template <class Value>
void take_range(table_reader& from, std::string_view key, Value& least, Value& most, Value floor,
                Value ceiling, const std::function<result<Value>(const toml_value&)>& read) {
  const auto* value = from.take_any(key);
  if (value == nullptr || !from.good()) return;
  const bool is_list = value->is == toml_value::kind::array;
  if (is_list && value->items.size() != 2)
    return from.complain(*value, text(key, " must be one value, or a list of least and most"));
  const auto low = read(is_list ? value->items[0] : *value);
  const auto high = read(is_list ? value->items[1] : *value);
  if (!low || !high)
    return from.complain(*value, text(key, ": ", (low ? high : low).error().why()));
  if (*low > *high) return from.complain(*value, text(key, ": the least is more than the most"));
  if (*low < floor || *high > ceiling) {
    if constexpr (std::is_same_v<Value, duration>)
      return from.complain(*value, text(key, " must lie within ", write_duration(floor), " and ",
                                        write_duration(ceiling)));
    else
      return from.complain(*value, text(key, " must lie within ", floor, " and ", ceiling));
  }
  least = *low;
  most = *high;
}

result<duration> read_length(const toml_value& from) {
  if (from.is != toml_value::kind::string)
    return fail(status_code::invalid_argument, "must be a duration in quotes, such as \"300ms\"");
  return parse_duration(from.text);
}

result<int64_t> read_number(const toml_value& from) {
  if (from.is != toml_value::kind::integer)
    return fail(status_code::invalid_argument, "must be a whole number");
  return from.number;
}

void read_settings(table_reader& from, const fault_entry& entry, antagonist& out,
                   std::string_view file) {
  const auto* table = from.take("settings", toml_value::kind::table);
  if (table == nullptr) return;
  table_reader settings(*table, text("settings of ", entry.id), file);
  for (const auto& setting : entry.settings) {
    std::pair<int64_t, int64_t> range;
    bool given = false;
    take_range<int64_t>(settings, setting.name, range.first, range.second, setting.allowed_least,
                        setting.allowed_most, [&](const toml_value& value) {
                          given = true;
                          return read_number(value);
                        });
    if (given) out.settings.emplace(setting.name, range);
  }
  if (const auto done = settings.finish(); !done.ok()) from.fail_with(done);
}

void read_target(table_reader& from, uint32_t nodes, antagonist& out) {
  const auto* value = from.take_any("target");
  if (value == nullptr) return;
  if (value->is == toml_value::kind::integer) {
    if (value->number < 0 || value->number >= int64_t{nodes})
      return from.complain(*value,
                           text("target is node ", value->number, "; nodes are 0 to ", nodes - 1));
    out.target = text(value->number);
    return;
  }
  const bool known =
      std::find(target_names.begin(), target_names.end(), value->text) != target_names.end();
  if (value->is == toml_value::kind::string && known) {
    out.target = value->text;
    return;
  }
  const std::string near = nearest_name(value->text, target_names);
  from.complain(*value, text("target must be any, leader, voter, sequencer, stage, shard, door, "
                             "idle or the number of a node",
                             near.empty() ? "" : text("; did you mean ", near, "?")));
}

const fault_entry* read_fault_id(table_reader& from, std::string& out) {
  from.take("id", out);
  if (!from.good()) return nullptr;
  if (out.empty()) {
    from.complain("id", "an antagonist needs the id of a fault, such as id = \"F03\"");
    return nullptr;
  }
  const fault_entry* entry = find_fault(out);
  if (entry == nullptr) {
    std::vector<std::string_view> names;
    for (const auto& each : fault_catalogue()) names.push_back(each.id);
    const std::string near = nearest_name(out, names);
    from.complain("id", text("'", out, "' is no fault of the catalogue",
                             near.empty() ? "" : text("; did you mean ", near, "?")));
  } else if (!entry->implemented()) {
    from.complain("id", text(out, " (", entry->name, ") cannot be injected: ", entry->not_yet));
  }
  return entry;
}

status read_antagonist(const toml_value& table, uint32_t nodes, std::string_view file,
                       antagonist& out) {
  table_reader from(table, "antagonist", file);
  const fault_entry* entry = read_fault_id(from, out.id);
  int64_t least = out.count_min, most = out.count_max;
  take_range<int64_t>(from, "count", least, most, 0, 10'000, read_number);
  out.count_min = static_cast<uint32_t>(least);
  out.count_max = static_cast<uint32_t>(most);
  from.take("from", out.from, duration{}, duration(hours(1)));
  from.take("until", out.until, duration{}, duration(hours(1)));
  if (out.from > out.until) from.complain("from", "from is later than until");
  from.take("probe", out.probe);
  from.take("nth_max", out.nth_max, uint64_t{1}, uint64_t{1'000'000});
  read_target(from, nodes, out);
  take_range<duration>(from, "lasts", out.lasts_min, out.lasts_max, duration{}, hours(1),
                       read_length);
  if (entry != nullptr && from.good()) read_settings(from, *entry, out, file);
  from.take("percent", out.percent, 0u, 100u);
  return from.finish();
}

status check_cluster(table_reader& from, const scenario_cluster& c) {
  if (c.voters % 2 == 0)
    from.complain("voters", text("cluster.voters is ", c.voters, ", must be odd"));
  if (c.voters > c.nodes)
    from.complain("voters", text("cluster.voters is ", c.voters, ", more than cluster.nodes (",
                                 c.nodes, ")"));
  if (c.shard_copies_max > 0 && c.shard_copies_max < c.shard_copies)
    from.complain("shard_copies_max",
                  text("cluster.shard_copies_max is ", c.shard_copies_max,
                       ", must be 0 or at least shard_copies (", c.shard_copies, ")"));
  if (c.doors > c.nodes)
    from.complain("doors",
                  text("cluster.doors is ", c.doors, ", more than cluster.nodes (", c.nodes, ")"));
  if (c.kv_pages > 0 && c.kv_pages < positions_most / page_tokens)
    from.complain("kv_pages", text("cluster.kv_pages is ", c.kv_pages,
                                   ", must be 0 or hold one sequence, which takes ",
                                   positions_most / page_tokens));
  return from.finish();
}

status check_workload(table_reader& from, const scenario_workload& w) {
  if (w.prompt_tokens_min > w.prompt_tokens_max)
    from.complain("prompt_tokens_min", "workload.prompt_tokens_min is above prompt_tokens_max");
  if (w.answer_tokens_min > w.answer_tokens_max)
    from.complain("answer_tokens_min", "workload.answer_tokens_min is above answer_tokens_max");
  if (w.prompt_tokens_max + w.answer_tokens_max > positions_most)
    from.complain(
        "prompt_tokens_max",
        text("workload.prompt_tokens_max and answer_tokens_max together are ",
             w.prompt_tokens_max + w.answer_tokens_max, ", the model takes ", positions_most));
  return from.finish();
}

status check_expectation(table_reader& from, const scenario_expectation& e) {
  if (!e.fails_with.empty() && !is_failure_name(e.fails_with))
    from.complain("fails_with", text("expect.fails_with is '", e.fails_with,
                                     "', must be an invariant such as \"M6\" or a status such as "
                                     "\"unavailable\""));
  return from.finish();
}

template <class Read>
status in_table(table_reader& from, std::string_view key, std::string_view file, Read read) {
  const auto* table = from.take(key, toml_value::kind::table);
  if (table == nullptr) return {};
  table_reader inner(*table, key, file);
  return read(inner);
}

std::string range_text(const std::string& least, const std::string& most) {
  return least == most ? least : text("[", least, ", ", most, "]");
}

void write_antagonist(const antagonist& from, std::string_view prefix, std::string& out) {
  out += text("\n[[", prefix, "antagonist]]\nid = ", toml_quoted(from.id), "\n");
  out += text("count = ", range_text(text(from.count_min), text(from.count_max)), "\n");
  out += text("from = ", value_text(from.from), "\nuntil = ", value_text(from.until), "\n");
  if (!from.probe.empty()) out += text("probe = ", toml_quoted(from.probe), "\n");
  out += text("nth_max = ", from.nth_max, "\n");
  const bool is_number = from.target.find_first_not_of("0123456789") == std::string::npos;
  out += text("target = ", is_number ? from.target : toml_quoted(from.target), "\n");
  out += text("lasts = ", range_text(value_text(from.lasts_min), value_text(from.lasts_max)), "\n");
  out += text("percent = ", from.percent, "\n");
  if (from.settings.empty()) return;
  std::string settings;
  for (const auto& [key, range] : from.settings)
    settings += text(settings.empty() ? "" : ", ", key, " = ",
                     range_text(text(range.first), text(range.second)));
  out += text("settings = { ", settings, " }\n");
}

} // namespace

result<scenario> read_scenario(const toml_value& table, std::string_view file) {
  scenario out;
  table_reader from(table, "", file);
  key_reader top{from};
  top("name", out.name);
  top("about", out.about);
  const auto cluster = in_table(from, "cluster", file, [&](table_reader& inner) {
    key_reader read{inner};
    cluster_keys(read, out.cluster);
    return check_cluster(inner, out.cluster);
  });
  if (!cluster.ok()) return fail(cluster);
  const auto workload = in_table(from, "workload", file, [&](table_reader& inner) {
    key_reader read{inner};
    workload_keys(read, out.workload);
    return check_workload(inner, out.workload);
  });
  if (!workload.ok()) return fail(workload);
  const auto expect = in_table(from, "expect", file, [&](table_reader& inner) {
    key_reader read{inner};
    expectation_keys(read, out.expect);
    return check_expectation(inner, out.expect);
  });
  if (!expect.ok()) return fail(expect);
  if (const auto* list = from.take("antagonist", toml_value::kind::array)) {
    for (const auto& each : list->items) {
      out.antagonists.emplace_back();
      const auto read = read_antagonist(each, out.cluster.nodes, file, out.antagonists.back());
      if (!read.ok()) return fail(read);
    }
  }
  if (const auto done = from.finish(); !done.ok()) return fail(done);
  return out;
}

std::string write_scenario_at(const scenario& what, std::string_view prefix) {
  const std::string_view own = prefix.empty() ? prefix : prefix.substr(0, prefix.size() - 1);
  std::string out = own.empty() ? "" : text("[", own, "]\n");
  out += text("name = ", toml_quoted(what.name), "\nabout = ", toml_quoted(what.about), "\n");
  const auto section = [&](std::string_view name, auto keys) {
    key_writer write;
    keys(write);
    out += text("\n[", prefix, name, "]\n", write.out);
  };
  section("cluster", [&](key_writer& write) { cluster_keys(write, what.cluster); });
  section("workload", [&](key_writer& write) { workload_keys(write, what.workload); });
  section("expect", [&](key_writer& write) { expectation_keys(write, what.expect); });
  for (const auto& each : what.antagonists) write_antagonist(each, prefix, out);
  return out;
}

result<scenario> parse_scenario(std::string_view text, std::string_view file) {
  const auto document = read_toml(text, file);
  if (!document) return fail(document.error());
  return read_scenario(*document, file);
}

std::string write_scenario(const scenario& what) {
  return write_scenario_at(what, "");
}

} // namespace troupe::simulations
