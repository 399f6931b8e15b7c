// Names of parts, and the five files of a model.
#include "cli/checkpoint_parts.hpp"

#include "base/text.hpp"

#include <array>
#include <string_view>
#include <utility>

namespace troupe::cli {
namespace {

constexpr std::string_view file_prefix = "file/";

using text_member = actors::text_file actors::model_texts::*;
constexpr std::array<std::pair<const char*, text_member>, 5> files = {{
    {"config.json", &actors::model_texts::config},
    {"generation_config.json", &actors::model_texts::generation},
    {"tokenizer.json", &actors::model_texts::tokenizer},
    {"tokenizer_config.json", &actors::model_texts::tokenizer_config},
    {"chat_template.jinja", &actors::model_texts::chat_template},
}};

} // namespace

std::vector<storage::checkpoint_part> text_parts(const actors::model_texts& texts) {
  std::vector<storage::checkpoint_part> out;
  for (const auto& [name, member] : files) {
    const auto& file = texts.*member;
    if (file.present)
      out.push_back({text(file_prefix, name), std::as_bytes(std::span(file.content))});
  }
  return out;
}

result<actors::model_texts> texts_of(const storage::loaded_checkpoint& from) {
  actors::model_texts out;
  for (const auto& [name, member] : files) (out.*member).present = false;
  for (const auto& part : from.parts()) {
    for (const auto& [name, member] : files) {
      if (part.name != text(file_prefix, name)) continue;
      auto& file = out.*member;
      file.path = text(from.file, ", ", name);
      file.content.assign(reinterpret_cast<const char*>(part.bytes.data()), part.bytes.size());
      file.present = true;
    }
  }
  if (!out.config.present)
    return fail(status_code::not_found,
                text(from.file, ": has no config.json: it was not written by troupe learn"));
  return out;
}

status check_same_texts(const storage::loaded_checkpoint& from, const actors::model_texts& texts) {
  const auto then = texts_of(from);
  if (!then) return then.error();
  for (const auto& [name, member] : files) {
    const auto& before = (*then).*member;
    const auto& now = texts.*member;
    if (before.present != now.present || before.content != now.content)
      return {status_code::invalid_argument,
              text("the checkpoint is of another model: ", name, " is not the same as ",
                   now.present ? now.path : "that of the model given, which has none")};
  }
  return {};
}

uint64_t hash_of_run(model::training_run& run, const model::step_source& source) {
  auto parts = run.state();
  const auto place = source.state();
  parts.push_back({source_part, place});
  return model::hash_of(parts);
}

std::vector<model::state_part> state_parts(const storage::loaded_checkpoint& from) {
  std::vector<model::state_part> out;
  for (const auto& part : from.parts())
    if (!part.name.starts_with(file_prefix)) out.push_back({part.name, part.bytes});
  return out;
}

} // namespace troupe::cli
