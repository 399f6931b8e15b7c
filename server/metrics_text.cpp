// Prometheus' text format, written from one consistent snapshot of the engine.
#include "server/metrics_text.hpp"

#include "base/text.hpp"
#include "dataflow/request.hpp"

#include <algorithm>
#include <array>

namespace troupe::server {
namespace {

using dataflow::finish_reason;

constexpr std::array finish_reasons = {"stop", "length", "cancelled", "deadline", "failed"};

// Collects families; the samples of a family follow its two comment lines at once, as the format
// demands.
class metrics_writer {
public:
  explicit metrics_writer(std::string_view labels) : labels_(labels) {}

  void family(std::string_view name, std::string_view kind, std::string_view help) {
    name_ = name;
    out_ += text("# HELP ", name, ' ', help, "\n# TYPE ", name, ' ', kind, '\n');
  }
  template <class Number>
  void sample(Number value, std::string_view more_labels = "") {
    line("", more_labels, value);
  }
  template <class Number>
  void gauge(std::string_view name, std::string_view help, Number value) {
    family(name, "gauge", help);
    sample(value);
  }
  void counter(std::string_view name, std::string_view help, uint64_t value) {
    family(name, "counter", help);
    sample(value);
  }
  void histogram(std::string_view name, std::string_view help, const actors::histogram& from) {
    family(name, "histogram", help);
    uint64_t below = 0;
    for (size_t i = 0; i < from.bounds.size() && i < from.buckets.size(); ++i) {
      below += from.buckets[i];
      line("_bucket", text("le=\"", from.bounds[i], '"'), below);
    }
    line("_bucket", "le=\"+Inf\"", from.count);
    line("_sum", "", from.sum);
    line("_count", "", from.count);
  }
  std::string take() { return std::move(out_); }

private:
  template <class Number>
  void line(std::string_view suffix, std::string_view more_labels, Number value) {
    const std::string_view comma = labels_.empty() || more_labels.empty() ? "" : ",";
    const std::string labels = text(labels_, comma, more_labels);
    out_ += labels.empty() ? text(name_, suffix, ' ', value, '\n')
                           : text(name_, suffix, '{', labels, "} ", value, '\n');
  }

