// The page for Prometheus.
#include "server/metrics_text.hpp"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace troupe::server {
namespace {

actors::engine_metrics some_metrics() {
  actors::engine_metrics out;
  out.requests_running = 3;
  out.requests_finished = {5, 4, 2, 1, 7};
  out.pages_total = 8;
  out.pages_used = 2;
  out.cached_tokens = 11;
  out.expert_tokens = {{}, {10, 20}};
  out.time_to_first_token_s = {.bounds = {0.1, 1}, .buckets = {1, 2, 3}, .sum = 9.5, .count = 6};
  return out;
}

std::string page_of(const actors::engine_metrics& engine, std::string_view model = "tiny") {
  const transport_metrics transport{.connections_open = 9};
  http_metrics requests;
  requests.count("/health", 200);
  requests.count("/health", 200);
  requests.count("/health", 503);
  return metrics_text({engine, transport, requests.snapshot(), model});
}

TEST(metrics_text, has_the_series_dashboards_look_for) {
  const std::string page = page_of(some_metrics());
  for (const auto line :
       {"troupe_requests_running{model_name=\"tiny\"} 3\n",
        "troupe_choices_finished_total{model_name=\"tiny\",reason=\"deadline\"} 1\n",
        "troupe_expert_tokens_total{model_name=\"tiny\",layer=\"1\",expert=\"1\"} 20\n",
        "troupe_http_requests_total{route=\"/health\",code=\"200\"} 2\n",
        "troupe_http_requests_total{route=\"/health\",code=\"503\"} 1\n",
        "troupe_http_connections_open 9\n", "vllm:kv_cache_usage_perc{model_name=\"tiny\"} 0.25\n",
        "vllm:prefix_cache_hits_total{model_name=\"tiny\"} 11\n",
        "vllm:request_success_total{model_name=\"tiny\",finished_reason=\"stop\"} 5\n",
        "vllm:request_success_total{model_name=\"tiny\",finished_reason=\"abort\"} 3\n",
        "vllm:request_success_total{model_name=\"tiny\",finished_reason=\"error\"} 7\n",
        "# TYPE vllm:iteration_tokens_total histogram\n",
        "vllm:time_to_first_token_seconds_bucket{model_name=\"tiny\",le=\"0.1\"} 1\n",
        "vllm:time_to_first_token_seconds_bucket{model_name=\"tiny\",le=\"1\"} 3\n",
        "vllm:time_to_first_token_seconds_bucket{model_name=\"tiny\",le=\"+Inf\"} 6\n",
        "vllm:time_to_first_token_seconds_sum{model_name=\"tiny\"} 9.5\n",
        "vllm:time_to_first_token_seconds_count{model_name=\"tiny\"} 6\n"}) {
    EXPECT_NE(page.find(line), std::string::npos) << line << page;
  }
}

TEST(metrics_text, tells_of_the_cache_and_of_the_disk_where_there_is_one) {
  auto metrics = some_metrics();
  metrics.prefix_queries = 30;
  metrics.pages_cached = 1;
  metrics.pages_evicted = 9;
  metrics.pages_evicted_unused = 4;
  metrics.eviction = dataflow::eviction_policy::lfu;
  EXPECT_EQ(page_of(metrics).find("kv_archive"), std::string::npos);
  metrics.kv_archive = {.present = true, .stopped = true, .pages = 5, .pages_restored = 3};
  const std::string page = page_of(metrics);
  for (const auto line :
       {"troupe_prefix_misses_total{model_name=\"tiny\"} 19\n",
        "troupe_kv_pages_free{model_name=\"tiny\"} 5\n",
        "troupe_kv_pages_evicted_total{model_name=\"tiny\",policy=\"lfu\",reused=\"no\"} 4\n",
        "troupe_kv_pages_evicted_total{model_name=\"tiny\",policy=\"lfu\",reused=\"yes\"} 5\n",
        "troupe_kv_archive_pages{model_name=\"tiny\"} 5\n",
        "troupe_kv_archive_stopped{model_name=\"tiny\"} 1\n",
        "troupe_kv_archive_pages_restored_total{model_name=\"tiny\"} 3\n"})
    EXPECT_NE(page.find(line), std::string::npos) << line << page;
}

TEST(metrics_text, introduces_every_family_once_before_its_samples) {
  actors::engine_metrics engine;
  engine.kv_archive.present = true;
  std::istringstream lines(page_of(engine));
  std::set<std::string> seen;
  std::string line;
  std::string current;
  while (std::getline(lines, line)) {
    if (line.starts_with("# HELP ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(seen.insert(current).second) << current;
      EXPECT_GT(line.size(), 8 + current.size()) << "says what it is";
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_EQ(line.substr(7, current.size()), current);
    } else {
      EXPECT_TRUE(line.starts_with(current)) << line;
    }
  }
  EXPECT_GT(seen.size(), 30u);
}

TEST(metrics_text, escapes_labels) {
  EXPECT_EQ(escaped_label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
  EXPECT_NE(page_of({}, "x\"y").find("{model_name=\"x\\\"y\"}"), std::string::npos);
}

TEST(metrics_text, divides_by_no_pages) {
  EXPECT_NE(page_of({}).find("vllm:kv_cache_usage_perc{model_name=\"tiny\"} 0\n"),
            std::string::npos);
}

} // namespace
} // namespace troupe::server
