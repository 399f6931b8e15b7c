// Row-wise kernels over the team: embedding, norms, activations, rope, storing keys and values,
// routing, gathering and combining.
#include "base/check.hpp"
#include "compute/checks.hpp"
#include "compute/cpu/team_kernels.hpp"
#include "compute/kv_layout.hpp"

#include <algorithm>
#include <cstring>

namespace troupe::compute {
namespace {

constexpr uint32_t element_columns = 512; // of a piece of a row, when rows are cut

uint64_t steps(const matrix_view& y) {
  return uint64_t{y.rows} * ((y.cols + 15) / 16);
}

} // namespace

team_kernels::team_kernels(const kernel_table& table, thread_team& team, part_meter* meter)
    : table_(table), team_(team), meter_(meter), scratch_(team.size()) {}

void team_kernels::enter(part next) {
  if (meter_ != nullptr) meter_->enter(next);
}

float* team_kernels::scratch_floats(uint32_t share, size_t count) {
  buffer& floats = scratch_[share].floats;
  if (floats.bytes() < count * sizeof(float)) floats = buffer(count * sizeof(float) * 3 / 2);
  return floats.as<float>().data();
}

template <class Body>
void team_kernels::split_elements(const matrix_view& y, uint64_t steps_each, Body body) {
  const uint32_t pieces =
      y.rows >= team_.size() ? 1 : (y.cols + element_columns - 1) / element_columns;
  const uint32_t columns = pieces <= 1 ? y.cols : element_columns;
  split(uint64_t{y.rows} * pieces, steps(y) * steps_each,
        [&](uint64_t begin, uint64_t end, uint32_t) {
          for (uint64_t unit = begin; unit < end; ++unit) {
            const auto column = static_cast<uint32_t>(unit % pieces) * columns;
            body(static_cast<uint32_t>(unit / pieces), column, std::min(columns, y.cols - column));
          }
        });
}

void team_kernels::embed(const embed_args& args) {
  check_args(args);
  // The elements of a row lie far apart in the packed table: about a cache miss each.
  split(args.y.rows, uint64_t{args.y.rows} * args.y.cols * 4,
        [&](uint64_t begin, uint64_t end, uint32_t) {
          for (auto r = static_cast<uint32_t>(begin); r < end; ++r) {
            unpack_row(*args.table, static_cast<uint32_t>(args.ids[r]), args.y.row(r));
          }
        });
}

void team_kernels::rms_norm(const rms_norm_args& args) {
  check_args(args);
  const uint32_t count = args.x.cols / args.groups;
  split(uint64_t{args.x.rows} * args.groups, steps(args.y) * 4,
        [&](uint64_t begin, uint64_t end, uint32_t) {
          for (uint64_t unit = begin; unit < end; ++unit) {
            const auto row = static_cast<uint32_t>(unit / args.groups);
            const size_t at = unit % args.groups * count;
            table_.rms_norm(args.x.row(row) + at, count, args.gain.data(), args.eps,
                            args.y.row(row) + at);
          }
        });
}

void team_kernels::gated_activation(const gated_activation_args& args) {
  check_args(args);
  split_elements(args.y, 16, [&](uint32_t row, uint32_t column, uint32_t count) {
    table_.gated_activation(static_cast<uint32_t>(args.kind), args.gate.row(row) + column,
                            args.up.row(row) + column, count, args.y.row(row) + column);
  });
}

void team_kernels::rope(const rope_args& args) {
  check_args(args);
  const uint32_t pairs = args.rotary_dim / 2;
  const uint64_t work = uint64_t{args.x.rows} * args.heads * (pairs + 15) / 16 * 8;
  split(args.x.rows, work, [&](uint64_t begin, uint64_t end, uint32_t share) {
    float* scratch = scratch_floats(share, args.rotary_dim);
    for (auto r = static_cast<uint32_t>(begin); r < end; ++r) {
      const float* cos_sin = args.cos_sin.row(args.positions[r]);
      table_.rope({.x = args.x.row(r) + args.rotary_begin,
                   .heads = args.heads,
                   .head_dim = args.head_dim,
                   .pairs = pairs,
                   .style = static_cast<uint32_t>(args.style),
                   .cosines = cos_sin,
                   .sines = cos_sin + pairs,
                   .scratch = scratch});
    }
  });
}

void team_kernels::kv_store(const kv_store_args& args) {
  check_args(args);
  const kv_shape& shape = args.kv.shape;
  const kv_layout layout{shape};
  const bool turned = !shape.value_in_key; // a key then lies across its page
  const uint64_t work = uint64_t{args.keys.rows} * shape.heads *
                        (shape.key_dim * (turned ? 2 : 1) + shape.value_dim / 8);
  split(args.keys.rows, work, [&](uint64_t begin, uint64_t end, uint32_t) {
    for (auto r = static_cast<uint32_t>(begin); r < end; ++r) {
      const uint32_t token = args.slots[r] % shape.page_tokens;
      float* page = reinterpret_cast<float*>(args.kv.data) +
                    args.slots[r] / shape.page_tokens * layout.page_floats();
      for (uint32_t h = 0; h < shape.heads; ++h) {
        const float* key = args.keys.row(r) + size_t{h} * shape.key_dim;
        if (!turned) {
          std::memcpy(page + layout.key(h, token, 0), key, shape.key_dim * sizeof(float));
          continue;
        }
        float* at = page + layout.key(h, token, 0);
        for (uint32_t d = 0; d < shape.key_dim; ++d) at[size_t{d} * shape.page_tokens] = key[d];
        std::memcpy(page + layout.value(h, token, 0),
                    args.values.row(r) + size_t{h} * shape.value_dim,
                    shape.value_dim * sizeof(float));
      }
    }
  });
}

void team_kernels::route(const route_args& args) {
  check_args(args);
  split(args.logits.rows, uint64_t{args.logits.rows} * (args.rule.experts + 64),
        [&](uint64_t begin, uint64_t end, uint32_t share) {
          for (auto r = static_cast<uint32_t>(begin); r < end; ++r) {
            route_row(args, r, scratch_[share]);
          }
        });
}

void team_kernels::route_row(const route_args& args, uint32_t row, share_scratch& scratch) {
  const router_rule& rule = args.rule;
  const float* logits = args.logits.row(row);
  std::vector<float>& scores = scratch.scores;
  scores.assign(logits, logits + rule.experts);
  if (rule.score == router_score::softmax) table_.softmax(logits, rule.experts, scores.data());
  if (rule.score == router_score::sigmoid) table_.sigmoid(logits, rule.experts, scores.data());
  scratch.choice = scores;
  for (size_t e = 0; e < args.bias.size(); ++e) scratch.choice[e] += args.bias[e];

  const auto ids = args.ids.subspan(size_t{row} * rule.top_k, rule.top_k);
  const auto weights = args.weights.subspan(size_t{row} * rule.top_k, rule.top_k);
  scratch.chooser.choose(rule, scratch.choice, ids);
  for (uint32_t j = 0; j < rule.top_k; ++j) weights[j] = scores[static_cast<size_t>(ids[j])];
  if (rule.score == router_score::softmax_of_chosen) {
    std::copy(weights.begin(), weights.end(), scores.begin());
    table_.softmax(scores.data(), rule.top_k, weights.data());
  }
  if (rule.normalise) {
    float sum = 0;
    for (const float weight : weights) sum += weight;
    sum += rule.normalise_eps;
    for (float& weight : weights) weight /= sum;
  }
  for (float& weight : weights) weight *= rule.scale;
}

void team_kernels::gather(const gather_args& args) {
  check_args(args);
  split(args.y.rows, steps(args.y), [&](uint64_t begin, uint64_t end, uint32_t) {
    for (auto r = static_cast<uint32_t>(begin); r < end; ++r) {
      std::memcpy(args.y.row(r), args.x.row(args.rows[r]), args.y.cols * sizeof(float));
    }
  });
}

void team_kernels::combine(const combine_args& args) {
  check_args(args);
  split(args.y.rows, steps(args.y) * (args.top_k + 2),
        [&](uint64_t begin, uint64_t end, uint32_t share) {
          std::vector<const float*>& rows = scratch_[share].rows;
          for (auto r = static_cast<uint32_t>(begin); r < end; ++r) {
            rows.clear();
            for (uint32_t j = 0; j < args.top_k; ++j) {
              rows.push_back(args.expert_rows.row(args.slots[size_t{r} * args.top_k + j]));
            }
            table_.combine(
                {.rows = rows.data(),
                 .weights = args.weights.data() + size_t{r} * args.top_k,
                 .count = args.top_k,
                 .shared = args.shared.data != nullptr ? args.shared.row(r) : nullptr,
                 .residual = args.residual.data != nullptr ? args.residual.row(r) : nullptr,
                 .y = args.y.row(r),
                 .columns = args.y.cols});
          }
        });
}

void team_kernels::clamp(const clamp_args& args) {
  check_args(args);
  split_elements(args.y, 2, [&](uint32_t row, uint32_t column, uint32_t count) {
    table_.clamp(args.x.row(row) + column, args.limit, count, args.y.row(row) + column);
  });
}

void team_kernels::scale(const scale_args& args) {
  check_args(args);
  split_elements(args.y, 2, [&](uint32_t row, uint32_t column, uint32_t count) {
    table_.scale(args.x.row(row) + column, args.factor, count, args.y.row(row) + column);
  });
}

void team_kernels::sigmoid_gate(const sigmoid_gate_args& args) {
  check_args(args);
  split_elements(args.y, 2, [&](uint32_t row, uint32_t column, uint32_t count) {
    float gate = 0;
    table_.sigmoid(args.gate.row(row), 1, &gate);
    table_.scale(args.x.row(row) + column, gate, count, args.y.row(row) + column);
  });
}

void team_kernels::for_each(uint32_t count, const std::function<void(uint32_t)>& body) {
  split(count, UINT64_MAX, [&](uint64_t begin, uint64_t end, uint32_t) {
    for (auto i = static_cast<uint32_t>(begin); i < end; ++i) body(i);
  });
}

} // namespace troupe::compute
