// Parts of a request that both completion routes share. For sources only: it brings in the JSON
// library.
#pragma once

#include "server/json_fields.hpp"
#include "server/openai_request.hpp"

namespace troupe::server {

// temperature to seed: sampling and its defaults.
void read_sampling(json_fields& fields, const request_rules& rules, answer_request& out);
// stop, stop_token_ids, ignore_eos, min_tokens, ...
void read_stopping(json_fields& fields, const request_rules& rules, answer_request& out);
// n, stream, user, priority, request_id, ...
void read_common(json_fields& fields, const request_rules& rules, answer_request& out);
// Fields that other servers honour, whose loss would change the meaning of the request.
void refuse_unsupported(json_fields& fields);

// response_format, guided_..., structured_outputs, and tools that have to be called. After
// everything that could be wrong without a grammar.
void read_constraint(json_fields& fields, answer_request& out);

// messages, tools, chat_template_kwargs and the two switches of the template.
void read_conversation(json_fields& fields, const request_rules& rules, answer_request& out);

// A list of token ids of the vocabulary. `where` names it in errors.
std::optional<std::vector<int32_t>> read_tokens(json_fields& fields, const char* name,
                                                const json_value& value,
                                                const request_rules& rules);

// `model`: absent, or the served name; else 404.
void read_model(json_fields& fields, const request_rules& rules);

} // namespace troupe::server
