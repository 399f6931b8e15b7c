// Each command opens the folder, asks the store, and says what it found, on standard output when
// that is what was asked for.
#include "cli/checkpoint.hpp"

#include "base/text.hpp"
#include "cli/checkpoint_folder.hpp"
#include "cli/checkpoint_parts.hpp"
#include "cli/learn_checkpoints.hpp"
#include "cli/learn_stream.hpp"
#include "cli/model_folder.hpp"
#include "cli/new_folder.hpp"
#include "cli/program.hpp"
#include "cli/settings.hpp"
#include "model/training/state_export.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

namespace troupe::cli {
namespace {

using purpose = checkpoint_folder::purpose;

struct store_settings {
  std::string store;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "store",
           .value = "DIR",
           .help = "folder of checkpoints, as troupe learn --checkpoints writes it",
           .unset = "must be given"},
          store);
    common.for_each_field(visit);
  }
};

struct list_settings : store_settings {
  bool settings = false;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "settings", .help = "also show the settings that the newest depends on"},
          settings);
    store_settings::for_each_field(visit);
  }
};

// A step, or the newest intact checkpoint.
struct step_settings : store_settings {
  std::optional<uint64_t> step;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "step",
           .value = "STEP",
           .help = "which checkpoint, by the steps done",
           .unset = "the newest that is intact"},
          step);
    store_settings::for_each_field(visit);
  }
};

struct export_settings : step_settings {
  std::string out;
  std::string weights = "f32";

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit(
        {.name = "out",
         .value = "DIR",
         .help = "folder to write the model to; made when missing, refused when it holds something",
         .aliases = "-o"},
        out);
    visit({.name = "weights",
           .value = "TYPE",
           .help = "how the weights are written; training keeps them in f32",
           .choices = "f32|bf16"},
          weights);
    step_settings::for_each_field(visit);
  }
};

struct restore_settings : step_settings {
  std::string to;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "to",
           .value = "DIR",
           .help = "another folder of checkpoints, which gets a copy; made when missing",
           .unset = "the folder itself, which loses what is newer"},
          to);
    step_settings::for_each_field(visit);
  }
};

struct prune_settings : store_settings {
  keeping_settings keeping;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    keeping.for_each_field(visit);
    store_settings::for_each_field(visit);
  }
};

void say(program& context, const std::string& line) {
  (void)context.err.write(line + "\n");
}

void say_passed(program& context, const std::vector<status>& passed) {
  for (const auto& why : passed) say(context, text("passed over: ", why.why()));
}

// The folder, or the exit code that goes with why not.
tl::expected<checkpoint_folder, int> open_store(program& context, const std::string& path,
                                                purpose what_for) {
  if (path.empty())
    return tl::make_unexpected(context.complain(
        {status_code::invalid_argument, "give the folder of checkpoints: --store DIR"},
        exit_usage));
  auto folder = checkpoint_folder::open(path, what_for);
  if (!folder) return tl::make_unexpected(context.complain(folder.error()));
  return std::move(*folder);
}

// ---- list, verify ----

std::string line_of(const storage::checkpoint_entry& entry) {
  if (!entry.manifest) return text("step ", entry.step, ": damaged: ", entry.damage.why(), "\n");
  const auto& m = *entry.manifest;
  return text("step ", entry.step, ": state ", state_text(m.state_hash), ", ",
              human_bytes(m.bytes()), " in ", m.parts.size(), " parts and ", m.chunks.size(),
              " chunks", m.score ? text(", held-out loss ", *m.score) : std::string(), "\n");
}

int run_list(program& context, const list_settings& settings) {
  auto folder = open_store(context, settings.store, purpose::look);
  if (!folder) return folder.error();
  const auto entries = folder->store().list();
  if (!entries) return context.complain(entries.error());
  std::string out;
  uint64_t bytes = 0;
  std::set<schemas::chunk_hash> chunks;
  for (const auto& entry : *entries) {
    out += line_of(entry);
    if (!entry.manifest) continue;
    for (const auto& chunk : entry.manifest->chunks)
      if (chunks.insert(chunk.hash).second) bytes += chunk.bytes;
  }
  out += text(entries->size(), " checkpoints, ", human_bytes(bytes), " on disk\n");
  const auto newest = std::find_if(entries->rbegin(), entries->rend(),
                                   [](const auto& entry) { return entry.manifest.has_value(); });
  if (settings.settings && newest != entries->rend())
    for (const auto& setting : newest->manifest->settings)
      out += text("  ", setting.name, " ", setting.value, "\n");
  (void)context.out.write(out);
  return context.exit_after_output();
}

