// Each command asks the registry and says what it found, or did, on standard output.
#include "cli/weights.hpp"

#include "actors/model_directory.hpp"
#include "base/text.hpp"
#include "cli/engine_setup.hpp"
#include "cli/settings.hpp"
#include "storage/posix_disk.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

namespace troupe::cli {
namespace {

constexpr size_t append_at_once = size_t{16} << 20;

struct registry_settings {
  std::string weights_dir;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "weights-dir",
           .value = "DIR",
           .help = "folder of published weights, one version in each numbered folder",
           .unset = "none"},
          weights_dir);
    common.for_each_field(visit);
  }
};

struct add_settings : registry_settings {
  model_choice model;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "model",
           .value = "PATH",
           .help = "model directory to publish a copy of",
           .aliases = "-m",
           .unset = "the built-in model"},
          model.model);
    registry_settings::for_each_field(visit);
  }
};

struct decision_settings : registry_settings {
  std::string reason;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "reason", .value = "TEXT", .help = "what the history says about it"}, reason);
    registry_settings::for_each_field(visit);
  }
};

struct promote_settings : decision_settings {
  std::vector<std::string> version;
  bool despite_gate = false;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "version",
           .value = "VERSION",
           .help = "number of the version to put in force",
           .positional = true},
          version);
    visit({.name = "despite-gate", .help = "also when the version did not pass its gate"},
          despite_gate);
    decision_settings::for_each_field(visit);
  }
};

struct prune_settings : registry_settings {
  uint32_t newest = 3;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "newest",
           .value = "COUNT",
           .help = "newest versions that are kept, beside the one in force and the one before it",
           .range = {0, 1 << 20}},
          newest);
    registry_settings::for_each_field(visit);
  }
};

status check(const registry_settings& settings) {
  if (!settings.weights_dir.empty()) return {};
  return {status_code::invalid_argument,
          "--weights-dir DIR is missing: the folder of published weights"};
}

std::string in_force(const storage::promotion_record& record) {
  return record.promoted() == 0 ? "no version is in force\n"
                                : text("version ", record.promoted(), " is in force\n");
}

// ---- list ----

std::string line_of(const storage::weights_registry::listed& entry,
                    const storage::promotion_record& record) {
  if (!entry.why.ok()) return text("! ", entry.why.why(), "\n");
  const auto& of = entry.manifest;
  std::string out = text(of.version == record.promoted() ? "* " : "  ", of.version);
  out += of.parent == 0 ? "  first" : text("  from ", of.parent);
  out += text(", step ", of.step);
  for (const auto& figure : of.held_out)
    out += text(", ", figure.domain, " ", figure.bits_per_byte, " bits per byte");
  if (!of.refused.empty()) out += text(", refused: ", of.refused.front());
  return out + "\n";
}

int run_list(program& context, const registry_settings& settings) {
  if (const auto s = check(settings); !s.ok()) return context.complain(s, exit_usage);
  const auto registry = weights_registry_of(context, settings.weights_dir);
  const auto record = registry.promotions();
  if (!record) return context.complain(record.error());
  const auto listed = registry.list();
  if (!listed) return context.complain(listed.error());
  for (const auto& entry : *listed) (void)context.out.write(line_of(entry, *record));
  (void)context.out.write(in_force(*record));
  return context.exit_after_output();
}

// ---- add ----

status copy_file(program& context, const std::string& path, storage::disk& to,
                 const std::string& name) {
  const auto mapped = context.files.map(path);
  if (!mapped) return mapped.error();
  auto bytes = (*mapped)->bytes();
  TROUPE_RETURN_IF_ERROR(to.write(name, {}));
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), append_at_once));
    TROUPE_RETURN_IF_ERROR(to.append(name, piece));
    bytes = bytes.subspan(piece.size());
  }
  return {};
}

