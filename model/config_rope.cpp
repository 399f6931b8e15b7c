// Which of the two spellings counts, and what each kind of scaling needs.
#include "model/config_rope.hpp"

#include "base/text.hpp"
#include "model/config_families.hpp"

#include <array>
#include <utility>

namespace troupe::model {
namespace {

constexpr double factor_max = 1e6;

constexpr std::array<std::pair<std::string_view, rope_kind>, 6> kinds = {{
    {"default", rope_kind::plain},
    {"linear", rope_kind::linear},
    {"dynamic", rope_kind::dynamic},
    {"yarn", rope_kind::yarn},
    {"llama3", rope_kind::llama3},
    {"longrope", rope_kind::longrope},
}};

rope_kind read_kind(config_fields& rope) {
  const char* field = rope.given("rope_type") ? "rope_type" : "type";
  const std::string name = rope.word(field, "default");
  for (const auto& [spelling, kind] : kinds) {
    if (name == spelling) return kind;
  }
  rope.refuse_field(status_code::unsupported, field,
                    text("is '", name, "', which is not known here"));
  return rope_kind::plain;
}

double needed(config_fields& rope, std::string_view name, double least, double most) {
  if (!rope.given(name)) rope.refuse_field(status_code::corrupt, name, "is missing");
  return rope.number(name, least, least, most);
}

void read_yarn(config_fields& rope, rope_spec& out) {
  out.factor = rope.number(
      "factor", static_cast<double>(out.positions_max) / out.original_positions, 1e-6, factor_max);
  out.attention_factor = rope.optional_number("attention_factor", 0, factor_max);
  // Zero means the default, as in the reference implementation.
  const double fast = rope.number("beta_fast", 0, 0, factor_max);
  const double slow = rope.number("beta_slow", 0, 0, factor_max);
  if (fast > 0) out.beta_fast = fast;
  if (slow > 0) out.beta_slow = slow;
  out.mscale = rope.number("mscale", 0, 0, factor_max);
  out.mscale_all_dim = rope.number("mscale_all_dim", 0, 0, factor_max);
  out.truncate = rope.flag("truncate", true);
  if (out.theta <= 1)
    rope.refuse_field(status_code::corrupt, "rope_theta", "must be above 1 for yarn");
}

void read_llama3(config_fields& rope, rope_spec& out) {
  out.factor = needed(rope, "factor", 1e-6, factor_max);
  out.low_freq_factor = needed(rope, "low_freq_factor", 1e-6, factor_max);
  out.high_freq_factor = needed(rope, "high_freq_factor", 1e-6, factor_max);
  if (rope.ok() && out.high_freq_factor <= out.low_freq_factor) {
    rope.refuse_field(
        status_code::corrupt, "high_freq_factor",
        text("is ", out.high_freq_factor, ", not above low_freq_factor ", out.low_freq_factor));
  }
}

std::vector<double> read_factors(config_fields& rope, std::string_view name, uint32_t count) {
  auto factors = rope.numbers(name);
  if (factors.size() != count) {
    rope.refuse_field(status_code::corrupt, name,
                      text("has ", factors.size(), " entries where ", count, " are needed"));
  }
  for (const double factor : factors) {
    if (factor <= 0) rope.refuse_field(status_code::corrupt, name, text("holds ", factor));
  }
  return factors;
}

void read_longrope(config_fields& rope, rope_spec& out) {
  out.factor = rope.number(
      "factor", static_cast<double>(out.positions_max) / out.original_positions, 1e-6, factor_max);
  out.attention_factor = rope.optional_number("attention_factor", 0, factor_max);
  out.short_factor = read_factors(rope, "short_factor", out.dim / 2);
  out.long_factor = read_factors(rope, "long_factor", out.dim / 2);
  if (out.original_positions < 2) {
    rope.refuse_field(status_code::corrupt, "original_max_position_embeddings", "must be above 1");
  }
}

void read_scaling(config_fields& config, config_fields& rope, rope_spec& out) {
  auto& positions = config.given("original_max_position_embeddings") ? config : rope;
  out.original_positions =
      positions.size("original_max_position_embeddings", out.positions_max, 1, positions_limit);
  switch (out.kind) {
    case rope_kind::plain:
      return;
    case rope_kind::linear:
      out.factor = needed(rope, "factor", 1e-6, factor_max);
      break;
    case rope_kind::dynamic:
      out.factor = needed(rope, "factor", 1e-6, factor_max);
      if (out.dim <= 2)
        config.refuse(status_code::corrupt, "dynamic rope needs more than two columns");
      break;
    case rope_kind::yarn:
      read_yarn(rope, out);
      break;
    case rope_kind::llama3:
      read_llama3(rope, out);
      break;
    case rope_kind::longrope:
      read_longrope(rope, out);
      break;
  }
  // Only the latent families look at it, and for every kind but the default.
  if (out.kind != rope_kind::yarn)
    out.mscale_all_dim = rope.number("mscale_all_dim", 0, 0, factor_max);
}

} // namespace

rope_spec read_rope(config_fields& config, uint32_t dim, double default_theta,
                    uint32_t positions_max) {
  rope_spec out;
  out.dim = dim;
  out.positions_max = positions_max;
  if (dim % 2 != 0)
    config.refuse(status_code::corrupt, text("rope needs an even head dimension, not ", dim));
  // A filled rope_scaling replaces rope_parameters; a rope_theta inside the object wins.
  const auto* scaling = config.object("rope_scaling");
  const char* field = scaling != nullptr && !scaling->empty() ? "rope_scaling" : "rope_parameters";
  const auto* parameters = config.object(field);
  const nlohmann::json none = nlohmann::json::object();
  status first;
  config_fields rope(parameters != nullptr ? *parameters : none, text(config.where(), ", ", field),
                     first);
  const double outer_theta = config.number("rope_theta", default_theta, 1e-3, 1e15);
  out.theta = rope.number("rope_theta", outer_theta, 1e-3, 1e15);
  for (auto* fields : {&config, &rope}) {
    if (fields->number("partial_rotary_factor", 1, 0, 1) != 1) {
      fields->refuse_field(status_code::unsupported, "partial_rotary_factor", "is not 1");
    }
  }
  out.kind = read_kind(rope);
  read_scaling(config, rope, out);
  config.adopt(first);
  return out;
}

} // namespace troupe::model
