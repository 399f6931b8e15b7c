// Arguments that do not fit together end the process, whichever kernels get them.
#include "compute/checks.hpp"

#include "compute/reference/kernels.hpp"
#include "tests/unit/compute/support.hpp"

namespace troupe::compute {
namespace {

using test::matrix;

class checks_test : public ::testing::Test {
protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  reference_kernels k;
};

TEST_F(checks_test, products_need_matching_shapes) {
  const matrix stored = matrix::random(8, 5, 1);
  const weight_matrix w = *pack(stored.source(), weight_format::f32);
  matrix x(2, 5);
  matrix y(2, 8);
  matrix_view short_rows = y.view();
  short_rows.cols = 7;
  k.matmul({.x = x.view(), .w = &w, .bias = {}, .residual = {}, .y = y.view()});
  EXPECT_DEATH(k.matmul({.x = x.view(), .w = &w, .bias = {}, .residual = {}, .y = short_rows}),
               "cols");
  EXPECT_DEATH(
      k.matmul({.x = x.view().first_rows(1), .w = &w, .bias = {}, .residual = {}, .y = y.view()}),
      "rows");
  const float bias[3] = {};
  EXPECT_DEATH(k.matmul({.x = x.view(), .w = &w, .bias = bias, .residual = {}, .y = y.view()}),
               "bias");
}

TEST_F(checks_test, ids_slots_and_positions_must_exist) {
  const matrix stored = matrix::random(8, 5, 1);
  const weight_matrix table = *pack(stored.source(), weight_format::f32);
  matrix y(1, 5);
  const std::vector<int32_t> beyond = {8};
  const std::vector<int32_t> negative = {-1};
  EXPECT_DEATH(k.embed({.table = &table, .ids = beyond, .y = y.view()}), "id");
  EXPECT_DEATH(k.embed({.table = &table, .ids = negative, .y = y.view()}), "id");
  const std::vector<uint32_t> row = {1};
  EXPECT_DEATH(k.gather({.x = y.view(), .rows = row, .y = y.view()}), "row");
}

TEST_F(checks_test, attention_reads_only_pages_that_exist) {
  const kv_shape shape{.page_tokens = 8, .heads = 1, .key_dim = 4, .value_dim = 4};
  const buffer memory(2 * kv_page_bytes(shape));
  matrix q(1, 4);
  matrix y(1, 4);
  const std::vector<uint32_t> position = {8};
  const std::vector<uint32_t> sequence = {0};
  const auto attend = [&](std::vector<uint32_t> pages, uint32_t page_tokens) {
    const std::vector<std::span<const uint32_t>> tables = {pages};
    kv_shape used = shape;
    used.page_tokens = page_tokens;
    k.attention({.kv = {used, memory.data(), 2},
                 .q = q.view(),
                 .q_heads = 1,
                 .positions = position,
                 .sequence_of = sequence,
                 .page_tables = tables,
                 .y = y.view()});
  };
  attend({0, 1}, 8);
  EXPECT_DEATH(attend({0, 2}, 8), "pages");
  EXPECT_DEATH(attend({0}, 8), "positions");
  EXPECT_DEATH(attend({0, 1}, 12), "page_tokens");
}

TEST_F(checks_test, routing_needs_enough_experts) {
  matrix logits(1, 8);
  std::vector<int32_t> ids(5);
  std::vector<float> weights(5);
  router_rule rule{.experts = 8, .top_k = 5, .groups = 4, .groups_kept = 2};
  k.route({.rule = rule, .logits = logits.view(), .bias = {}, .ids = ids, .weights = weights});
  rule.masked_to_zero = false; // only four may be chosen
  EXPECT_DEATH(
      k.route({.rule = rule, .logits = logits.view(), .bias = {}, .ids = ids, .weights = weights}),
      "top_k");
}

} // namespace
} // namespace troupe::compute
