// Prompt in, text out, piece by piece.
#include "cli/generate.hpp"

#include "base/random.hpp"
#include "base/text.hpp"
#include "cli/generation.hpp"
#include "cli/program.hpp"
#include "cli/read_input.hpp"
#include "model/tokenizer.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>

namespace troupe::cli {
namespace {

constexpr uint32_t tokens_default = 256;

result<std::string> prompt_text(const std::vector<std::string>& words) {
  if (words.empty())
    return fail(status_code::invalid_argument,
                "troupe generate needs a prompt (- reads it from standard input)");
  if (words.size() == 1 && words[0] == "-") return read_all(0, input_bytes_max);
  std::string out;
  for (const auto& word : words) out += text(out.empty() && &word == &words[0] ? "" : " ", word);
  return out;
}

result<dataflow::generation_request> make_request(const generate_settings& settings,
                                                  const actors::engine& engine,
                                                  std::string_view prompt) {
  dataflow::generation_request out;
  auto tokens = engine.tokenizer().encode(prompt);
  if (!tokens) return fail(tokens.error());
  out.id = "generate";
  out.prompt = std::move(*tokens);
  // A model without a first token of its own cannot begin from nothing.
  if (out.prompt.empty())
    return fail(status_code::invalid_argument,
                "the prompt is empty, and this model needs at least one token to begin with");
  const uint64_t seed = settings.sampling.seed ? *settings.sampling.seed : entropy_seed();
  out.sampling = sampling_of(settings.sampling, engine.generation_defaults(), seed);
  out.choices = settings.choices;
  const uint32_t used =
      static_cast<uint32_t>(std::min<size_t>(out.prompt.size(), engine.positions_max()));
  const uint32_t room = engine.positions_max() - used;
  const auto wanted = engine.generation_defaults().max_new_tokens.value_or(tokens_default);
  out.tokens_max =
      settings.sampling.max_tokens.value_or(std::clamp(wanted, 1u, std::max(room, 1u)));
  out.stop_texts = settings.sampling.stop;
  out.ignore_eos = settings.sampling.ignore_eos;
  out.top_logprobs = settings.logprobs;
  return out;
}

// Streams the first choice and keeps the others until their turn, so that choices never mix.
class choice_printer {
public:
  choice_printer(program& context, uint32_t choices, std::string opening)
      : context_(context), opening_(std::move(opening)), texts_(choices) {}

  void begin() { (void)context_.out.write(opening_); }

  void add(uint32_t choice, const std::string& piece) {
    if (choice == 0)
      write(piece);
    else
      texts_[choice] += piece;
  }

  void end() {
    if (texts_.size() > 1 || context_.out.is_terminal()) end_line();
    for (size_t i = 1; i < texts_.size(); ++i) {
      write("\n");
      write(opening_);
      write(texts_[i]);
      end_line();
    }
  }

private:
  void write(const std::string& piece) {
    if (!piece.empty()) last_ = piece.back();
    (void)context_.out.write(piece); // the first failure is kept and asked for at the end
  }
  void end_line() {
    if (last_ != '\n') write("\n");
  }

  program& context_;
  std::string opening_;
  std::vector<std::string> texts_;
  char last_ = 0;
};

void list_logprobs(program& context, const actors::engine& engine,
                   const dataflow::stream_event& event) {
  const auto line = [&](std::string_view indent, int32_t token, float logprob) {
    std::array<char, 32> number;
    std::snprintf(number.data(), number.size(), "%9.4f", double(logprob));
    return text(indent, number.data(), "  ", token, "  ",
                quoted_text(engine.tokenizer().token_text(token)), "\n");
  };
  std::string out;
  for (const auto& token : event.tokens) {
    if (!token.scored) continue;
    out += text("choice ", event.choice, line(" ", token.token, token.logprob));
    for (const auto& other : token.top) out += line("          ", other.token, other.logprob);
  }
  (void)context.err.write(out);
}

int run_generate(program& context, const generate_settings& settings) {
  const auto prompt = prompt_text(settings.prompt);
  if (!prompt) return context.complain(prompt.error(), exit_usage);
  auto started = start_engine(
      context, {.model = settings.model, .device = settings.device, .engine = settings.engine});
  if (!started) return context.complain(started.error().why, started.error().code);
  auto& engine = *started->engine;
  auto request = make_request(settings, engine, *prompt);
  if (!request) return context.complain(request.error(), exit_usage);
  const uint64_t seed = request->sampling.seed;
  const bool greedy = request->sampling.temperature == 0;

  generation running(engine, context.clock);
  std::atomic<int> ended_by = 0;
  const signal_scope signals(context.signals, [&](int signal) {
    if (ended_by.exchange(signal) != 0) return false; // the second one does not wait
    running.cancel();
    return true;
  });
  choice_printer printer(context, settings.choices, settings.echo ? *prompt : "");
  if (const auto submitted = running.start(std::move(*request)); !submitted.ok())
    return context.complain(
        submitted, submitted.code() == status_code::invalid_argument ? exit_usage : exit_failed);
  printer.begin();
  const auto outcome = running.run([&](const dataflow::stream_event& event) {
    if (event.what != dataflow::stream_event::kind::text) return;
    printer.add(event.choice, event.text);
    if (settings.logprobs) list_logprobs(context, engine, event);
    if (!context.out.failure().ok()) running.cancel(); // nobody reads on
  });
  printer.end();
  if (!outcome.failure.ok()) return context.complain(outcome.failure);
  const int written = context.exit_after_output();
  if (written != exit_done) return written;
  if (settings.statistics) {
    const std::string repeat =
        greedy || settings.sampling.seed ? "" : text("; --seed ", seed, " repeats it");
    (void)context.err.write(text(statistics_line(outcome), repeat, "\n"));
  }
  return ended_by != 0 ? exit_code_of(ended_by) : exit_done;
}

constexpr command_info info = {
    .name = "generate",
    .section = "generate",
    .summary = "continues a text",
    .notes =
        "The text alone goes to standard output, piece by piece; everything else goes to standard "
        "error.\n"
        "The output begins with the prompt unless --no-echo is given. Ctrl-C ends it early.\n"
        "The same prompt, settings and seed give the same text, whatever the number of threads, "
        "stages\n"
        "and shards.\n"
        "\n"
        "exit codes: 0 done; 1 failed (also when standard output cannot be written); 2 wrong "
        "usage;\n"
        "  3 the model cannot be loaded; 130 ended by Ctrl-C, 143 by SIGTERM; 141 the reader of "
        "standard\n"
        "  output went away\n"
        "\n"
        "examples:\n"
        "  troupe generate \"Once upon a time\" --max-tokens 80 --seed 7\n"
        "  troupe generate - --temperature 0 < beginning.txt\n",
};

} // namespace

std::unique_ptr<command> make_generate() {
  return make_command<generate_settings>(info, run_generate);
}

} // namespace troupe::cli
