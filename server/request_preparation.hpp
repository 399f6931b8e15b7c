// From a checked request to engine requests: template, tokens, lengths. Pure given its codec.
#pragma once

#include "server/openai_request.hpp"
#include "server/text_codec.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace troupe::server {

struct prepared_request {
  std::vector<dataflow::generation_request> generations; // one per prompt
  std::vector<std::string> echoes; // per prompt, its text; empty strings unless echo
};

struct preparation_args {
  const request_rules& rules;
  const text_codec& codec;
  const std::function<uint64_t()>& seeds;        // for requests without a seed
  std::optional<int64_t> created = std::nullopt; // since 1970: what a template takes for now
};

// The tokens of the conversation or of the only prompt.
api_result<std::vector<int32_t>> tokens_of(const answer_request& request, const text_codec& codec);

api_result<prepared_request> prepare(const answer_request& request, const preparation_args& args);

} // namespace troupe::server
