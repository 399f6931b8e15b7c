// Reads a line, renders the conversation, streams the answer, and again.
#include "cli/chat.hpp"

#include "base/random.hpp"
#include "base/text.hpp"
#include "cli/generation.hpp"
#include "cli/model_text_codec.hpp"
#include "cli/program.hpp"
#include "cli/read_input.hpp"
#include "model/tokenizer.hpp"

#include <algorithm>
#include <csignal>
#include <mutex>

namespace troupe::cli {
namespace {

constexpr std::string_view commands_help =
    "/reset forgets the conversation, /quit or Ctrl-D leaves, Ctrl-C stops an answer, /help says "
    "this\n";

class chat_session {
public:
  chat_session(program& context, const chat_settings& settings, actors::engine& engine)
      : context_(context), settings_(settings), engine_(engine), talk_(settings.system) {}

  int run() {
    if (engine_.chat_template() == nullptr)
      return context_.complain(
          status(status_code::not_found,
                 "this model has no chat template; troupe generate continues texts"));
    if (context_.input_is_terminal) (void)context_.err.write(commands_help);
    const signal_scope signals(context_.signals, [this](int signal) { return hear(signal); });
    for (;;) {
      if (context_.input_is_terminal) (void)context_.err.write("> ");
      const auto line = input_.next();
      if (!line || *line == "/quit" || *line == "/exit") break;
      if (!handle(*line)) break;
    }
    return leave();
  }

private:
  // False when the conversation cannot go on.
  bool handle(const std::string& line) {
    if (line.empty()) return true;
    if (line == "/help") {
      (void)context_.err.write(commands_help);
    } else if (line == "/reset") {
      talk_.reset();
    } else if (line.starts_with('/') && context_.input_is_terminal) {
      (void)context_.err.write(text("no such command: ", line, "\n", commands_help));
    } else {
      answer(line);
    }
    return context_.out.failure().ok();
  }

  void answer(const std::string& line) {
    talk_.add("user", line);
    auto request = make_request();
    if (!request) return give_up(request.error());
    generation running(engine_, context_.clock);
    set_current(&running); // from here on Ctrl-C is meant for it
    if (const auto started = running.start(std::move(*request)); !started.ok()) {
      set_current(nullptr);
      return give_up(started);
    }
    std::string said;
    const auto outcome = running.run([&](const dataflow::stream_event& event) {
      if (event.what != dataflow::stream_event::kind::text) return;
      said += event.text;
      if (!context_.out.write(event.text).ok()) running.cancel();
    });
    set_current(nullptr);
    (void)context_.out.write("\n");
    if (!outcome.failure.ok()) return give_up(outcome.failure);
    if (context_.input_is_terminal)
      (void)context_.err.write(text("(", statistics_line(outcome), ")\n"));
    talk_.add("assistant", std::move(said));
  }

  void give_up(const status& why) {
    (void)context_.complain(why);
    failed_ = true;
    talk_.drop_last();
  }

  result<dataflow::generation_request> make_request() {
    const auto prompt = render_chat(
        engine_, context_.clock,
        {.messages_json = talk_.messages_json(), .tools_json = {}, .arguments_json = {}});
    if (!prompt) return fail(prompt.error());
    // The template has written the special tokens itself.
    auto tokens = engine_.tokenizer().encode(*prompt, {.add_special_tokens = false});
    if (!tokens) return fail(tokens.error());
    if (tokens->size() >= engine_.positions_max())
      return fail(status_code::exhausted,
                  text("the conversation has ", tokens->size(), " tokens, and the model takes ",
                       engine_.positions_max(), "; /reset begins a new one"));
    dataflow::generation_request out;
    out.id = "chat";
    out.prompt = std::move(*tokens);
    out.sampling = sampling_of(settings_.sampling, engine_.generation_defaults(),
                               settings_.sampling.seed ? *settings_.sampling.seed : entropy_seed());
    const uint32_t room = engine_.positions_max() - static_cast<uint32_t>(out.prompt.size());
    out.tokens_max = std::min(settings_.sampling.max_tokens.value_or(room), room);
    out.stop_texts = settings_.sampling.stop;
    out.ignore_eos = settings_.sampling.ignore_eos;
    return out;
  }

  // On the watching thread. Ctrl-C only ever stops an answer; anything else ends the program.
  bool hear(int signal) {
    if (signal != SIGINT) return false;
    const std::lock_guard lock(mutex_);
    if (current_ != nullptr)
      current_->cancel();
    else if (context_.input_is_terminal)
      (void)context_.err.write("\n(Ctrl-D or /quit leaves)\n> ");
    else
      return false; // nobody can type /quit into a pipe
    return true;
  }

  void set_current(generation* running) {
    const std::lock_guard lock(mutex_);
    current_ = running;
  }

  int leave() {
    if (context_.input_is_terminal) (void)context_.err.write("\n");
    const int code = context_.exit_after_output();
    // A script wants to know; a person has read it.
    return code == exit_done && failed_ && !context_.input_is_terminal ? exit_failed : code;
  }

  program& context_;
  const chat_settings& settings_;
  actors::engine& engine_;
  conversation talk_;
  line_reader input_{0};
  bool failed_ = false;
  std::mutex mutex_; // of current_
  generation* current_ = nullptr;
};

int run_chat(program& context, const chat_settings& settings) {
  auto started = start_engine(
      context, {.model = settings.model, .device = settings.device, .engine = settings.engine});
  if (!started) return context.complain(started.error().why, started.error().code);
  return chat_session(context, settings, *started->engine).run();
}

constexpr command_info info = {
    .name = "chat",
    .section = "chat",
    .summary = "talks with a model that has a chat template",
    .notes =
        "Every line of standard input is a message; answers go to standard output, everything else "
        "to\n"
        "standard error. /reset forgets the conversation, /quit or Ctrl-D leaves, Ctrl-C stops an "
        "answer.\n"
        "\n"
        "exit codes: 0 done; 1 failed, or (piped) some message could not be answered; 2 wrong "
        "usage;\n"
        "  3 the model cannot be loaded; 143 ended by SIGTERM; 141 the reader of standard output "
        "went away\n",
};

} // namespace

std::unique_ptr<command> make_chat() {
  return make_command<chat_settings>(info, run_chat);
}

} // namespace troupe::cli