int run_add(program& context, const add_settings& settings) {
  if (const auto s = check(settings); !s.ok()) return context.complain(s, exit_usage);
  const auto directory = model_directory_of(context, settings.model);
  if (!directory) return context.complain(directory.error().why, directory.error().code);
  const auto opened = actors::model_directory::open(context.files, *directory);
  if (!opened) return context.complain(opened.error(), exit_no_model);
  if (opened->is_gguf())
    return context.complain(
        {status_code::unsupported, text(*directory,
                                        ": a GGUF file cannot be published; give a model "
                                        "directory")},
        exit_no_model);
  const auto weights = opened->map_weights();
  if (!weights) return context.complain(weights.error(), exit_no_model);
  std::vector<std::string> names = {"config.json",         "generation_config.json",
                                    "tokenizer.json",      "tokenizer_config.json",
                                    "chat_template.jinja", "model.safetensors.index.json"};
  for (const auto& [name, bytes] : weights->file_bytes) names.push_back(name);
  auto registry = weights_registry_of(context, settings.weights_dir);
  auto made = registry.begin();
  if (!made) return context.complain(made.error());
  for (const auto& name : names) {
    const std::string path = text(*directory, "/", name);
    if (!context.files.exists(path)) continue;
    if (const auto s = copy_file(context, path, *made->folder, name); !s.ok())
      return context.complain(s);
  }
  const auto published =
      registry.publish(std::move(*made), {.created = context.clock.wall_seconds()});
  if (!published) return context.complain(published.error());
  (void)context.out.write(text("version ", published->version, " is published\n"));
  return context.exit_after_output();
}

// ---- promote, rollback, prune ----

int run_promote(program& context, const promote_settings& settings) {
  if (const auto s = check(settings); !s.ok()) return context.complain(s, exit_usage);
  uint64_t version = 0;
  if (settings.version.size() == 1) {
    const auto& digits = settings.version[0];
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), version);
    if (error != std::errc{} || end != digits.data() + digits.size()) version = 0;
  }
  if (version == 0)
    return context.complain(
        {status_code::invalid_argument, "troupe weights promote takes the number of one version"},
        exit_usage);
  const auto record =
      weights_registry_of(context, settings.weights_dir)
          .promote(version, settings.reason, context.clock.wall_seconds(), settings.despite_gate);
  if (!record) return context.complain(record.error());
  (void)context.out.write(in_force(*record));
  return context.exit_after_output();
}

int run_rollback(program& context, const decision_settings& settings) {
  if (const auto s = check(settings); !s.ok()) return context.complain(s, exit_usage);
  const auto record = weights_registry_of(context, settings.weights_dir)
                          .roll_back(settings.reason, context.clock.wall_seconds());
  if (!record) return context.complain(record.error());
  (void)context.out.write(in_force(*record));
  return context.exit_after_output();
}

int run_prune(program& context, const prune_settings& settings) {
  if (const auto s = check(settings); !s.ok()) return context.complain(s, exit_usage);
  const auto gone = weights_registry_of(context, settings.weights_dir).prune(settings.newest);
  if (!gone) return context.complain(gone.error());
  for (const uint64_t version : *gone)
    (void)context.out.write(text("version ", version, " is removed\n"));
  return context.exit_after_output();
}

constexpr std::string_view exit_codes =
    "exit codes: 0 done; 1 failed, or the version was refused; 2 wrong usage\n";

constexpr command_info list_info = {
    .name = "weights list",
    .section = "weights-list",
    .summary = "lists published weights: versions, figures, which one is in force",
    .notes = exit_codes,
};
constexpr command_info add_info = {
    .name = "weights add",
    .section = "weights-add",
    .summary = "publishes a copy of a model directory as the next version",
    .notes = "exit codes: 0 done; 1 failed; 2 wrong usage; 3 the model cannot be read\n",
};
constexpr command_info promote_info = {
    .name = "weights promote",
    .section = "weights-promote",
    .summary = "puts a published version in force; servers follow",
    .notes = exit_codes,
};
constexpr command_info rollback_info = {
    .name = "weights rollback",
    .section = "weights-rollback",
    .summary = "puts the version before back in force; servers follow",
    .notes = exit_codes,
};
constexpr command_info prune_info = {
    .name = "weights prune",
    .section = "weights-prune",
    .summary = "removes old versions that are not in force",
    .notes = exit_codes,
};

} // namespace

storage::weights_registry weights_registry_of(program& context, const std::string& folder) {
  return storage::weights_registry(
      context.files,
      [](const std::string& path) -> result<std::unique_ptr<storage::disk>> {
        return storage::posix_disk::open(path);
      },
      folder);
}

void add_weights_commands(command_list& out) {
  out.push_back(make_command<registry_settings>(list_info, run_list));
  out.push_back(make_command<add_settings>(add_info, run_add));
  out.push_back(make_command<promote_settings>(promote_info, run_promote));
  out.push_back(make_command<decision_settings>(rollback_info, run_rollback));
  out.push_back(make_command<prune_settings>(prune_info, run_prune));
}

} // namespace troupe::cli
