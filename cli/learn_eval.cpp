// Loads one model after another as serving does, and reads every domain with it.
#include "cli/learn_eval.hpp"

#include "base/text.hpp"
#include "cli/engine_setup.hpp"
#include "cli/learn_data.hpp"
#include "cli/program.hpp"
#include "model/decoder.hpp"

#include <atomic>

namespace troupe::cli {
namespace {

// Bits per byte of one domain's documents.
result<double> measure(program& context, const running_engine& loaded, const named_file& what,
                       uint32_t piece_tokens) {
  const auto& tokenizer = *loaded.model->tokenizer;
  auto separator = tokenizer.eos_id();
  const auto& description = *loaded.model->description;
  if (!separator && !description.eos_ids.empty()) separator = description.eos_ids.front();
  if (!separator) return fail(status_code::unsupported, "the model has no end of sequence");
  const auto text_read =
      read_text_to_judge(context.files, what.path, tokenizer, piece_tokens, *separator);
  if (!text_read) return fail(text_read.error());
  auto decoder = model::decoder::make(
      description, *loaded.model->weights, *loaded.executor,
      {.positions_max = piece_tokens, .rows_max = std::min(piece_tokens, 256u)});
  if (!decoder) return fail(decoder.error());
  double nats = 0;
  for (size_t i = 0; i < text_read->pieces.count(); ++i) {
    const auto piece = text_read->pieces.at(i);
    const auto loss = model::nats_of(*decoder, piece.tokens, piece.targets);
    if (!loss) return fail(loss.error().within(what.path));
    nats += *loss;
  }
  return text_read->bits_per_byte(nats);
}

// A row of the matrix.
setup_result<std::vector<double>> measure_model(program& context,
                                                const learn_eval_settings& settings,
                                                const std::string& directory,
                                                const std::vector<named_file>& domains,
                                                const std::atomic<int>& signal) {
  model_settings model;
  model.model = directory;
  model.quantize = settings.quantize;
  const auto loaded = load_only(context, model, settings.device);
  if (!loaded) return tl::make_unexpected(loaded.error());
  if (const uint32_t most = loaded->model->description->positions_max; settings.context > most)
    return tl::make_unexpected(setup_failure{
        {status_code::invalid_argument,
         text("--context ", settings.context, ": ", directory, " was made for ", most, " tokens")},
        exit_usage});
  std::vector<double> out;
  for (const auto& each : domains) {
    if (signal.load() != 0) break;
    const auto bits = measure(context, *loaded, each, settings.context);
    if (!bits) return tl::make_unexpected(setup_failure{bits.error(), exit_failed});
    out.push_back(*bits);
  }
  return out;
}

status check(const learn_eval_settings& settings) {
  const auto wrong = [](std::string_view why) {
    return status(status_code::invalid_argument, std::string(why));
  };
  if (settings.models.empty()) return wrong("troupe learn eval needs a model directory");
  if (settings.held_out.empty()) return wrong("troupe learn eval needs --held-out NAME=FILE");
  if (settings.models.size() - 1 > settings.held_out.size())
    return wrong(text("there are ", settings.models.size() - 1, " stages of learning but ",
                      settings.held_out.size(), " domains: each stage learns one"));
  return {};
}

int run_learn_eval(program& context, const learn_eval_settings& settings) {
  if (const auto valid = check(settings); !valid.ok()) return context.complain(valid, exit_usage);
  std::vector<named_file> domains;
  for (const auto& each : settings.held_out) {
    auto parsed = parse_named_file("--held-out", each);
    if (!parsed) return context.complain(parsed.error(), exit_usage);
    domains.push_back(std::move(*parsed));
  }
  std::atomic<int> signal{0};
  const signal_scope scope(context.signals,
                           [&signal](int number) { return signal.exchange(number) == 0; });
  learn_eval_report report;
  report.models = settings.models;
  for (const auto& each : domains) report.domains.push_back(each.name);
  for (const auto& each : settings.models) {
    auto row = measure_model(context, settings, each, domains, signal);
    if (!row) return context.complain(row.error().why, row.error().code);
    report.losses.push_back(std::move(*row));
    if (signal.load() != 0) return exit_code_of(signal.load());
  }
  if (!settings.joint.empty()) {
    auto row = measure_model(context, settings, settings.joint, domains, signal);
    if (!row) return context.complain(row.error().why, row.error().code);
    report.joint = std::move(*row);
    if (signal.load() != 0) return exit_code_of(signal.load());
  }
  (void)context.out.write(settings.json ? json_of(report) : table_of(report));
  return context.exit_after_output();
}

constexpr command_info info = {
    .name = "learn eval",
    .section = "learn",
    .summary = "measures how well models know several domains, and what they have forgotten",
    .notes =
        "Every model reads every domain's text as serving would, document by document. The matrix "
        "has a row\n"
        "for each model and a column for each domain, in bits per byte of text: less is better, "
        "and models\n"
        "with other tokenizers compare. Below it, for two and more stages:\n"
        "  backward transfer  of each domain, right after its stage minus now: below 0 is "
        "forgotten\n"
        "  forward transfer   of each domain, at the beginning minus just before its stage\n"
        "  forgetting         of each domain, now minus the least there ever was\n"
        "  retention          2 to the power of backward transfer: 1 is nothing forgotten\n"
        "  regret             now minus the joint model's\n"
        "\n"
        "exit codes: 0 done; 1 failed; 2 wrong usage; 3 no such model; 130 ended by Ctrl-C\n"
        "\n"
        "example:\n"
        "  troupe learn eval /models/base /models/after-law /models/after-code \\\n"
        "    --held-out law=law-held-out.txt --held-out code=code-held-out.jsonl\n",
};

} // namespace

std::unique_ptr<command> make_learn_eval() {
  return make_command<learn_eval_settings>(info, run_learn_eval);
}

} // namespace troupe::cli
