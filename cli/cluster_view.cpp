// Reads the pages of nodes and lays them out.
#include "cli/cluster_view.hpp"

#include "base/text.hpp"
#include "cli/http_get.hpp"
#include "cli/option_value.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <tuple>

namespace troupe::cli {
namespace {

using json_value = nlohmann::ordered_json;

constexpr size_t bar_columns = 24;
constexpr size_t experts_per_screen = 32;

std::vector<member_view> members_of(const json_value& from) {
  std::vector<member_view> out;
  for (const auto& each : from) {
    member_view member;
    member.name = each.at("name");
    member.incarnation = each.at("incarnation");
    member.voter = each.at("voter");
    member.present = each.at("present");
    member.serving = each.at("serving");
    member.connected = each.at("connected");
    member.roles = each.at("roles").get<std::vector<std::string>>();
    member.speed = each.at("speed");
    member.memory = each.at("memory");
    member.memory_roles = each.at("memory_roles");
    out.push_back(std::move(member));
  }
  return out;
}

void put_figures(const json_value& from, node_answer& out) {
  out.expert_rows = from.at("expert_rows").get<std::vector<std::vector<uint64_t>>>();
  const auto& placement = from.at("placement");
  out.shards = placement.at("expert_shards").get<std::vector<std::vector<std::string>>>();
  out.shard_rows = placement.at("shard_rows").get<std::vector<uint64_t>>();
  if (placement.at("no_room").is_string()) out.no_room = placement.at("no_room");
  const auto& kv = from.at("kv");
  out.pages_total = kv.at("pages_total");
  out.pages_used = kv.at("pages_used");
  out.pages_cached = kv.at("pages_cached");
  const auto& requests = from.at("requests");
  out.streams_open = requests.at("streams_open");
  out.generated_tokens = requests.at("generated_tokens");
  out.steps = requests.at("steps");
  const auto& recoveries = from.at("recoveries");
  out.recoveries = recoveries.at("count");
  if (const auto& last = recoveries.at("last"); !last.is_null()) {
    out.last_lost = last.at("lost").get<std::vector<std::string>>();
    out.last_took_ms = last.at("took_ms");
    out.last_at = last.at("at");
  }
  out.frames_resent = from.at("gateway").at("resent");
  out.frames_stale = from.at("gateway").at("stale");
  out.bytes_sent = from.at("transport").at("bytes_sent");
}

// --- Text

std::string fixed(double value, int digits) {
  std::array<char, 32> out;
  std::snprintf(out.data(), out.size(), "%.*f", digits, value);
  return out.data();
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string out;
  for (const auto& part : parts) out += text(out.empty() ? "" : between, part);
  return out;
}

// Columns as wide as their widest cell; the last one is not padded.
class table {
public:
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const {
    std::string out;
    for (const auto& cells : rows_) {
      std::string line;
      for (size_t i = 0; i < cells.size(); ++i) {
        line += cells[i];
        if (i + 1 < cells.size()) line.append(width(i) + 2 - cells[i].size(), ' ');
      }
      while (line.ends_with(' ')) line.pop_back();
      out += line + "\n";
    }
    return out;
  }

private:
  size_t width(size_t column) const {
    size_t out = 0;
    for (const auto& cells : rows_)
      if (column < cells.size()) out = std::max(out, cells[column].size());
    return out;
  }
  std::vector<std::vector<std::string>> rows_;
};

const member_view* member_of(const node_answer* of, const std::string& name) {
  if (of == nullptr) return nullptr;
  for (const auto& member : of->members)
    if (member.name == name) return &member;
  return nullptr;
}

// "attention_stage/0 gating_router/0" says twice the same thing; a person needs it once, and short.
std::string short_roles(const member_view* member) {
  if (member == nullptr) return "";
  std::string shards;
  std::vector<std::string> out;
  for (const auto& role : member->roles) {
    const size_t slash = role.find('/');
    const std::string kind = role.substr(0, slash), number = role.substr(slash + 1);
    if (kind == "sequencer") out.emplace_back("sequencer");
    if (kind == "attention_stage") out.push_back(text("stage ", number));
    if (kind == "expert_shard") shards += text(shards.empty() ? "" : ",", number);
  }
  if (!shards.empty()) out.push_back(text("shards ", shards));
  return joined(out, ", ");
}

std::string headline(const cluster_view& view) {
  const auto* newest = view.newest();
  if (newest == nullptr) return "no node answers\n";
  size_t serving = 0, present = 0;
  for (const auto& member : newest->members) {
    serving += member.present && member.serving ? 1 : 0;
    present += member.present ? 1 : 0;
  }
  return text("epoch ", newest->epoch, newest->serving ? " serves" : " does not serve", "; ",
              present, " nodes take part, ", serving, " of them work\n");
}

std::string room_line(const cluster_view& view) {
  const auto* newest = view.newest();
  return newest == nullptr || newest->no_room.empty() ? ""
                                                      : text("no room: ", newest->no_room, "\n");
}

// Speeds beside the fastest, since a number of operations means little to people.
std::string speed_of(const member_view* member, const node_answer* of) {
  if (member == nullptr || member->speed == 0) return "-";
  uint64_t fastest = 1;
  for (const auto& each : of->members) fastest = std::max(fastest, each.speed);
  return text(member->speed * 100 / fastest, "%");
}

std::string memory_of(const member_view* member) {
  if (member == nullptr) return "-";
  return text(human_bytes(member->memory_roles), "/",
              member->memory == 0 ? "any" : human_bytes(member->memory));
}

std::string recovery_line(const cluster_view& view) {
  const node_answer* last = nullptr;
  uint64_t most = 0;
  for (const auto& node : view.nodes) {
    if (!node.answer) continue;
    most = std::max(most, node.answer->recoveries);
    if (node.answer->last_at > 0 && (last == nullptr || node.answer->last_at > last->last_at))
      last = &*node.answer;
  }
  std::string out = text("recoveries ", most);
  if (last != nullptr)
    out += text("; the last one ", std::max<int64_t>(0, view.wall_seconds - last->last_at),
                " s ago, ", last->last_lost.empty() ? "of a part" : joined(last->last_lost, " "),
                ", ", fixed(last->last_took_ms, 0), " ms from the decision to the new epoch");
  return out + "\n";
}

// Rows that experts have computed, over all nodes: the router of a layer counts, and it moves.
std::vector<uint64_t> rows_by_expert(const cluster_view& view) {
  std::vector<uint64_t> out;
  for (const auto& node : view.nodes) {
    if (!node.answer) continue;
    for (const auto& layer : node.answer->expert_rows) {
      out.resize(std::max(out.size(), layer.size()));
      for (size_t expert = 0; expert < layer.size(); ++expert) out[expert] += layer[expert];
    }
  }
  return out;
}

std::string expert_lines(const cluster_view& view) {
  const auto rows = rows_by_expert(view);
  uint64_t total = 0, most = 0;
  for (const uint64_t count : rows) {
    total += count;
    most = std::max(most, count);
  }
  if (rows.empty()) return "";
  std::string out = text("\nload per expert, all layers: ", total, " rows\n");
  table lines;
  for (size_t expert = 0; expert < std::min(rows.size(), experts_per_screen); ++expert) {
    const size_t columns = most == 0 ? 0 : (rows[expert] * bar_columns + most - 1) / most;
    lines.row({text("  ", expert), text(rows[expert]), std::string(columns, '#')});
  }
  out += lines.text();
  if (rows.size() > experts_per_screen)
    out += text("  and ", rows.size() - experts_per_screen, " more\n");
  return out;
}

std::string shard_lines(const node_answer* newest) {
  if (newest == nullptr || newest->shard_rows.empty()) return "";
  uint64_t most = 0;
  for (const uint64_t rows : newest->shard_rows) most = std::max(most, rows);
  std::string out = "\nload per shard, of late, and where it is\n";
  table lines;
  const size_t count = std::min(newest->shard_rows.size(), experts_per_screen);
  for (size_t shard = 0; shard < count; ++shard) {
    const uint64_t rows = newest->shard_rows[shard];
    const size_t columns = most == 0 ? 0 : (rows * bar_columns + most - 1) / most;
    lines.row({text("  ", shard), text(rows), std::string(columns, '#'),
               shard < newest->shards.size() ? joined(newest->shards[shard], " ") : ""});
  }
  out += lines.text();
  if (newest->shard_rows.size() > count)
    out += text("  and ", newest->shard_rows.size() - count, " more\n");
  return out;
}

std::string per_second(uint64_t now, const uint64_t* then, double seconds) {
  if (then == nullptr || seconds <= 0 || now < *then) return "-";
  return fixed(static_cast<double>(now - *then) / seconds, 1);
}

const node_answer* answer_before(const cluster_view* before, const node_answer& now) {
  if (before == nullptr) return nullptr;
  for (const auto& node : before->nodes)
    if (node.answer && node.answer->self == now.self && node.answer->incarnation == now.incarnation)
      return &*node.answer;
  return nullptr;
}

std::vector<std::string> top_row(const node_view& node, const member_view* member,
                                 const cluster_view* before, double seconds,
                                 const node_answer* newest) {
  if (!node.answer)
    return {node.name, state_of(node), "-", "-", "-", "-", "-", "-", "-", node.problem};
  const auto& now = *node.answer;
  const auto* then = answer_before(before, now);
  return {now.self,
          state_of(node),
          text(now.epoch),
          text(now.streams_open),
          per_second(now.generated_tokens, then ? &then->generated_tokens : nullptr, seconds),
          text(now.pages_used, "+", now.pages_cached, "/", now.pages_total),
          text(human_bytes(now.bytes_sent), ", ", now.frames_resent, " again"),
          speed_of(member, newest),
          memory_of(member),
          short_roles(member)};
}

} // namespace

result<node_answer> parse_node_answer(std::string_view json) {
  try {
    const auto from = json_value::parse(json);
    node_answer out;
    out.self = from.at("self");
    out.incarnation = from.at("incarnation");
    out.epoch = from.at("epoch");
    out.kv_version = from.at("kv_version");
    out.serving = from.at("serving");
    out.majority = from.at("majority");
    out.draining = from.at("draining");
    out.drained = from.at("drained");
    if (from.at("gave_up").is_string()) out.gave_up = from.at("gave_up");
    out.members = members_of(from.at("members"));
    put_figures(from, out);
    return out;
  } catch (const json_value::exception& error) {
    return fail(status_code::corrupt, text("is no page of a node: ", error.what()));
  }
}

void ask_node(const clock& time, const host_port& http, const std::string& admin_key,
              node_view& view) {
  const auto page = http_get(time, {.server = http, .path = "/admin/cluster", .key = admin_key});
  if (!page) {
    view.problem = page.error().why();
    return;
  }
  if (page->status != 200) {
    view.problem = text("answers /admin/cluster with ", page->status,
                        page->status == 401 ? ": the admin key is not its own" : "",
                        page->status == 404 ? ": it is a node of its own" : "");
    return;
  }
  auto answer = parse_node_answer(page->body);
  if (!answer) {
    view.problem = answer.error().why();
    return;
  }
  view.name = answer->self;
  view.answer = std::move(*answer);
}

const node_answer* cluster_view::newest() const {
  const node_answer* best = nullptr;
  for (const auto& node : nodes) {
    if (!node.answer) continue;
    const auto rank = [](const node_answer& of) { return std::tuple(of.serving, of.epoch); };
    if (best == nullptr || rank(*node.answer) > rank(*best)) best = &*node.answer;
  }
  return best;
}

std::string state_of(const node_view& node) {
  if (node.ended) return "ended";
  if (!node.answer) return "silent";
  const auto& answer = *node.answer;
  if (!answer.gave_up.empty()) return "gave up";
  if (answer.drained) return "drained";
  if (answer.draining) return "draining";
  if (!answer.majority) return "cut off";
  return answer.serving ? "serving" : "waiting";
}

std::string status_text(const cluster_view& view) {
  const auto* newest = view.newest();
  table lines;
  lines.row({"NODE", "STATE", "PID", "EPOCH", "URL", "ROLES"});
  for (const auto& node : view.nodes)
    lines.row({node.name, state_of(node), node.pid == 0 ? "-" : text(node.pid),
               node.answer ? text(node.answer->epoch) : "-", node.url,
               node.answer ? short_roles(member_of(newest, node.name)) : node.problem});
  return headline(view) + room_line(view) + recovery_line(view) + "\n" + lines.text();
}

std::string status_json(const cluster_view& view) {
  json_value nodes = json_value::array();
  for (const auto& node : view.nodes) {
    json_value each{{"name", node.name},     {"state", state_of(node)}, {"pid", node.pid},
                    {"url", node.url},       {"problem", nullptr},      {"epoch", nullptr},
                    {"incarnation", nullptr}};
    if (!node.problem.empty()) each["problem"] = node.problem;
    if (node.answer) {
      each["epoch"] = node.answer->epoch;
      each["incarnation"] = node.answer->incarnation;
    }
    if (const auto* member = member_of(view.newest(), node.name)) each["roles"] = member->roles;
    nodes.push_back(std::move(each));
  }
  const auto* newest = view.newest();
  json_value out{{"serving", newest != nullptr && newest->serving},
                 {"epoch", newest == nullptr ? 0 : newest->epoch},
                 {"nodes", std::move(nodes)}};
  return out.dump(2, ' ', false, json_value::error_handler_t::replace) + "\n";
}

std::string top_text(const cluster_view& view, const cluster_view* before) {
  const auto* newest = view.newest();
  const double seconds =
      before == nullptr ? 0 : std::chrono::duration<double>(view.taken - before->taken).count();
  table lines;
  lines.row({"NODE", "STATE", "EPOCH", "STREAMS", "TOKENS/S", "KV PAGES", "SENT", "SPEED", "MEMORY",
             "ROLES"});
  for (const auto& node : view.nodes)
    lines.row(top_row(node, member_of(newest, node.name), before, seconds, newest));
  // Those that others know of and nobody has asked.
  for (const auto& member : newest == nullptr ? std::vector<member_view>{} : newest->members) {
    const auto asked = std::any_of(view.nodes.begin(), view.nodes.end(),
                                   [&](const node_view& node) { return node.name == member.name; });
    if (!asked && (member.present || member.connected))
      lines.row({member.name, member.serving ? "member" : "idle", "-", "-", "-", "-", "-",
                 speed_of(&member, newest), memory_of(&member), short_roles(&member)});
  }
  return headline(view) + room_line(view) + recovery_line(view) + "\n" + lines.text() +
         shard_lines(newest) + expert_lines(view);
}

} // namespace troupe::cli
