// The right answers: what one undisturbed node that serves nothing else gives, computed once per
// request content and remembered.
#pragma once

#include "actors/model_bundle.hpp"
#include "base/status.hpp"
#include "compute/executor.hpp"
#include "dataflow/request.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace troupe::simulations {

class simulated_node;

struct choice_answer {
  std::vector<dataflow::token_record> prompt; // scores, when asked for
  std::vector<dataflow::token_record> tokens;
  std::vector<uint32_t> text_after; // bytes of text the client has after each token
  std::string text;
  dataflow::finish_reason reason = dataflow::finish_reason::stop;
  std::string stopped_by;
};

struct answer {
  status failure; // the request cannot be served even here
  std::vector<choice_answer> choices;
  uint32_t completion_tokens = 0;
};

// What the answer depends on, as bytes: not the id, the priority, the deadline or the cache's salt.
std::string content_key(const dataflow::generation_request& request);

// What a client has after cancelling with so many tokens: the text given out plus what was held
// back.
std::string text_when_cut(const model::tokenizer& tokenizer,
                          const dataflow::generation_request& request,
                          const std::vector<dataflow::token_record>& tokens);

struct oracle_options {
  uint32_t positions_max = 0; // as in node_options
  size_t answers_max = 4096;  // remembered; then it starts afresh
};

// One thread. `executor` must outlive it and compute on the calling thread.
class oracle {
public:
  static result<std::unique_ptr<oracle>> make(std::shared_ptr<const actors::model_bundle> model,
                                              compute::executor& executor,
                                              const oracle_options& options);

  // Stays valid until the oracle is gone, or answers_max other contents were asked for.
  const answer& of(const dataflow::generation_request& request);

  const model::tokenizer& tokenizer() const { return *model_->tokenizer; }
  uint64_t computed() const { return computed_; } // answers not remembered from before

  // For make() alone.
  oracle(std::shared_ptr<const actors::model_bundle> model, std::unique_ptr<simulated_node> node,
         const oracle_options& options);
  ~oracle();

private:
  answer compute(const dataflow::generation_request& request);

  std::shared_ptr<const actors::model_bundle> model_; // shared with the node's parts
  std::unique_ptr<simulated_node> node_;
  oracle_options options_;
  std::map<std::string, answer> answers_; // by content_key
  uint64_t computed_ = 0;
};

} // namespace troupe::simulations