  std::string labels_;
  std::string name_;
  std::string out_;
};

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

void write_requests(metrics_writer& out, const actors::engine_metrics& from) {
  out.gauge("troupe_requests_running", "Requests being computed.", from.requests_running);
  out.gauge("troupe_requests_waiting", "Requests waiting to be computed.", from.requests_waiting);
  out.counter("troupe_requests_accepted_total", "Requests taken by the engine.",
              from.requests_accepted);
  out.counter("troupe_requests_rejected_total", "Requests refused because the queue was full.",
              from.requests_rejected);
  out.family("troupe_choices_finished_total", "counter", "Answers that ended, by reason.");
  for (size_t i = 0; i < finish_reasons.size(); ++i) {
    out.sample(from.requests_finished[i], text("reason=\"", finish_reasons[i], '"'));
  }
}

void write_cache(metrics_writer& out, const actors::engine_metrics& from) {
  out.counter("troupe_cached_tokens_total", "Tokens of prompts taken from the prefix cache.",
              from.cached_tokens);
  out.counter("troupe_prefix_queries_total", "Tokens looked up in the prefix cache.",
              from.prefix_queries);
  out.counter("troupe_prefix_misses_total", "Tokens looked up in the prefix cache and not found.",
              from.prefix_queries - std::min(from.prefix_queries, from.cached_tokens));
  out.gauge("troupe_kv_pages", "Pages of the KV cache.", from.pages_total);
  out.gauge("troupe_kv_pages_used", "Pages held by running requests.", from.pages_used);
  out.gauge("troupe_kv_pages_cached", "Pages kept for reuse, free for the taking.",
            from.pages_cached);
  out.gauge("troupe_kv_pages_free", "Pages that hold nothing.",
            from.pages_total - std::min(from.pages_total, from.pages_used + from.pages_cached));
  out.family("troupe_kv_pages_evicted_total", "counter",
             "Kept pages given up for room, by policy and whether anybody had used them again.");
  const auto policy = dataflow::to_string(from.eviction);
  out.sample(from.pages_evicted_unused, text("policy=\"", policy, "\",reused=\"no\""));
  out.sample(from.pages_evicted - from.pages_evicted_unused,
             text("policy=\"", policy, "\",reused=\"yes\""));
  out.counter("troupe_kv_pages_dropped_total", "Kept pages forgotten with their memory.",
              from.pages_dropped);
}

void write_archive(metrics_writer& out, const actors::kv_archive_metrics& from) {
  if (!from.present) return;
  out.gauge("troupe_kv_archive_pages", "Pages kept on the disk.", from.pages);
  out.gauge("troupe_kv_archive_bytes", "Their bytes.", from.bytes);
  out.gauge("troupe_kv_archive_bytes_max", "Most bytes they may take.", from.bytes_max);
  out.gauge("troupe_kv_archive_stopped", "1 while the disk refuses what is written.", from.stopped);
  out.counter("troupe_kv_archive_pages_written_total", "Pages written to the disk.",
              from.pages_written);
  out.counter("troupe_kv_archive_bytes_written_total", "Their bytes.", from.bytes_written);
  out.counter("troupe_kv_archive_pages_skipped_total",
              "Pages not written: the disk was behind, stopped, or had no room.",
              from.pages_skipped);
  out.counter("troupe_kv_archive_write_failures_total", "Pages that the disk refused.",
              from.write_failures);
  out.counter("troupe_kv_archive_pages_restored_total", "Pages read back for a request.",
              from.pages_restored);
  out.counter("troupe_kv_archive_restores_late_total",
              "Requests that were computed without waiting longer for the disk.",
              from.restores_late);
  out.counter("troupe_kv_archive_pages_unreadable_total", "Damaged pages, dropped.",
              from.pages_unreadable);
  out.counter("troupe_kv_archive_pages_foreign_total",
              "Pages of another model or version, ignored.", from.pages_foreign);
  out.counter("troupe_kv_archive_pages_evicted_total", "Pages removed from the disk for room.",
              from.pages_evicted);
}

void write_work(metrics_writer& out, const actors::engine_metrics& from) {
  out.counter("troupe_prompt_tokens_total", "Tokens of prompts.", from.prompt_tokens);
  out.counter("troupe_generated_tokens_total", "Tokens generated.", from.generated_tokens);
  out.counter("troupe_preemptions_total", "Sequences that had to give up their pages.",
              from.preemptions);
  out.counter("troupe_draft_tokens_total", "Tokens guessed ahead of streams.", from.draft_tokens);
  out.counter("troupe_draft_accepted_tokens_total", "Of these, tokens that were right.",
              from.draft_accepted);
  out.counter("troupe_steps_total", "Step batches computed.", from.steps);
  out.counter("troupe_actor_restarts_total", "Actors restarted by the node supervisor.",
              from.restarts);
  out.histogram("troupe_time_to_first_token_seconds", "From arrival to the first token.",
                from.time_to_first_token_s);
  out.histogram("troupe_inter_token_latency_seconds", "Between two tokens of one answer.",
                from.inter_token_latency_s);
  out.histogram("troupe_request_latency_seconds", "From arrival to the end.",
                from.request_latency_s);
  out.histogram("troupe_queue_time_seconds", "From arrival to the first step.", from.queue_time_s);
  out.histogram("troupe_step_tokens", "Tokens of a step batch.", from.step_tokens);
}

void write_experts(metrics_writer& out, const actors::engine_metrics& from) {
  out.family("troupe_expert_tokens_total", "counter", "Token rows an expert computed.");
  for (size_t layer = 0; layer < from.expert_tokens.size(); ++layer) {
    for (size_t expert = 0; expert < from.expert_tokens[layer].size(); ++expert) {
      out.sample(from.expert_tokens[layer][expert],
                 text("layer=\"", layer, "\",expert=\"", expert, '"'));
    }
  }
}

void write_transport(metrics_writer& out, const transport_metrics& from,
                     const http_metrics::counts& requests) {
  out.family("troupe_http_requests_total", "counter",
             "HTTP requests answered, by route and status.");
  for (const auto& [key, count] : requests) {
    out.sample(count, text("route=\"", escaped_label(key.first), "\",code=\"", key.second, '"'));
  }
  out.gauge("troupe_http_connections_open", "Connections of clients.", from.connections_open);
  out.gauge("troupe_http_streams_open", "Answers being streamed.", from.streams_open);
  out.counter("troupe_http_connections_total", "Connections accepted.", from.connections_total);
  out.counter("troupe_http_connections_refused_total", "Connections over the limit.",
              from.connections_refused);
  out.counter("troupe_http_clients_gone_total",
              "Clients that left before their answer was complete.", from.clients_gone);
  out.counter("troupe_http_slow_readers_total", "Clients cut off because they did not read.",
              from.slow_readers);
  out.counter("troupe_http_bad_messages_total",
              "Messages that were no HTTP, too large or too slow.", from.bad_messages);
}

void write_vllm(metrics_writer& out, const actors::engine_metrics& from) {
  out.gauge("vllm:num_requests_running", "Number of requests in model execution batches.",
            from.requests_running);
  out.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.",
            from.requests_waiting);
  out.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.",
            share(from.pages_used, from.pages_total));
  out.counter("vllm:prefix_cache_queries_total", "Prefix cache queries, in tokens.",
              from.prefix_queries);
  out.counter("vllm:prefix_cache_hits_total", "Prefix cache hits, in tokens.", from.cached_tokens);
  out.counter("vllm:num_preemptions_total", "Cumulative number of preemptions.", from.preemptions);
  out.counter("vllm:spec_decode_num_draft_tokens_total", "Number of draft tokens.",
              from.draft_tokens);
  out.counter("vllm:spec_decode_num_accepted_tokens_total", "Number of accepted tokens.",
              from.draft_accepted);
  out.counter("vllm:prompt_tokens_total", "Number of prefill tokens processed.",
              from.prompt_tokens);
  out.counter("vllm:generation_tokens_total", "Number of generation tokens processed.",
              from.generated_tokens);
  out.histogram("vllm:time_to_first_token_seconds", "Time to first token in seconds.",
                from.time_to_first_token_s);
  out.histogram("vllm:inter_token_latency_seconds", "Inter-token latency in seconds.",
                from.inter_token_latency_s);
  out.histogram("vllm:e2e_request_latency_seconds", "End to end request latency in seconds.",
                from.request_latency_s);
  out.histogram("vllm:request_queue_time_seconds", "Time a request waited in seconds.",
                from.queue_time_s);
  out.histogram("vllm:iteration_tokens_total", "Tokens per engine step.", from.step_tokens);
  out.family("vllm:request_success_total", "counter", "Requests that ended, by reason.");
  const auto finished = [&](finish_reason reason) {
    return from.requests_finished[static_cast<size_t>(reason)];
  };
  out.sample(finished(finish_reason::stop), "finished_reason=\"stop\"");
  out.sample(finished(finish_reason::length), "finished_reason=\"length\"");
  out.sample(finished(finish_reason::cancelled) + finished(finish_reason::deadline),
             "finished_reason=\"abort\"");
  out.sample(finished(finish_reason::failed), "finished_reason=\"error\"");
}

