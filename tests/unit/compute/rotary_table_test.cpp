// The rotary table against the C library in double precision.
#include "compute/rotary_table.hpp"

#include "tests/unit/compute/support.hpp"

namespace troupe::compute {
namespace {

void expect_table(uint32_t begin, uint32_t rows, const std::vector<float>& frequencies,
                  float factor) {
  const auto pairs = static_cast<uint32_t>(frequencies.size());
  test::matrix table(rows, 2 * pairs);
  fill_rotary_table(frequencies, factor, begin, table.view());
  EXPECT_TRUE(table.frame_intact());
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t p = 0; p < pairs; ++p) {
      const float angle = static_cast<float>(begin + r) * frequencies[p];
      const auto cosine = static_cast<float>(std::cos(double{angle}));
      const auto sine = static_cast<float>(std::sin(double{angle}));
      ASSERT_EQ(table.at(r, p), cosine * factor) << "angle " << angle;
      ASSERT_EQ(table.at(r, pairs + p), sine * factor) << "angle " << angle;
    }
  }
}

std::vector<float> usual_frequencies(uint32_t pairs, float theta) {
  std::vector<float> made;
  for (uint32_t i = 0; i < pairs; ++i) {
    made.push_back(1.0f / std::pow(theta, static_cast<float>(i) / static_cast<float>(pairs)));
  }
  return made;
}

TEST(rotary_table, agrees_with_the_library_from_the_first_position) {
  expect_table(0, 2048, usual_frequencies(32, 10000.0f), 1.0f);
}

TEST(rotary_table, agrees_with_the_library_at_a_million_and_beyond) {
  expect_table(1000000, 300, usual_frequencies(8, 500000.0f), 1.25f);
  expect_table(16000000, 300, {1.0f, 0.999f}, 1.0f);
}

TEST(rotary_table, rows_do_not_depend_on_where_the_table_begins) {
  const auto frequencies = usual_frequencies(4, 10000.0f);
  test::matrix whole(20, 8);
  test::matrix part(5, 8);
  fill_rotary_table(frequencies, 0.7f, 0, whole.view());
  fill_rotary_table(frequencies, 0.7f, 15, part.view());
  for (uint32_t c = 0; c < 8; ++c) EXPECT_EQ(part.at(2, c), whole.at(17, c));
}

} // namespace
} // namespace troupe::compute
