// The training kernels of every instruction set and number of threads against the plain ones, bit
// by bit.
#include "compute/cpu_training.hpp"
#include "compute/reference/training_kernels.hpp"
#include "tests/unit/compute/support.hpp"

#include <array>
#include <future>

namespace troupe::compute::test {
namespace {

using kernels_f = training_kernels<float>;

// Floats that every kernel under test fills from the same start.
struct numbers {
  numbers(uint32_t rows, uint32_t cols, uint64_t seed, float size = 1)
      : rows_(rows), cols_(cols), data(size_t{rows} * (cols + 3) + 1) {
    for (size_t i = 0; i < data.size(); ++i) data[i] = size * draw(seed, i);
  }
  matrix_of<float> view() { return {data.data() + 1, rows_, cols_, cols_ + size_t{3}}; }
  std::span<float> flat() { return data; }

  uint32_t rows_, cols_;
  std::vector<float> data;
};

struct linear_case {
  numbers values, transposed;
  linear_case(uint32_t outputs, uint32_t inputs, uint64_t seed)
      : values(outputs, inputs, seed), transposed(inputs, outputs, seed) {
    for (uint32_t r = 0; r < outputs; ++r)
      for (uint32_t c = 0; c < inputs; ++c) transposed.view().row(c)[r] = values.view().row(r)[c];
  }
  weight_of<float> weight() { return {values.view(), transposed.view()}; }
};

using work = std::function<void(kernels_f&, std::vector<numbers>&)>;

// Runs the work on copies of the same numbers everywhere and compares all of them afterwards.
void expect_same_bits(const std::vector<numbers>& start, const work& body) {
  reference_training_kernels<float> plain;
  std::vector<numbers> expected = start;
  body(plain, expected);
  for (const auto set : {instruction_set::avx2, instruction_set::avx512}) {
    if (!supported(set)) continue;
    for (const uint32_t threads : {1u, 2u, 3u}) {
      const auto device = make_cpu_executor({.threads = threads, .set = set}).value();
      std::vector<numbers> made = start;
      std::promise<void> done;
      ASSERT_TRUE(
          device
              ->submit([&](kernels& host) { body(*make_cpu_training_kernels(host, set), made); },
                       [&done](const status&) { done.set_value(); })
              .ok());
      done.get_future().wait();
      for (size_t i = 0; i < made.size(); ++i)
        for (size_t n = 0; n < made[i].data.size(); ++n)
          ASSERT_TRUE(same_bits(made[i].data[n], expected[i].data[n]))
              << to_string(set) << " " << threads << " threads, matrix " << i << " at " << n << ": "
              << made[i].data[n] << " instead of " << expected[i].data[n];
    }
  }
}

class training_kernels_of_shapes
    : public testing::TestWithParam<std::tuple<uint32_t, uint32_t, uint32_t>> {};

TEST_P(training_kernels_of_shapes, multiply_alike) {
  const auto [rows, inputs, outputs] = GetParam();
  linear_case w(outputs, inputs, 5);
  // x, y, residual, dx, dw, bias, more dx
  expect_same_bits({numbers(rows, inputs, 1), numbers(rows, outputs, 2), numbers(rows, outputs, 3),
                    numbers(rows, inputs, 4), numbers(outputs, inputs, 6), numbers(1, outputs, 7),
                    numbers(rows, inputs, 8)},
                   [&](kernels_f& device, std::vector<numbers>& n) {
                     const std::span<float> bias(n[5].view().row(0), n[5].cols_);
                     const linear_args<float> forward{.x = n[0].view(),
                                                      .w = w.weight(),
                                                      .bias = bias,
                                                      .residual = n[2].view(),
                                                      .y = n[1].view()};
                     device.linear({&forward, 1});
                     const std::array<input_gradient_args<float>, 2> inputs_of{
                         {{.dy = n[1].view(), .w = w.weight(), .add = true, .dx = n[3].view()},
                          {.dy = n[2].view(), .w = w.weight(), .add = false, .dx = n[6].view()}}};
                     device.input_gradient(inputs_of);
                     const weight_gradient_args<float> weights{
                         .dy = n[2].view(), .x = n[0].view(), .dw = n[4].view()};
                     device.weight_gradient({&weights, 1});
                     device.bias_gradient({.dy = n[2].view(), .total = bias});
                   });
}

TEST_P(training_kernels_of_shapes, work_on_rows_alike) {
  const auto [rows, cols, seed] = GetParam();
  // x, dy, gain, dx, dgain, y, logits, losses
  expect_same_bits(
      {numbers(rows, cols, seed), numbers(rows, cols, seed + 1), numbers(1, cols, seed + 2),
       numbers(rows, cols, seed + 3), numbers(1, cols, seed + 4), numbers(rows, cols, seed + 5),
       numbers(rows, cols, seed + 6, 8), numbers(1, rows, 9)},
      [](kernels_f& device, std::vector<numbers>& n) {
        const uint32_t count = n[0].cols_;
        const std::span<float> gain(n[2].view().row(0), count), dgain(n[4].view().row(0), count);
        device.norm({.x = n[0].view(), .gain = gain, .eps = 1e-5f, .y = n[5].view()});
        device.norm_backward({.x = n[0].view(),
                              .gain = gain,
                              .eps = 1e-5f,
                              .dy = n[1].view(),
                              .add = true,
                              .dx = n[3].view(),
                              .dgain = dgain});
        device.norm_backward({.x = n[0].view(),
                              .gain = gain.first(1),
                              .eps = 1e-5f,
                              .groups = n[0].cols_,
                              .dy = n[1].view(),
                              .dx = n[1].view(),
                              .dgain = dgain.first(1)});
        for (const auto kind : {activation::silu, activation::gelu_erf, activation::gelu_tanh}) {
          device.gated({.kind = kind, .gate = n[0].view(), .up = n[3].view(), .y = n[5].view()});
          device.gated_backward({.kind = kind,
                                 .gate = n[0].view(),
                                 .up = n[5].view(),
                                 .dy = n[1].view(),
                                 .dgate = n[3].view(),
                                 .dup = n[1].view()});
        }
        device.sum({.a = n[0].view(), .b = n[1].view(), .factor = 1.5f, .y = n[5].view()});
        std::vector<int32_t> targets;
        for (uint32_t r = 0; r < n[0].rows_; ++r)
          targets.push_back(static_cast<int32_t>((r * 7) % (n[0].cols_ + 1)) - 1);
        device.cross_entropy({.logits = n[6].view(),
                              .targets = targets,
                              .weight = 0.125f,
                              .z_loss = 1e-3f,
                              .losses = {n[7].view().row(0), n[0].rows_}});
      });
}

TEST_P(training_kernels_of_shapes, hold_on_to_a_teacher_alike) {
  const auto [rows, cols, seed] = GetParam();
  // student, teacher, losses, hidden rows of both, their gradient, losses
  expect_same_bits(
      {numbers(rows, cols, seed, 6), numbers(rows, cols, seed + 1, 6), numbers(1, rows, seed + 2),
       numbers(rows, cols, seed + 3), numbers(rows, cols, seed + 4), numbers(rows, cols, seed + 5),
       numbers(1, rows, seed + 6)},
      [](kernels_f& device, std::vector<numbers>& n) {
        const uint32_t rows = n[0].rows_;
        std::vector<int32_t> targets;
        for (uint32_t r = 0; r < rows; ++r) targets.push_back(r % 5 == 3 ? -1 : 0);
        device.distil({.student = n[0].view(),
                       .teacher = n[1].view(),
                       .targets = targets,
                       .temperature = 3.0f,
                       .weight = 0.3f,
                       .losses = {n[2].view().row(0), rows}});
        device.match_rows({.student = n[3].view(),
                           .teacher = n[4].view(),
                           .targets = targets,
                           .weight = 0.7f,
                           .dstudent = n[5].view(),
                           .losses = {n[6].view().row(0), rows}});
      });
}

INSTANTIATE_TEST_SUITE_P(shapes, training_kernels_of_shapes,
                         testing::Values(std::tuple(1u, 1u, 1u), std::tuple(5u, 15u, 17u),
                                         std::tuple(48u, 64u, 16u), std::tuple(49u, 70u, 65u),
                                         std::tuple(7u, 33u, 130u), std::tuple(130u, 100u, 47u)));

TEST(training_kernels, step_and_measure_alike) {
  for (const uint32_t count : {1u, 16u, 4095u, 9001u}) {
    expect_same_bits({numbers(1, count, 1), numbers(1, count, 2), numbers(1, count, 3),
                      numbers(1, count, 4), numbers(1, 1, 5)},
                     [&](kernels_f& device, std::vector<numbers>& n) {
                       for (float& second : n[3].data) second = second * second;
                       device.adamw({.values = n[0].flat(),
                                     .gradients = n[1].flat(),
                                     .first = n[2].flat(),
                                     .second = n[3].flat(),
                                     .gradient_factor = 0.7f,
                                     .beta1 = 0.9f,
                                     .beta2 = 0.95f,
                                     .eps = 1e-8f,
                                     .decay = 0.999f,
                                     .step_size = 0.01f,
                                     .second_scale = 1.5f});
                       n[4].data[0] = static_cast<float>(device.sum_of_squares(n[0].flat()));
                     });
  }
}

TEST(training_kernels, hold_on_to_weights_alike) {
  for (const uint32_t count : {1u, 16u, 4095u, 9001u}) {
    expect_same_bits({numbers(1, count, 1), numbers(1, count, 2), numbers(1, count, 3),
                      numbers(1, count, 4), numbers(1, count, 5)},
                     [](kernels_f& device, std::vector<numbers>& n) {
                       device.anchor({.values = n[0].flat(),
                                      .anchor = n[1].flat(),
                                      .importance = n[2].flat(),
                                      .strength = 0.3f,
                                      .gradients = n[3].flat()});
                       device.add_squares(n[3].flat(), n[4].flat());
                     });
  }
}

TEST(training_kernels, choose_and_combine_alike) {
  constexpr uint32_t rows = 37, experts = 12, top_k = 3, cols = 50;
  std::vector<uint32_t> slots(rows * top_k);
  for (uint32_t i = 0; i < slots.size(); ++i) slots[i] = (i * 5 + 2) % (rows * top_k);
  for (const auto score :
       {router_score::softmax, router_score::sigmoid, router_score::softmax_of_chosen}) {
    const router_rule rule{.score = score,
                           .experts = experts,
                           .top_k = top_k,
                           .groups = 4,
                           .groups_kept = 2,
                           .masked_to_zero = false,
                           .normalise = score == router_score::sigmoid,
                           .scale = 2.5f};
    // logits, weights, dlogits, expert rows, y, dexpert rows, dweights, dx
    expect_same_bits(
        {numbers(rows, experts, 1, 3), numbers(1, rows * top_k, 2), numbers(rows, experts, 3),
         numbers(rows * top_k, cols, 4), numbers(rows, cols, 5), numbers(rows * top_k, cols, 6),
         numbers(1, rows * top_k, 7), numbers(rows, cols, 8)},
        [&](kernels_f& device, std::vector<numbers>& n) {
          std::vector<int32_t> ids(rows * top_k);
          const std::span<float> weights(n[1].view().row(0), rows * top_k);
          const std::span<float> dweights(n[6].view().row(0), rows * top_k);
          device.choose(
              {.rule = rule, .logits = n[0].view(), .bias = {}, .ids = ids, .weights = weights});
          device.combine_rows({.expert_rows = n[3].view(),
                               .slots = slots,
                               .weights = weights,
                               .top_k = top_k,
                               .shared = n[7].view(),
                               .residual = n[4].view(),
                               .y = n[4].view()});
          device.combine_backward({.expert_rows = n[3].view(),
                                   .slots = slots,
                                   .weights = weights,
                                   .top_k = top_k,
                                   .dy = n[4].view(),
                                   .dexpert_rows = n[5].view(),
                                   .dweights = dweights});
          device.choose_backward({.rule = rule,
                                  .logits = n[0].view(),
                                  .ids = ids,
                                  .dweights = dweights,
                                  .dlogits = n[2].view()});
          device.gather_backward(
              {.dslots = n[5].view(), .slots = slots, .top_k = top_k, .dx = n[7].view()});
        });
  }
}

struct attention_case {
  uint32_t heads, kv_heads, key_dim, value_dim, window;
};

class training_attention : public testing::TestWithParam<attention_case> {};

TEST_P(training_attention, attends_alike) {
  const auto shape = GetParam();
  const std::vector<document_rows> documents = {{0, 1}, {1, 50}, {50, 201}, {201, 210}};
  const uint32_t rows = 210, keys = shape.kv_heads * shape.key_dim,
                 values = shape.kv_heads * shape.value_dim, width = shape.heads * shape.value_dim;
  expect_same_bits({numbers(rows, shape.heads * shape.key_dim, 1, 2), numbers(rows, keys, 2, 2),
                    numbers(rows, values, 3), numbers(rows, width, 4), numbers(rows, width, 5),
                    numbers(rows, shape.heads * shape.key_dim, 6), numbers(rows, keys, 7),
                    numbers(rows, values, 8)},
                   [&](kernels_f& device, std::vector<numbers>& n) {
                     const training_attention_args<float> forward{.q = n[0].view(),
                                                                  .keys = n[1].view(),
                                                                  .values = n[2].view(),
                                                                  .heads = shape.heads,
                                                                  .kv_heads = shape.kv_heads,
                                                                  .key_dim = shape.key_dim,
                                                                  .value_dim = shape.value_dim,
                                                                  .scale = 0.3f,
                                                                  .window = shape.window,
                                                                  .documents = documents,
                                                                  .y = n[3].view()};
                     device.attention(forward);
                     device.attention_backward({.forward = forward,
                                                .dy = n[4].view(),
                                                .dq = n[5].view(),
                                                .dkeys = n[6].view(),
                                                .dvalues = n[7].view()});
                   });
}

INSTANTIATE_TEST_SUITE_P(shapes, training_attention,
                         testing::Values(attention_case{4, 2, 20, 20, 0},
                                         attention_case{3, 1, 24, 16, 0},
                                         attention_case{2, 2, 7, 9, 0},
                                         attention_case{4, 4, 16, 70, 13},
                                         attention_case{2, 1, 33, 5, 100}));

} // namespace
} // namespace troupe::compute::test