int run_verify(program& context, const store_settings& settings) {
  auto folder = open_store(context, settings.store, purpose::look);
  if (!folder) return folder.error();
  const auto found = folder->store().scrub();
  if (!found) return context.complain(found.error());
  std::string out;
  for (const auto& damage : found->damages) out += text("damaged: ", damage.why(), "\n");
  for (const auto& file : found->damaged) out += text("cannot be restored: ", file, "\n");
  out += text(found->checkpoints - found->damaged.size(), " of ", found->checkpoints,
              " checkpoints intact, ", found->chunks, " chunks of ", human_bytes(found->bytes),
              " read, ", found->orphans, " unused\n");
  (void)context.out.write(out);
  const int code = context.exit_after_output();
  return found->damages.empty() ? code : exit_failed;
}

// ---- export ----

// A run that begins from the model goes on in the log where this one was.
status write_place_in_log(const storage::loaded_checkpoint& from,
                          std::span<const model::state_part> state, storage::disk& folder) {
  const schemas::checkpoint_setting of_a_log{"data", data_of_a_log};
  const auto* source = model::find_part(state, source_part);
  if (source == nullptr || std::ranges::count(from.manifest.settings, of_a_log) == 0) return {};
  return write_stream_state(folder, source->bytes);
}

status write_model(const storage::loaded_checkpoint& from, const export_settings& settings,
                   storage::disk& folder) {
  const auto texts = texts_of(from);
  if (!texts) return texts.error();
  const auto description = model::parse_config(texts->config.content, texts->config.path);
  if (!description) return description.error();
  const auto type = settings.weights == "bf16" ? compute::dtype::bf16 : compute::dtype::f32;
  const auto state = state_parts(from);
  TROUPE_RETURN_IF_ERROR(write_place_in_log(from, state, folder));
  return write_model_folder(folder, *texts, [&](const model::byte_sink& to) {
    return model::export_state(*description, state, type, to);
  });
}

int run_export(program& context, const export_settings& settings) {
  if (settings.out.empty())
    return context.complain(
        {status_code::invalid_argument, "troupe checkpoint export needs --out DIR"}, exit_usage);
  auto folder = open_store(context, settings.store, purpose::look);
  if (!folder) return folder.error();
  if (const auto checked = check_new_folder(settings.out, 0); !checked.ok())
    return context.complain(checked);
  std::vector<status> passed;
  const auto loaded = folder->read(settings.step, passed);
  say_passed(context, passed);
  if (!loaded) return context.complain(loaded.error());
  auto out = storage::posix_disk::open(settings.out);
  if (!out) return context.complain(out.error());
  if (const status written = write_model(*loaded, settings, **out); !written.ok())
    return context.complain(written.within(settings.out));
  (void)context.out.write(text(settings.out, ": the model of step ", loaded->manifest.step, "\n"));
  return context.exit_after_output();
}

// ---- restore ----

status copy_to(const storage::loaded_checkpoint& from, const std::string& path) {
  auto target = checkpoint_folder::open(path, purpose::make);
  if (!target) return target.error();
  const auto there = target->store().list();
  if (!there) return there.error();
  for (const auto& entry : *there)
    if (entry.step >= from.manifest.step && entry.file != from.file)
      return {status_code::invalid_argument,
              text(path, ": has a checkpoint of step ", entry.step,
                   ", from which a run might go on instead; give another folder")};
  const auto written = target->store().write(from.info(), from.parts());
  return written ? status() : written.error().within(path);
}

result<size_t> drop_newer(checkpoint_folder& folder, const storage::loaded_checkpoint& than) {
  const auto entries = folder.store().list();
  if (!entries) return fail(entries.error());
  std::vector<std::string> newer;
  for (const auto& entry : *entries)
    if (entry.step >= than.manifest.step && entry.file != than.file) newer.push_back(entry.file);
  const auto gone = folder.store().remove(newer);
  if (!gone) return fail(gone.error());
  return newer.size();
}

