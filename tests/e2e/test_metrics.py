# /metrics: Prometheus text that dashboards made for other servers understand.
from prometheus_client.parser import text_string_to_metric_families

import raw_http

GAUGES = ["vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "troupe_requests_running"]
COUNTERS = ["vllm:prompt_tokens", "vllm:generation_tokens", "vllm:request_success", "vllm:num_preemptions",
            "vllm:prefix_cache_queries", "vllm:prefix_cache_hits"]
HISTOGRAMS = ["vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds", "vllm:e2e_request_latency_seconds",
              "vllm:request_queue_time_seconds", "vllm:iteration_tokens_total"]


def read(url):
    answer = raw_http.get(url, "/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain")
    return {f.name: f for f in text_string_to_metric_families(answer.body.decode())}


def test_has_the_series_of_vllm(url, complete):
    complete(max_tokens=4)
    families = read(url)
    kinds = {**dict.fromkeys(GAUGES, "gauge"), **dict.fromkeys(COUNTERS, "counter"), **dict.fromkeys(HISTOGRAMS, "histogram")}
    missing = [name for name in kinds if name not in families]
    assert not missing, missing
    assert {name: families[name].type for name in kinds} == kinds
    assert all(f.documentation for f in families.values())


def test_labels_series_with_the_model(url, model):
    samples = [s for f in read(url).values() if f.name.startswith("vllm:") for s in f.samples]
    assert samples and all(s.labels.get("model_name") == model for s in samples)


def test_has_consistent_histograms(url, complete):
    complete(max_tokens=4)
    for name in HISTOGRAMS:
        samples = read(url)[name].samples
        buckets = [s.value for s in samples if s.name == name + "_bucket"]
        count = [s.value for s in samples if s.name == name + "_count"]
        assert buckets == sorted(buckets) and buckets[-1] == count[0] > 0, name


def test_counts_tokens(metrics, complete):
    before = metrics()
    usage = complete("Once upon a time", max_tokens=7, extra_body={"ignore_eos": True}).usage
    after = metrics()
    assert after["vllm:generation_tokens_total"] - before["vllm:generation_tokens_total"] == usage.completion_tokens
    assert after["vllm:prompt_tokens_total"] - before["vllm:prompt_tokens_total"] == usage.prompt_tokens
    assert after["vllm:request_success_total"] - before["vllm:request_success_total"] == 1


def test_counts_prefix_hits(metrics, complete):
    prompt = "A fox went out on a chilly night and prayed to the moon to give him light. " * 2
    complete(prompt, max_tokens=1)
    before = metrics()["vllm:prefix_cache_hits_total"]
    complete(prompt, max_tokens=1)
    assert metrics()["vllm:prefix_cache_hits_total"] > before
