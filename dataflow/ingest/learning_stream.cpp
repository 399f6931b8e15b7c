// The window is filled from the log, batches are dealt from the window.
#include "dataflow/ingest/learning_stream.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "dataflow/ingest/learning_draws.hpp"
#include "schemas/learning_codec.hpp"

#include <algorithm>
#include <utility>

namespace troupe::dataflow {
namespace {

constexpr size_t held_out_bytes_max = 64 << 10; // of a document; all of them are in the state

} // namespace

std::string learning_stream_settings::summary() const {
  return text("context ", context, ", step tokens ", step_tokens, ", separator ", separator,
              ", seed ", seed, ", replay ", replay_share, " of ", replay.documents_max,
              replay.by_domain ? " by domain" : "", " to ", replay.bytes_max, ", ",
              mixing.summary(), ", hold out ", hold_out, " to ", held_out_max);
}

learning_stream::learning_stream(const learning_stream_settings& settings, cleaner clean,
                                 learning_stream_parts parts)
    : settings_(settings),
      parts_(std::move(parts)),
      clean_(std::move(clean)),
      replay_(settings.replay, settings.seed) {
  TROUPE_CHECK(settings.context > 0 && settings.step_tokens > 0 && settings.mixing.window > 0);
  TROUPE_CHECK(settings.replay_share < 1000);
}

std::string learning_stream::settings_summary() const {
  return text(settings_.summary(), "; ", clean_.summary());
}

// -- from the log to the window

// False: the window is not full, and more may come.
result<bool> learning_stream::fill_window() {
  const bool after_another = std::exchange(begins_, false) && at_end() && now_.pending.empty();
  if (!settings_.follows && (now_.limit == 0 || after_another)) {
    // What is there now belongs to the run; what comes later is left to the next one. Asked once,
    // for it decides where windows are not full any more.
    const auto end = parts_.end();
    if (!end) return fail(end.error());
    now_.limit = *end;
  }
  while (window_.size() < settings_.mixing.window) {
    if (!settings_.follows && now_.cursor >= now_.limit) return true;
    auto document = parts_.read(now_.cursor);
    if (!document) return fail(document.error());
    if (!*document) return false;
    if (auto s = look_at(std::move(**document), now_.cursor); !s.ok()) return fail(std::move(s));
    ++now_.cursor;
  }
  return true;
}

status learning_stream::look_at(schemas::ingest_document document, uint64_t offset) {
  if (document.erases) {
    forget(document.id);
    return {};
  }
  auto verdict = clean_.look_at(document, offset);
  if (verdict.rejected) return reject(document, offset, *verdict.rejected);
  auto tokens = parts_.tokenise(document.text);
  if (tokens && tokens->empty())
    tokens = fail(status_code::invalid_argument, "the text has no token");
  if (!tokens)
    return reject(document, offset,
                  {.reason = rejection_reason::not_tokenised, .detail = tokens.error().why()});
  ++now_.accepted;
  ++domains_[verdict.domain];
  schemas::learning_document kept{.offset = offset,
                                  .id = std::move(document.id),
                                  .domain = std::move(verdict.domain),
                                  .text = std::move(document.text)};
  const bool held = settings_.hold_out > 0 && now_.accepted % settings_.hold_out == 0 &&
                    now_.held_out.size() < settings_.held_out_max &&
                    kept.text.size() <= held_out_bytes_max;
  if (held) {
    now_.held_out.push_back(std::move(kept));
    return {};
  }
  const uint64_t difficulty = measure(kept.text).difficulty();
  window_.push_back({std::move(kept), between_separators(std::move(*tokens)), difficulty});
  return {};
}

status learning_stream::reject(const schemas::ingest_document& document, uint64_t offset,
                               const rejection& why) {
  TROUPE_RETURN_IF_ERROR(parts_.quarantine({.offset = offset, .document = document, .why = why}));
  ++rejections_[why.counted_as()];
  return {};
}

// Wherever it waits to be learnt from. What it has done to the weights cannot be undone here.
void learning_stream::forget(std::string_view id) {
  if (id.empty()) return;
  replay_.erase(id);
  std::erase_if(window_, [id](const auto& each) { return each.document.id == id; });
  std::erase_if(now_.held_out, [id](const auto& each) { return each.id == id; });
}

// -- from the window to batches

result<std::optional<model::step_batch>> learning_stream::next() {
  while (pending_tokens_ < settings_.step_tokens) {
    bool replayed = false;
    if (auto s = deal_replayed(replayed); !s.ok()) return fail(std::move(s));
    if (replayed) continue;
    const auto dealt = deal_new();
    if (!dealt) return fail(dealt.error());
    if (*dealt) continue;
    // Nothing more: a batch that is begun waits for more, or ends with the log.
    if (!at_end() || now_.pending.empty()) return std::nullopt;
    break;
  }
  handed_out_ = std::exchange(now_.pending, {});
  pending_tokens_ = 0;
  ++now_.batches;
  model::step_batch out;
  for (const auto& each : handed_out_) {
    out.documents.push_back({.tokens = each.tokens, .targets = each.targets});
    out.bytes += each.bytes;
  }
  return out;
}

bool learning_stream::at_end() const {
  return !settings_.follows && now_.limit > 0 && now_.cursor >= now_.limit && window_.empty() &&
         !open_;
}

// So many that their share of all tokens since there has been something to replay is as wished. The
// first piece of a batch is a new one: a stream at its end does not live on replay.
status learning_stream::deal_replayed(bool& dealt) {
  dealt = false;
  const uint64_t wished = (now_.tokens_dealt + 1) * settings_.replay_share / 1000;
  if (now_.pending.empty() || now_.tokens_replayed >= wished) return {};
  const auto* document = replay_.draw(now_.replay_draws, settings_.mixing.weights);
  if (document == nullptr) return {};
  auto tokens = parts_.tokenise(document->text);
  if (!tokens) return tokens.error();
  const auto framed = between_separators(std::move(*tokens));
  const uint64_t index = random_below(learning_key(settings_.seed, learning_draw::replayed_piece),
                                      now_.replay_draws, pieces_of(framed));
  ++now_.replay_draws;
  auto made = cut(framed, index, document->text.size());
  now_.tokens_replayed += made.tokens.size();
  now_.tokens_dealt += made.tokens.size();
  pending_tokens_ += made.tokens.size();
  now_.pending.push_back(std::move(made));
  dealt = true;
  return {};
}

// False: there is nothing to deal now.
result<bool> learning_stream::deal_new() {
  if (!open_) {
    const auto full = fill_window();
    if (!full) return fail(full.error());
    if (!*full || window_.empty()) return false;
    const auto choice =
        choose_next(window_, domains_, settings_.mixing, settings_.seed, now_.domain_draws);
    now_.domain_draws += choice.drew ? 1 : 0;
    auto& chosen = window_[choice.index];
    open_.emplace(open_document{std::move(chosen.document), std::move(chosen.tokens), 0});
    window_.erase(window_.begin() + static_cast<std::ptrdiff_t>(choice.index));
  }
  auto made = cut(open_->tokens, open_->taken++, open_->document.text.size());
  pending_tokens_ += made.tokens.size();
  if (!replay_.empty()) now_.tokens_dealt += made.tokens.size();
  now_.pending.push_back(std::move(made));
  if (open_->taken == pieces_of(open_->tokens)) {
    replay_.offer(open_->document);
    open_.reset();
  }
  return true;
}

std::vector<int32_t> learning_stream::between_separators(std::vector<int32_t> tokens) const {
  tokens.insert(tokens.begin(), settings_.separator);
  tokens.push_back(settings_.separator);
  return tokens;
}

uint64_t learning_stream::pieces_of(const std::vector<int32_t>& tokens) const {
  return (tokens.size() - 1 + settings_.context - 1) / settings_.context;
}

// Bytes are shared out over the pieces so that they add up to those of the text.
learning_stream::piece learning_stream::cut(const std::vector<int32_t>& tokens, uint64_t index,
                                            uint64_t text_bytes) const {
  const uint64_t inputs = tokens.size() - 1;
  const uint64_t begin = index * settings_.context;
  const uint64_t end = std::min(begin + settings_.context, inputs);
  const auto at = [&](uint64_t i) { return tokens.begin() + static_cast<std::ptrdiff_t>(i); };
  return {.tokens = {at(begin), at(end)},
          .targets = {at(begin + 1), at(end + 1)},
          .bytes = text_bytes * end / inputs - text_bytes * begin / inputs};
}

// -- what must not be lost

std::vector<std::byte> learning_stream::state() const {
  schemas::learning_stream_state out = now_;
  out.settings = settings_summary();
  for (const auto& each : window_) out.windowed.push_back(each.document);
  if (open_) {
    out.open = open_->document;
    out.open_taken = open_->taken;
  }
  out.reservoirs = replay_.save();
  clean_.save(out);
  for (const auto& [name, count] : domains_) out.domains.push_back({name, count});
  for (const auto& [name, count] : rejections_) out.rejections.push_back({name, count});
  auto bytes = schemas::encode_learning_state(out);
  TROUPE_CHECK(bytes.has_value()); // what it holds is bounded far below the limit
  return std::move(*bytes);
}

status learning_stream::restore(std::span<const std::byte> bytes) {
  auto state = schemas::decode_learning_state(bytes);
  if (!state) return state.error();
  if (state->settings != settings_summary())
    return status(status_code::invalid_argument,
                  text("the state of the data was made with other settings: ", state->settings,
                       "; these are: ", settings_summary()));
  std::vector<waiting_document> window;
  for (auto& each : state->windowed) {
    auto tokens = parts_.tokenise(each.text);
    if (!tokens) return tokens.error();
    const uint64_t difficulty = measure(each.text).difficulty();
    window.push_back({std::move(each), between_separators(std::move(*tokens)), difficulty});
  }
  std::optional<open_document> open;
  if (state->open_taken > 0) {
    auto tokens = parts_.tokenise(state->open.text);
    if (!tokens) return tokens.error();
    open.emplace(open_document{std::move(state->open), between_separators(std::move(*tokens)),
                               state->open_taken});
    if (open->taken >= pieces_of(open->tokens))
      return status(status_code::corrupt, "state of the data: more pieces than the document has");
  }
  replay_reservoir replay(settings_.replay, settings_.seed);
  TROUPE_RETURN_IF_ERROR(replay.restore(state->reservoirs));
  TROUPE_RETURN_IF_ERROR(clean_.restore(*state)); // the last that can fail
  replay_ = std::move(replay);
  window_ = std::move(window);
  open_ = std::move(open);
  domains_.clear();
  rejections_.clear();
  for (const auto& each : state->domains) domains_[each.name] = each.count;
  for (const auto& each : state->rejections) rejections_[each.name] = each.count;
  now_ = std::move(*state);
  now_.settings.clear();
  now_.windowed.clear();
  now_.open = {};
  now_.open_taken = 0;
  now_.reservoirs.clear();
  now_.seen.clear();
  now_.domains.clear();
  now_.rejections.clear();
  pending_tokens_ = 0;
  for (const auto& each : now_.pending) pending_tokens_ += each.tokens.size();
  begins_ = true;
  return {};
}

learning_stream_figures learning_stream::figures() const {
  return {.cursor = now_.cursor,
          .accepted = now_.accepted,
          .waiting = window_.size(),
          .replayable = replay_.documents(),
          .held_out = now_.held_out.size(),
          .domains = domains_,
          .rejections = rejections_};
}

} // namespace troupe::dataflow