int run_restore(program& context, const restore_settings& settings) {
  const bool in_place = settings.to.empty();
  auto folder = open_store(context, settings.store, in_place ? purpose::change : purpose::look);
  if (!folder) return folder.error();
  std::vector<status> passed;
  const auto loaded = folder->read(settings.step, passed);
  say_passed(context, passed);
  if (!loaded) return context.complain(loaded.error());
  const auto& manifest = loaded->manifest;
  if (!in_place) {
    if (const status copied = copy_to(*loaded, settings.to); !copied.ok())
      return context.complain(copied);
    (void)context.out.write(text(settings.to, ": step ", manifest.step, ", state ",
                                 state_text(manifest.state_hash), "\n"));
    return context.exit_after_output();
  }
  const auto dropped = drop_newer(*folder, *loaded);
  if (!dropped) return context.complain(dropped.error());
  (void)context.out.write(text(settings.store, ": goes on from step ", manifest.step, ", state ",
                               state_text(manifest.state_hash), "; ", *dropped,
                               " others of this step or later removed\n"));
  return context.exit_after_output();
}

// ---- prune ----

int run_prune(program& context, const prune_settings& settings) {
  auto folder = open_store(context, settings.store, purpose::change);
  if (!folder) return folder.error();
  const auto pruned = folder->store().prune({.last = settings.keeping.keep,
                                             .every = settings.keeping.keep_every,
                                             .keep_best = settings.keeping.keep_best});
  if (!pruned) return context.complain(pruned.error());
  std::string out;
  for (const auto& file : pruned->manifests) out += text("removed ", file, "\n");
  out += text(pruned->manifests.size(), " checkpoints, ", pruned->chunks, " chunks and ",
              pruned->unfinished, " unfinished files removed\n");
  (void)context.out.write(out);
  return context.exit_after_output();
}

constexpr command_info list_info = {
    .name = "checkpoint list",
    .section = "checkpoint-list",
    .summary = "shows the checkpoints of a run",
    .notes =
        "Reads manifests alone; troupe checkpoint verify reads every byte. Also while the run "
        "goes on.\n\n"
        "exit codes: 0 done; 1 failed; 2 wrong usage\n",
};
constexpr command_info verify_info = {
    .name = "checkpoint verify",
    .section = "checkpoint-verify",
    .summary = "reads every byte of every checkpoint and names what is damaged",
    .notes =
        "A damaged chunk is written anew by the next checkpoint of the run that has its "
        "bytes.\n\n"
        "exit codes: 0 all intact; 1 some damaged, or failed; 2 wrong usage\n",
};
constexpr command_info export_info = {
    .name = "checkpoint export",
    .section = "checkpoint-export",
    .summary = "writes a checkpoint as a model directory in the form of Hugging Face",
    .notes =
        "exit codes: 0 done; 1 failed; 2 wrong usage\n\n"
        "example:\n"
        "  troupe checkpoint export --store /tmp/run --out /tmp/learnt\n"
        "  troupe generate --model /tmp/learnt \"Once upon a time\"\n",
};
constexpr command_info restore_info = {
    .name = "checkpoint restore",
    .section = "checkpoint-restore",
    .summary = "makes an earlier checkpoint the one from which a run goes on",
    .notes =
        "The checkpoint is read and checked first. troupe learn --resume then goes on from "
        "it; without\n"
        "--step nothing but damaged checkpoints newer than the newest intact one is "
        "removed.\n\n"
        "exit codes: 0 done; 1 failed; 2 wrong usage\n\n"
        "example:\n"
        "  troupe checkpoint restore --store /tmp/run --step 400 --to /tmp/other\n",
};
constexpr command_info prune_info = {
    .name = "checkpoint prune",
    .section = "checkpoint-prune",
    .summary = "removes old checkpoints, and chunks that none has any more",
    .notes =
        "Checkpoints are read first: a damaged one does not count as kept, and the newest "
        "intact one is\n"
        "never removed.\n\n"
        "exit codes: 0 done; 1 failed; 2 wrong usage\n",
};

} // namespace

void add_checkpoint_commands(command_list& out) {
  out.push_back(make_command<list_settings>(list_info, run_list));
  out.push_back(make_command<store_settings>(verify_info, run_verify));
  out.push_back(make_command<export_settings>(export_info, run_export));
  out.push_back(make_command<restore_settings>(restore_info, run_restore));
  out.push_back(make_command<prune_settings>(prune_info, run_prune));
}

} // namespace troupe::cli
