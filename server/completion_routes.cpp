// Completions and chats: from a request, or from a response's id, to an answer under way.
#include "base/text.hpp"
#include "schemas/checksum.hpp"
#include "server/api_call.hpp"
#include "server/request_preparation.hpp"
#include "server/resumption.hpp"
#include "server/sse.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <span>

namespace troupe::server {
namespace {

constexpr std::string_view path_of_completions = "/v1/completions";
constexpr std::string_view path_of_chats = "/v1/chat/completions";

api_result<std::optional<time_point>> deadline_of(const http_request& request, uint32_t ms_max,
                                                  time_point now) {
  const std::string_view value = request.field("x-request-deadline-ms");
  if (value.empty()) return std::nullopt;
  uint64_t ms = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), ms);
  if (error == std::errc{} && end == value.data() + value.size() && ms >= 1 && ms <= ms_max) {
    return now + std::chrono::milliseconds(ms);
  }
  return refuse(invalid_field("X-Request-Deadline-Ms",
                              text("X-Request-Deadline-Ms must be an integer between 1 and ",
                                   ms_max, ", got ", in_quotes(value))));
}

answer_shape shape_of(const answer_request& request, const prepared_request& prepared) {
  answer_shape shape;
  shape.chat = request.chat;
  shape.echo = request.echo;
  shape.calls = request.calls;
  shape.logprobs = request.generation.top_logprobs.has_value();
  shape.prompt_logprobs = request.generation.prompt_logprobs;
  shape.include_usage = request.include_usage;
  shape.continuous_usage = request.continuous_usage;
  shape.choices = request.generation.choices;
  shape.echoes = prepared.echoes;
  for (const auto& generation : prepared.generations) {
    shape.prompt_tokens.push_back(static_cast<uint32_t>(generation.prompt.size()));
  }
  return shape;
}

storage::journaled_request entry_for(const http_request& request, bool chat,
                                     const answer_identity& identity) {
  return {.response_id = response_id_of(identity),
          .path = std::string(chat ? path_of_chats : path_of_completions),
          .body = request.body,
          .nonce = identity.nonce,
          .owner = owner_of(identity.nonce, bearer_key(request.field("authorization"))),
          .created = identity.created,
          .expires = 0}; // the journal knows
}

// Entries also come from other nodes.
bool is_of(const storage::journaled_request& entry, bool chat) {
  answer_identity nameless;
  nameless.chat = chat;
  const size_t prefix = response_id_of(nameless).size();
  return entry.path == (chat ? path_of_chats : path_of_completions) &&
         entry.response_id.size() > prefix &&
         entry.response_id.size() <= prefix + answer_name_bytes_max;
}

bool may_see(const storage::journaled_request& entry, const http_request& request) {
  const auto key = bearer_key(request.field("authorization"));
  return entry.owner == 0 || entry.owner == owner_of(entry.nonce, key);
}

} // namespace

void api_handler::post_completions(const call_pointer& call) {
  answer(call, false);
}
void api_handler::post_chat(const call_pointer& call) {
  answer(call, true);
}
void api_handler::get_completion(const call_pointer& call) {
  answer_again(call, false);
}
void api_handler::get_chat(const call_pointer& call) {
  answer_again(call, true);
}

void api_handler::answer_again(const call_pointer& call, bool chat) {
  auto entry = journaled_request_of(*call, chat);
  if (!entry) return call->exchange->respond(call->reply.error(entry.error()));
  if (call->request.method == "HEAD")
    return call->exchange->respond(call->reply.content("", sse_content_type));
  call->entry = std::move(*entry);
  answer(call, chat);
}

api_result<storage::request_journal::entry_pointer> api_handler::journaled_request_of(
    const call& call, bool chat) {
  auto after = event_id_of(call.request);
  if (!after) return refuse(std::move(after.error()));
  const std::string_view path = chat ? path_of_chats : path_of_completions;
  const std::string id = call.request.path.substr(path.size() + 1);
  if (*after && response_id_of((*after)->of) != id)
    return refuse(foreign_event(id, response_id_of((*after)->of)));
  const auto found = parts_.journal->find(id);
  bool others = false;
  for (const auto& entry : found.entries) {
    if (!is_of(*entry, chat) || !may_see(*entry, call.request)) continue;
    if (!*after || (*after)->of.nonce == entry->nonce) return entry;
    others = true; // clients may use a name again
  }
  return refuse(found.gone || others ? response_gone(id) : response_not_found(id));
}

uint32_t model_hash_of(std::string_view fingerprint) {
  return static_cast<uint32_t>(schemas::checksum_of(std::as_bytes(std::span(fingerprint))));
}

