// Products over the team: rows of block formats are quantised once, then all products of the call
// are cut into units of (64 output columns, some rows), and threads take contiguous runs of them,
// so that they stream their weights through memory in order: several runs each, one after another,
// so that a thread that is held up leaves the rest to the others.
#include "base/check.hpp"
#include "compute/checks.hpp"
#include "compute/cpu/team_kernels.hpp"

#include <algorithm>
#include <atomic>

namespace troupe::compute {
namespace {

constexpr uint32_t chunk_rows_max = 96; // a multiple of every row blocking
// A run takes some tens of microseconds, much more than claiming it.
constexpr uint64_t run_cost_min = 80000;
constexpr uint64_t runs_each_max = 8;

// A large-enough buffer; contents are lost when it grows.
void reserve(buffer& memory, size_t bytes) {
  if (memory.bytes() < bytes) memory = buffer(bytes + bytes / 2);
}

bool same_view(const const_matrix_view& a, const const_matrix_view& b) {
  return a.data == b.data && a.rows == b.rows && a.cols == b.cols && a.stride == b.stride;
}

uint32_t blocks_of(uint32_t cols) {
  return (cols + quant_block - 1) / quant_block;
}

tile_output output_of(const matmul_args& args, uint32_t row, uint32_t column) {
  tile_output out{};
  out.y = args.y.row(row) + column;
  out.y_stride = args.y.stride;
  out.bias = args.bias.empty() ? nullptr : args.bias.data() + column;
  if (args.residual.data != nullptr) out.residual = args.residual.row(row) + column;
  out.residual_stride = args.residual.stride;
  out.columns = std::min(weight_layout::group_columns, args.y.cols - column);
  return out;
}

} // namespace

void team_kernels::matmul(const matmul_args& args) {
  multiply({&args, 1});
}

void team_kernels::grouped_matmul(const grouped_matmul_args& args) {
  multiply(args.parts);
}

void team_kernels::per_head_matmul(const per_head_matmul_args& args) {
  check_args(args);
  head_products_.clear();
  for (uint32_t h = 0; h < args.w.size(); ++h) head_products_.push_back(head_product(args, h));
  multiply(head_products_);
}

// Lists the products and the distinct inputs that have to be quantised.
void team_kernels::collect_inputs(std::span<const matmul_args> parts) {
  products_.clear();
  inputs_.clear();
  size_t rows = 0;
  size_t blocks = 0;
  for (const matmul_args& part : parts) {
    check_args(part);
    if (part.y.rows == 0 || part.y.cols == 0) continue;
    product p;
    p.args = &part;
    if (part.w->layout().quantised()) {
      // Neighbours often share an input: gate and up, or q, k and v.
      if (inputs_.empty() || !same_view(inputs_.back().x, part.x)) {
        inputs_.push_back({part.x, rows, blocks});
        rows += part.x.rows;
        blocks += size_t{part.x.rows} * blocks_of(part.x.cols);
      }
      p.input = static_cast<uint32_t>(inputs_.size() - 1);
    }
    if (meter_ != nullptr)
      meter_->add_product(part.w->bytes(), uint64_t{2} * part.y.rows * part.y.cols * part.x.cols);
    products_.push_back(p);
  }
  reserve(quantised_, blocks * quant_block);
  reserve(quantised_scales_, blocks * sizeof(float));
  reserve(quantised_sums_, blocks * sizeof(int32_t));
}

void team_kernels::quantise_inputs() {
  if (inputs_.empty()) return;
  const size_t rows = inputs_.back().row_begin + inputs_.back().x.rows;
  uint64_t work = 0;
  for (const quantised_input& input : inputs_) {
    work += uint64_t{input.x.rows} * blocks_of(input.x.cols) * 4;
  }
  split(rows, work, [this](uint64_t begin, uint64_t end, uint32_t) {
    size_t i = 0;
    for (uint64_t row = begin; row < end; ++row) {
      while (row >= inputs_[i].row_begin + inputs_[i].x.rows) ++i;
      const quantised_input& input = inputs_[i];
      const auto within = static_cast<uint32_t>(row - input.row_begin);
      const size_t block = input.block_begin + size_t{within} * blocks_of(input.x.cols);
      table_.quantise_row(input.x.row(within), input.x.cols,
                          quantised_.as<int8_t>().data() + block * quant_block,
                          quantised_scales_.as<float>().data() + block,
                          quantised_sums_.as<int32_t>().data() + block);
    }
  });
}

void team_kernels::multiply(std::span<const matmul_args> parts) {
  collect_inputs(parts);
  quantise_inputs();
  uint64_t cost = 0;
  for (product& p : products_) {
    const weight_layout layout = p.args->w->layout();
    p.chunk_rows = std::min(p.args->y.rows, chunk_rows_max);
    p.chunks = (p.args->y.rows + p.chunk_rows - 1) / p.chunk_rows;
    p.units = uint64_t{layout.groups()} * p.chunks;
    // Reading the weights costs about as much as three rows of arithmetic.
    p.unit_cost = (uint64_t{p.chunk_rows} + 3) * (layout.inputs + 8) * layout.width(0);
    p.cost_begin = cost;
    cost += p.units * p.unit_cost;
  }
  const uint32_t shares = team_.size();
  if (shares == 1 || cost <= alone_max * 4) {
    multiply_between(0, cost);
    return;
  }
  const uint64_t runs =
      std::clamp<uint64_t>(cost / run_cost_min, shares, uint64_t{shares} * runs_each_max);
  std::atomic<uint64_t> next{0};
  team_.run([this, cost, runs, &next](uint32_t) {
    for (uint64_t run = next.fetch_add(1); run < runs; run = next.fetch_add(1)) {
      multiply_between(cost * run / runs, cost * (run + 1) / runs);
    }
  });
}

// The units that begin at a cost in [begin, end).
void team_kernels::multiply_between(uint64_t begin, uint64_t end) {
  const auto first_at = [](const product& p, uint64_t at) {
    if (at <= p.cost_begin) return uint64_t{0};
    return std::min(p.units, (at - p.cost_begin + p.unit_cost - 1) / p.unit_cost);
  };
  for (size_t n = 0; n < products_.size(); ++n) {
    const product& p = products_[n];
    const bool goes_on = n + 1 < products_.size() && first_at(products_[n + 1], end) > 0;
    const auto* next = goes_on ? products_[n + 1].args->w->values().data() : nullptr;
    run_units(p, first_at(p, begin), first_at(p, end), next);
  }
}

// `after`: the weights that come next, or null.
void team_kernels::run_units(const product& p, uint64_t begin, uint64_t end,
                             const std::byte* after) {
  const matmul_args& args = *p.args;
  const weight_layout layout = args.w->layout();
  for (uint64_t unit = begin; unit < end; ++unit) {
    const auto group = static_cast<uint32_t>(unit / p.chunks);
    const uint32_t row = static_cast<uint32_t>(unit % p.chunks) * p.chunk_rows;
    const uint32_t rows = std::min(p.chunk_rows, args.y.rows - row);
    const tile_output out = output_of(args, row, group * weight_layout::group_columns);
    const std::byte* weights = args.w->values().data() + layout.group_offset(group);
    if (layout.quantised()) {
      const uint32_t blocks = layout.blocks();
      const bool again = unit + 1 < end && (unit + 1) / p.chunks == group; // for other rows
      const auto* next = unit + 1 == end ? after : weights + 4 * layout.panel_bytes();
      const size_t block = inputs_[p.input].block_begin + size_t{row} * blocks;
      const block_tile tile{.x = quantised_.as<int8_t>().data() + block * quant_block,
                            .x_scales = quantised_scales_.as<float>().data() + block,
                            .x_sums = quantised_sums_.as<int32_t>().data() + block,
                            .rows = rows,
                            .blocks = blocks,
                            .weights = reinterpret_cast<const uint8_t*>(weights),
                            .scales = args.w->scales().as<uint16_t>().data() +
                                      layout.scale_index(group * weight_layout::group_columns, 0),
                            .width = layout.width(group),
                            .next = again ? nullptr : reinterpret_cast<const uint8_t*>(next),
                            .out = out};
      (layout.format == weight_format::int8 ? table_.matmul_int8 : table_.matmul_int4)(tile);
      continue;
    }
    const float_tile tile{.x = args.x.row(row),
                          .x_stride = args.x.stride,
                          .rows = rows,
                          .inputs = layout.inputs,
                          .weights = weights,
                          .width = layout.width(group),
                          .out = out};
    switch (layout.format) {
      case weight_format::bf16:
        table_.matmul_bf16(tile);
        break;
      case weight_format::f16:
        table_.matmul_f16(tile);
        break;
      default:
        table_.matmul_f32(tile);
    }
  }
}

} // namespace troupe::compute
