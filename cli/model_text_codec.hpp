// Tokenizer and chat template of the loaded model, as the HTTP server asks for them.
#pragma once

#include "actors/engine.hpp"
#include "base/clock.hpp"
#include "model/chat_template.hpp"
#include "server/text_codec.hpp"

#include <memory>

namespace troupe::cli {

// One conversation rendered with the engine's template; not_found when the model has none.
result<std::string> render_chat(const actors::engine& engine, const clock& time,
                                const server::chat_input& input);

// The engine and the clock must outlive it.
std::shared_ptr<const server::text_codec> make_text_codec(const actors::engine& engine,
                                                          const clock& time);

} // namespace troupe::cli
