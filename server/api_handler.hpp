// The routes of the server: which request is answered by what.
#pragma once

#include "actors/cluster_picture.hpp"
#include "actors/engine.hpp"
#include "base/clock.hpp"
#include "server/event_id.hpp"
#include "server/engine_choice.hpp"
#include "server/http_exchange.hpp"
#include "server/http_metrics.hpp"
#include "server/metrics_text.hpp"
#include "server/openai_request.hpp"
#include "server/progress_watch.hpp"
#include "server/reply.hpp"
#include "server/text_codec.hpp"
#include "storage/ingest_queue.hpp"
#include "storage/request_journal.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe::server {

struct api_options {
  request_rules rules;
  std::vector<std::string> api_keys;    // empty: everybody may
  std::vector<std::string> admin_keys;  // empty: nobody may
  std::vector<std::string> ingest_keys; // empty: nobody may send documents to learn from
  bool metrics_need_key = false;
  std::string cors_origin;           // of browsers' pages that may ask; empty: none
  size_t aside_bytes_min = 16 << 10; // larger bodies are parsed and tokenised off the I/O threads
  bool event_ids = true;             // in streams whose request does not say
};

struct api_parts {
  actors::engine& engine; // these three outlive the server
  const class clock& clock;
  std::function<transport_metrics()> transport;
  std::shared_ptr<const text_codec> codec;                 // shared with the answers under way
  std::function<uint64_t()> seeds;                         // any thread
  std::function<actors::cluster_picture()> cluster;        // any thread; none: a node of its own
  std::shared_ptr<storage::request_journal> journal;       // shared with the answers under way
  std::shared_ptr<storage::ingest_queue> ingest = nullptr; // that too; none: nobody may send
  engine_choice choose_engine = nullptr;                   // none: always `engine`
  std::function<std::vector<weights_in_memory>()> weights = nullptr; // any thread
};

class api_handler final : public http_handler, public std::enable_shared_from_this<api_handler> {
public:
  api_handler(api_parts parts, api_options options);

  std::optional<http_response> refuse_early(const http_request& head) override;
  void handle(http_request request, const std::shared_ptr<http_exchange>& exchange) override;
  http_response connection_error(const api_error& error) override;

private:
  struct call; // a request on its way through here
  struct route;
  using call_pointer = std::shared_ptr<call>;

  static const std::vector<route>& routes();
  const route* find_route(const http_request& request, bool& path_known) const;
  std::optional<api_error> refusal_of(const http_request& request) const;
  std::optional<api_error> key_refusal_of(const http_request& request) const;
  class reply reply_for(const http_request& request) const;

  void get_models(const call_pointer& call);
  void get_model(const call_pointer& call);
  void get_live(const call_pointer& call);
  void get_ready(const call_pointer& call);
  void get_progress(const call_pointer& call);
  void get_cluster(const call_pointer& call);
  void get_version(const call_pointer& call);
  void get_metrics(const call_pointer& call);
  void post_completions(const call_pointer& call);
  void post_chat(const call_pointer& call);
  void post_tokenize(const call_pointer& call);
  void post_detokenize(const call_pointer& call);
  void post_data(const call_pointer& call);
  void options(const call_pointer& call);

  void get_completion(const call_pointer& call);
  void get_chat(const call_pointer& call);

  void answer(const call_pointer& call, bool chat);
  void answer_again(const call_pointer& call, bool chat);
  // The request behind the response's id in the path, or why there is none to be had.
  api_result<storage::request_journal::entry_pointer> journaled_request_of(const call& call,
                                                                           bool chat);
  api_result<void> prepare_answer(call& call, bool chat);
  std::shared_ptr<actors::engine> engine_for(const call& call) const;
  answer_identity identity_of(const call& call, bool chat, const answer_request& request,
                              const actors::engine& engine) const;
  // Computes a response with `work`, aside when the body is large or `always_aside`.
  void respond_with(const call_pointer& call, bool always_aside,
                    std::function<http_response(const call_pointer&)> work);
  std::string model_card() const;

  api_parts parts_;
  api_options options_;
  int64_t started_seconds_;
  mutable http_metrics metrics_;
  std::atomic<uint64_t> streams_resumed_ = 0;
  progress_watch progress_;
};

} // namespace troupe::server
