// troupe tokenize: text to token ids and back, without the weights.
#include "cli/tokenize.hpp"

#include "actors/model_directory.hpp"
#include "base/text.hpp"
#include "cli/engine_setup.hpp"
#include "cli/program.hpp"
#include "cli/read_input.hpp"
#include "cli/settings.hpp"

#include <nlohmann/json.hpp>

namespace troupe::cli {
namespace {

struct tokenize_settings {
  std::vector<std::string> words;
  model_choice model;
  bool decode = false;
  bool json = false;
  bool special = true;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "text",
           .value = "TEXT",
           .help = "the text, or with --decode the ids; several are joined by spaces, - reads "
                   "standard input",
           .positional = true},
          words);
    visit({.name = "model",
           .value = "PATH",
           .help = "model directory or GGUF file; only its tokenizer is read",
           .aliases = "-m",
           .unset = "the built-in model"},
          model.model);
    visit({.name = "decode",
           .help = "turn ids into text; they may be separated by spaces, commas and brackets"},
          decode);
    visit(
        {.name = "special",
         .help =
             "add the special tokens that the model wants around a text; when decoding, show them"},
        special);
    visit({.name = "json", .help = "print JSON"}, json);
    common.for_each_field(visit);
  }
};

result<std::string> input_of(const std::vector<std::string>& words) {
  if (words.empty())
    return fail(status_code::invalid_argument,
                "troupe tokenize needs a text (- reads it from standard input)");
  if (words.size() == 1 && words[0] == "-") return read_all(0, input_bytes_max);
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) out += text(i > 0 ? " " : "", words[i]);
  return out;
}

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

int encode(program& context, const tokenize_settings& settings, const model::tokenizer& tokenizer,
           std::string_view input) {
  const auto ids = tokenizer.encode(input, {.add_special_tokens = settings.special});
  if (!ids) return context.complain(ids.error());
  if (settings.json) {
    auto pieces = nlohmann::ordered_json::array();
    for (const int32_t id : *ids) pieces.push_back(tokenizer.token_text(id));
    (void)context.out.write(dump({{"count", ids->size()}, {"tokens", *ids}, {"pieces", pieces}}));
    return context.exit_after_output();
  }
  std::string lines;
  for (const int32_t id : *ids)
    lines += text(id, "\t", quoted_text(tokenizer.token_text(id)), "\n");
  (void)context.out.write(lines);
  (void)context.err.write(text(ids->size(), " tokens\n"));
  return context.exit_after_output();
}

int decode(program& context, const tokenize_settings& settings, const model::tokenizer& tokenizer,
           std::string_view input) {
  const auto ids = parse_ids(input, tokenizer.id_limit());
  if (!ids) return context.complain(ids.error(), exit_usage);
  const std::string decoded = tokenizer.decode(*ids, !settings.special);
  (void)context.out.write(settings.json ? dump({{"text", decoded}}) : decoded);
  if (!settings.json && context.out.is_terminal()) (void)context.out.write("\n");
  return context.exit_after_output();
}

int run_tokenize(program& context, const tokenize_settings& settings) {
  const auto input = input_of(settings.words);
  if (!input) return context.complain(input.error(), exit_usage);
  const auto directory = model_directory_of(context, settings.model);
  if (!directory) return context.complain(directory.error().why, directory.error().code);
  const auto opened = actors::model_directory::open(context.files, *directory);
  if (!opened) return context.complain(opened.error(), exit_no_model);
  const auto texts = opened->read_texts();
  if (!texts) return context.complain(texts.error(), exit_no_model);
  const auto tokenizer = actors::parse_tokenizer(*texts);
  if (!tokenizer) return context.complain(tokenizer.error(), exit_no_model);
  return settings.decode ? decode(context, settings, *tokenizer, *input)
                         : encode(context, settings, *tokenizer, *input);
}

constexpr command_info info = {
    .name = "tokenize",
    .section = "tokenize",
    .summary = "shows how a text becomes tokens, or with --decode the reverse",
    .notes =
        "Each line is an id, a tab and the token as the vocabulary writes it.\n"
        "\n"
        "exit codes: 0 done; 1 failed; 2 wrong usage; 3 the tokenizer cannot be loaded; 141 the "
        "reader of\n"
        "  standard output went away\n"
        "\n"
        "examples:\n"
        "  troupe tokenize \"Once upon a time\"\n"
        "  troupe tokenize --decode 4 8 15 16 23 42\n",
};

} // namespace

result<std::vector<int32_t>> parse_ids(std::string_view input, size_t id_limit) {
  constexpr std::string_view between = " \t\r\n,[]";
  std::vector<int32_t> out;
  while (true) {
    const size_t begin = input.find_first_not_of(between);
    if (begin == std::string_view::npos) return out;
    input.remove_prefix(begin);
    const size_t end = std::min(input.find_first_of(between), input.size());
    int32_t id = 0;
    const std::string_view word = input.substr(0, end);
    if (!parse_value(word, id).ok() || id < 0 || static_cast<size_t>(id) >= id_limit)
      return fail(status_code::invalid_argument,
                  text("'", word, "' is no token id; they go from 0 to ",
                       id_limit == 0 ? 0 : id_limit - 1));
    out.push_back(id);
    input.remove_prefix(end);
  }
}

std::unique_ptr<command> make_tokenize() {
  return make_command<tokenize_settings>(info, run_tokenize);
}

} // namespace troupe::cli
