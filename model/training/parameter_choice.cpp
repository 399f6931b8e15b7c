// Kinds follow from the places of the map; lists are read word by word.
#include "model/training/parameter_choice.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <optional>

namespace troupe::model {
namespace {

constexpr std::array<std::string_view, 8> kind_words = {"embedding", "attention", "dense", "router",
                                                        "shared",    "expert",    "head",  "norm"};
constexpr std::string_view layers_word = "layers:";

parameter_kind kind_of_owner(parameter_owner owner) {
  switch (owner) {
    case parameter_owner::embedding:
      return parameter_kind::embedding;
    case parameter_owner::attention:
      return parameter_kind::attention;
    case parameter_owner::dense:
      return parameter_kind::dense;
    case parameter_owner::router:
      return parameter_kind::router;
    case parameter_owner::expert:
      return parameter_kind::expert;
    case parameter_owner::head:
      break;
  }
  return parameter_kind::head;
}

struct layer_range {
  uint32_t first = 0;
  uint32_t last = 0;
};

std::optional<uint32_t> number_in(std::string_view word) {
  uint32_t out = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
  if (word.empty() || error != std::errc() || end != word.data() + word.size()) return {};
  return out;
}

std::optional<layer_range> layers_in(std::string_view word) {
  if (!word.starts_with(layers_word)) return {};
  word.remove_prefix(layers_word.size());
  const size_t dash = word.find('-');
  const auto first = number_in(word.substr(0, dash));
  const auto last = dash == word.npos ? first : number_in(word.substr(dash + 1));
  if (!first || !last || *last < *first) return {};
  return layer_range{*first, *last};
}

bool lies_in_layers(const parameter& p) {
  return p.owner != parameter_owner::embedding && p.owner != parameter_owner::head;
}

std::vector<parameter_id> tensors_of(parameter_kind kind, const parameter_map& map) {
  std::vector<parameter_id> out;
  const bool tied = map.head == map.embedding && map.head != no_parameter;
  if (kind == parameter_kind::head && tied) out.push_back(map.head);
  const auto kinds = kinds_of(map);
  for (parameter_id id = 0; id < kinds.size(); ++id)
    if (kinds[id] == kind) out.push_back(id);
  return out;
}

status add_layers(const layer_range& layers, const parameter_map& map, parameter_set& out) {
  if (layers.last >= map.layers.size()) {
    return status(status_code::invalid_argument,
                  text("the model has layers 0 to ", map.layers.size() - 1));
  }
  for (parameter_id id = 0; id < map.list.size(); ++id) {
    const auto& p = map[id];
    if (lies_in_layers(p) && p.layer >= layers.first && p.layer <= layers.last) out.add(id);
  }
  return {};
}

status add_word(std::string_view word, const parameter_map& map, parameter_set& out) {
  if (const auto layers = layers_in(word)) return add_layers(*layers, map, out);
  const auto found = std::find(kind_words.begin(), kind_words.end(), word);
  if (found == kind_words.end()) {
    std::string known;
    for (const auto& each : kind_words) known += text(each, ", ");
    return status(status_code::invalid_argument,
                  text("must be one of ", known, "or ", layers_word, "A-B"));
  }
  const auto kind = static_cast<parameter_kind>(found - kind_words.begin());
  const auto ids = tensors_of(kind, map);
  if (ids.empty()) return status(status_code::invalid_argument, "the model has no such tensor");
  for (const parameter_id id : ids) out.add(id);
  return {};
}

} // namespace

void parameter_set::add(parameter_id id) {
  if (held_[id]) return;
  held_[id] = true;
  ++count_;
}

std::vector<parameter_kind> kinds_of(const parameter_map& map) {
  std::vector<parameter_kind> out;
  for (const auto& p : map.list) out.push_back(kind_of_owner(p.owner));
  const auto mark = [&out](std::initializer_list<parameter_id> ids, parameter_kind kind) {
    for (const parameter_id id : ids)
      if (id != no_parameter) out[id] = kind;
  };
  mark({map.head_norm}, parameter_kind::norm);
  for (const auto& layer : map.layers) {
    const auto& attention = layer.attention;
    mark({attention.input_norm, attention.post_norm, attention.q_norm, attention.k_norm,
          attention.q_rank_norm, attention.kv_rank_norm},
         parameter_kind::norm);
    const auto& shared = layer.router.shared;
    mark({shared.gate, shared.up, shared.down, shared.gate_bias, shared.up_bias, shared.down_bias,
          layer.router.shared_gate},
         parameter_kind::shared);
  }
  return out;
}

result<parameter_set> read_parameter_list(std::string_view list, const parameter_map& map) {
  parameter_set out(map);
  if (list.empty()) return out;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    std::string_view word = list.substr(begin, end - begin);
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    if (const status added = add_word(word, map, out); !added.ok())
      return fail(added.within(text("'", word, "' at character ", begin + 1)));
    begin = end + 1;
  }
  return out;
}

} // namespace troupe::model
