// Keeps one idle node and asks it one request at a time. Nothing of one request helps the next:
// there is no prefix cache.
#include "simulations/checkers/oracle.hpp"

#include "base/check.hpp"
#include "dataflow/stop_matcher.hpp"
#include "model/stream_decoder.hpp"
#include "model/tokenizer.hpp"
#include "simulations/simulated_node.hpp"

#include <bit>
#include <type_traits>
#include <utility>

namespace troupe::simulations {
namespace {

using dataflow::stream_event;

constexpr uint64_t steps_max = 50'000'000;

// Fields one after the other, lengths first, so that no two contents give the same bytes.
class key_writer {
public:
  template <class T>
  void add(T value) {
    if constexpr (std::is_same_v<T, float>) {
      add(std::bit_cast<uint32_t>(value));
    } else {
      const auto bits = static_cast<uint64_t>(value);
      for (size_t i = 0; i < sizeof(T); ++i) out_ += static_cast<char>(bits >> (8 * i) & 255);
    }
  }
  void add_text(std::string_view value) {
    add(uint64_t{value.size()});
    out_ += value;
  }
  void add_ids(const std::vector<int32_t>& ids) {
    add(uint64_t{ids.size()});
    for (const int32_t id : ids) add(id);
  }
  std::string take() { return std::move(out_); }

private:
  std::string out_;
};

void add_sampling(key_writer& key, const model::sampling_options& options) {
  key.add(options.temperature);
  key.add(options.top_k);
  key.add(options.top_p);
  key.add(options.min_p);
  key.add(options.repetition_penalty);
  key.add(options.presence_penalty);
  key.add(options.frequency_penalty);
  key.add(uint64_t{options.logit_bias.size()});
  for (const auto& [token, bias] : options.logit_bias) {
    key.add(token);
    key.add(bias);
  }
  key.add(options.seed);
}

void hear(answer& out, const stream_event& event) {
  if (event.what == stream_event::kind::failed) {
    out.failure = event.why;
    return;
  }
  if (event.what == stream_event::kind::completed) {
    out.completion_tokens = event.completion_tokens;
    return;
  }
  auto& choice = out.choices.at(event.choice);
  if (event.what == stream_event::kind::prompt_scored) choice.prompt = event.tokens;
  if (event.what == stream_event::kind::text) {
    choice.text += event.text;
    for (const auto& token : event.tokens) {
      choice.tokens.push_back(token);
      choice.text_after.push_back(static_cast<uint32_t>(choice.text.size()));
    }
  }
  if (event.what == stream_event::kind::finished) {
    choice.reason = event.reason;
    choice.stopped_by = event.stopped_by;
  }
}

} // namespace

std::string content_key(const dataflow::generation_request& request) {
  key_writer key;
  key.add_ids(request.prompt);
  add_sampling(key, request.sampling);
  key.add(request.choices);
  key.add(request.tokens_max);
  key.add(request.tokens_min);
  key.add(uint64_t{request.stop_texts.size()});
  for (const auto& stop : request.stop_texts) key.add_text(stop);
  key.add_ids(request.stop_ids);
  key.add(request.include_stop_text);
  key.add(static_cast<uint8_t>(request.constraint.what));
  key.add_text(request.constraint.text);
  key.add(request.ignore_eos);
  key.add(request.skip_special_tokens);
  key.add(request.top_logprobs.has_value());
  key.add(request.top_logprobs.value_or(0));
  key.add(request.prompt_logprobs);
  return key.take();
}

std::string text_when_cut(const model::tokenizer& tokenizer,
                          const dataflow::generation_request& request,
                          const std::vector<dataflow::token_record>& tokens) {
  model::stream_decoder decoder(tokenizer, request.skip_special_tokens);
  dataflow::stop_matcher stops(request.stop_texts, request.include_stop_text);
  std::string out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string piece = decoder.push(tokens[i].token);
    out += i < request.tokens_min ? stops.pass(piece) : stops.feed(piece).emit;
  }
  out += stops.feed(decoder.finish()).emit;
  return out + stops.flush();
}

result<std::unique_ptr<oracle>> oracle::make(std::shared_ptr<const actors::model_bundle> model,
                                             compute::executor& executor,
                                             const oracle_options& options) {
  TROUPE_CHECK(options.answers_max > 0);
  simulated_node_options node;
  node.pick = strategy::fifo;
  node.node.positions_max = options.positions_max;
  node.node.prefix_cache = false;
  node.node.sequences_max = 16;
  auto made = simulated_node::make(model, executor, node);
  if (!made) return fail(made.error().within("the oracle's node"));
  return std::make_unique<oracle>(std::move(model), std::move(*made), options);
}

oracle::oracle(std::shared_ptr<const actors::model_bundle> model,
               std::unique_ptr<simulated_node> node, const oracle_options& options)
    : model_(std::move(model)), node_(std::move(node)), options_(options) {}

oracle::~oracle() = default;

const answer& oracle::of(const dataflow::generation_request& request) {
  std::string key = content_key(request);
  const auto known = answers_.find(key);
  if (known != answers_.end()) return known->second;
  if (answers_.size() >= options_.answers_max) answers_.clear();
  return answers_.emplace(std::move(key), compute(request)).first->second;
}

answer oracle::compute(const dataflow::generation_request& request) {
  answer out;
  out.choices.resize(request.choices);
  auto undisturbed = request;
  undisturbed.deadline.reset();
  bool over = false;
  node_->submit(++computed_, std::move(undisturbed), [&out, &over](const stream_event& event) {
    over = event.what == stream_event::kind::completed || event.what == stream_event::kind::failed;
    hear(out, event);
  });
  TROUPE_CHECK(node_->run(steps_max) && over);
  return out;
}

} // namespace troupe::simulations