void write_resume(metrics_writer& out, const resume_metrics& from) {
  const auto& journal = from.journal;
  out.counter("troupe_streams_resumed_total", "Streams that went on after an event.",
              from.streams_resumed);
  out.gauge("troupe_journal_entries", "Requests that can be resumed by their id.", journal.entries);
  out.gauge("troupe_journal_entry_bytes", "Bytes of these.", journal.entry_bytes);
  out.gauge("troupe_journal_disk_bytes", "Bytes of the journal on the disk.",
            journal.segment_bytes);
  out.counter("troupe_journal_put_total", "Requests noted for clients.", journal.put);
  out.counter("troupe_journal_absorbed_total", "Requests noted for other nodes.", journal.absorbed);
  out.counter("troupe_journal_refused_total", "Requests too large to be noted.", journal.refused);
  out.counter("troupe_journal_evicted_total", "Requests let go for lack of room.", journal.evicted);
  out.counter("troupe_journal_expired_total", "Requests let go because of their age.",
              journal.expired);
  out.counter("troupe_journal_write_failures_total", "Batches that did not reach the disk.",
              journal.write_failures);
}

void write_ingest(metrics_writer& out, const storage::ingest_log_counters& from) {
  out.counter("troupe_ingest_documents_total", "Documents to learn from that were kept.",
              from.documents);
  out.counter("troupe_ingest_repeated_total", "Batches that had been kept before.", from.repeated);
  out.counter("troupe_ingest_full_total", "Batches turned away for lack of room.", from.full);
  out.counter("troupe_ingest_failures_total", "Writes that did not reach the disk.", from.failed);
  out.gauge("troupe_ingest_log_begin", "Offset of the first document in the log.", from.begin);
  out.gauge("troupe_ingest_log_end", "Offset behind the last document in the log.", from.end);
  out.gauge("troupe_ingest_log_bytes", "Bytes of the log on the disk.", from.bytes);
}

void write_weights(metrics_writer& out, const std::vector<weights_in_memory>& versions) {
  const auto each = [&](std::string_view name, std::string_view kind, std::string_view help,
                        uint64_t weights_in_memory::*value) {
    out.family(name, kind, help);
    for (const auto& of : versions)
      out.sample(of.*value, text("version=\"", of.version, "\",state=\"", of.state, '"'));
  };
  each("troupe_weights_streams", "gauge", "Streams that hold this version of the weights.",
       &weights_in_memory::streams);
  each("troupe_weights_answers_total", "counter", "Answers this version brought to a good end.",
       &weights_in_memory::answered);
  each("troupe_weights_failures_total", "counter", "Answers this version failed.",
       &weights_in_memory::failed);
}

} // namespace

std::string escaped_label(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string metrics_text(const metrics_page& page) {
  const std::string model = text("model_name=\"", escaped_label(page.model_name), '"');
  metrics_writer own(model);
  write_requests(own, page.engine);
  write_cache(own, page.engine);
  write_archive(own, page.engine.kv_archive);
  write_work(own, page.engine);
  write_experts(own, page.engine);
  metrics_writer transport("");
  write_transport(transport, page.transport, page.requests);
  write_resume(transport, page.resume);
  if (page.ingest) write_ingest(transport, *page.ingest);
  if (!page.weights.empty()) write_weights(transport, page.weights);
  metrics_writer vllm(model);
  write_vllm(vllm, page.engine);
  return own.take() + transport.take() + vllm.take();
}

} // namespace troupe::server
