// How much of generated agentic traces each eviction policy finds computed, beside what a cache
// that knows the future and one without bounds would find. Prints a table per mix; the same seed
// gives the same figures on every machine.
//   bench_kv_eviction [seed] [mix]
#include "dataflow/kv_pages.hpp"
#include "tests/support/agentic_trace.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace troupe::tests {
namespace {

constexpr uint32_t page_tokens = 16;
constexpr uint32_t attention_positions = 8192;
constexpr std::array<uint32_t, 4> percents = {5, 10, 20, 40}; // of the distinct pages
constexpr std::array policies = {dataflow::eviction_policy::lru, dataflow::eviction_policy::lfu,
                                 dataflow::eviction_policy::cost};

void print_row(std::string_view name, const std::array<replay_result, percents.size()>& at) {
  std::printf("%-9.*s", static_cast<int>(name.size()), name.data());
  for (const auto& r : at) std::printf("  %5.1f %5.1f", 100 * r.hit_rate(), 100 * r.saved_rate());
  std::printf("\n");
}

void print_mix(const agentic_mix& mix, uint64_t seed) {
  const agentic_trace trace(mix, seed);
  const offline_bound bound(trace.requests(), page_tokens);
  const auto all = bound.replay(bound.distinct_pages(), attention_positions);
  std::printf(
      "\n%.*s: %zu requests, %.2f M prompt tokens, %u distinct pages; unbounded cache: "
      "%.1f %% of tokens, %.1f %% of cost\npages    ",
      static_cast<int>(mix.name.size()), mix.name.data(), trace.requests().size(),
      double(all.prompt_tokens) / 1e6, bound.distinct_pages(), 100 * all.hit_rate(),
      100 * all.saved_rate());
  std::array<uint32_t, percents.size()> pages{};
  for (size_t i = 0; i < percents.size(); ++i) {
    pages[i] = bound.distinct_pages() * percents[i] / 100;
    std::printf("  %4u%%      ", percents[i]);
  }
  std::printf("\n");
  std::array<replay_result, percents.size()> row;
  for (const auto policy : policies) {
    for (size_t i = 0; i < pages.size(); ++i)
      row[i] = replay(trace.requests(), {.page_count = pages[i],
                                         .page_tokens = page_tokens,
                                         .eviction = policy,
                                         .attention_positions = attention_positions});
    print_row(to_string(policy), row);
  }
  for (size_t i = 0; i < pages.size(); ++i) row[i] = bound.replay(pages[i], attention_positions);
  print_row("offline", row);
}

int print_all(int argc, char** argv) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  const std::string_view only = argc > 2 ? argv[2] : "";
  std::printf("seed %llu; per cache size: %% of prompt tokens found, %% of their cost saved\n",
              static_cast<unsigned long long>(seed));
  for (const auto& mix : agentic_mixes())
    if (only.empty() || mix.name == only) print_mix(mix, seed);
  return 0;
}

} // namespace
} // namespace troupe::tests

int main(int argc, char** argv) {
  return troupe::tests::print_all(argc, argv);
}