// The one whose weights a client that comes back was answered with, if they are still there.
std::shared_ptr<actors::engine> api_handler::engine_for(const call& call) const {
  if (parts_.choose_engine == nullptr) return {std::shared_ptr<void>(), &parts_.engine};
  engine_wish wish{.request_id = call.reply.request_id(), .model_hash = std::nullopt};
  if (call.after) wish.model_hash = call.after->of.model_hash;
  return parts_.choose_engine(wish);
}

// A request that is asked again keeps its name, nonce and time, so that nothing in the answer
// differs.
answer_identity api_handler::identity_of(const call& call, bool chat, const answer_request& request,
                                         const actors::engine& engine) const {
  answer_identity out;
  out.chat = chat;
  out.offsets = !chat && request.generation.top_logprobs.has_value();
  if (request.stream)
    out.request_hash = hash_of_request(chat ? path_of_chats : path_of_completions, call.body());
  out.model_hash = model_hash_of(engine.fingerprint());
  if (call.entry != nullptr) {
    out.name = call.entry->response_id.substr(response_id_of(out).size());
    out.nonce = call.entry->nonce;
    out.created = call.entry->created;
  } else if (call.after) {
    out.name = call.after->of.name;
    out.nonce = call.after->of.nonce;
    out.created = call.after->of.created;
  } else {
    const std::string_view header = call.request.field("x-request-id");
    const bool named = !request.request_id.empty() || header == call.reply.request_id();
    out.name = request.request_id.empty() ? call.reply.request_id() : request.request_id;
    // Clients may use a name again and still want another answer.
    out.nonce = named ? parts_.seeds() : nonce_of_own(out.name);
    out.created = std::max<int64_t>(parts_.clock.wall_seconds(), 0);
  }
  return out;
}

api_result<void> api_handler::prepare_answer(call& call, bool chat) {
  const request_rules& rules = options_.rules;
  auto deadline = deadline_of(call.request, rules.limits.deadline_ms_max, call.arrived);
  if (!deadline) return refuse(std::move(deadline.error()));
  auto request = chat ? parse_chat(call.body(), rules) : parse_completion(call.body(), rules);
  if (!request) return refuse(std::move(request.error()));
  auto after = event_id_of(call.request);
  if (!after) return refuse(std::move(after.error()));
  call.after = std::move(*after);
  if (call.after && !request->stream) return refuse(not_a_stream());

  auto engine = engine_for(call);
  const answer_identity identity = identity_of(call, chat, *request, *engine);
  const std::function<uint64_t()> seeds = [nonce = identity.nonce, n = uint64_t{0}]() mutable {
    return seed_of(nonce, n++);
  };
  auto prepared = prepare(*request, {rules, *parts_.codec, seeds, identity.created});
  if (!prepared) return refuse(std::move(prepared.error()));
  answer_shape shape = shape_of(*request, *prepared);
  shape.id = response_id_of(identity);
  shape.created = identity.created;
  shape.model = rules.model_name;
  shape.fingerprint = engine->fingerprint();
  shape.codec = parts_.codec.get();
  if (request->stream && request->event_ids.value_or(options_.event_ids)) shape.identity = identity;
  for (size_t i = 0; i < prepared->generations.size(); ++i) {
    auto& generation = prepared->generations[i];
    generation.id = prepared->generations.size() == 1 ? shape.id : text(shape.id, '-', i);
    generation.deadline = *deadline;
  }
  if (call.after) {
    if (auto error = mismatch_of(*call.after, identity, prepared->generations))
      return refuse(std::move(*error));
    streams_resumed_.fetch_add(1);
  }
  call.session.emplace(generation_session::args{
      .engine = std::move(engine),
      .generations = std::move(prepared->generations),
      .shape = std::move(shape),
      .stream = request->stream,
      .reply = call.reply,
      .from = call.after ? std::optional(std::move(call.after->after)) : std::nullopt});
  if (!request->stream) return {};
  call.session->journal = parts_.journal;
  call.session->entry =
      call.entry != nullptr ? *call.entry : entry_for(call.request, chat, identity);
  // Without keys whatever a client sends as one means nothing.
  if (call.entry == nullptr && options_.api_keys.empty()) call.session->entry->owner = 0;
  return {};
}

void api_handler::answer(const call_pointer& call, bool chat) {
  const bool large = call->body().size() >= options_.aside_bytes_min;
  auto work = [this, keep = shared_from_this(), call, chat] {
    if (auto done = prepare_answer(*call, chat); !done)
      call->response = call->reply.error(done.error());
    call->request.body.clear();
    call->request.body.shrink_to_fit();
  };
  auto then = [call] {
    if (call->response) return call->exchange->respond(std::move(*call->response));
    generation_session::start(call->exchange, std::move(*call->session));
  };
  if (large) return call->exchange->run_aside(std::move(work), std::move(then));
  work();
  then();
}

} // namespace troupe::server
