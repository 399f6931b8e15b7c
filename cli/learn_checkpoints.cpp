// The state of a run and of its data as parts, out to the folder and back.
#include "cli/learn_checkpoints.hpp"

#include "base/text.hpp"
#include "cli/checkpoint_parts.hpp"
#include "cli/option_value.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace troupe::cli {
namespace {

// Where results go, how often something is said or kept, and what is promised never to change a
// bit. What is learnt from is compared by its contents.
constexpr std::array<std::string_view, 27> settings_without_effect = {
    "checkpoint-every",
    "checkpoints",
    "config",
    "data",
    "dump-config",
    "gate",
    "gate-epsilon",
    "gate-imbalance",
    "ingest",
    "instruction-set",
    "keep",
    "keep-best",
    "keep-every",
    "log-level",
    "lora-out",
    "model",
    "out",
    "promote",
    "publish",
    "publish-every",
    "recompute",
    "report-every",
    "restart-data",
    "resume",
    "threads",
    "tokens-at-once",
    "weights",
};

// A rate that never falls does not depend on when it would have.
bool is_without_effect(const option& one, bool rate_falls) {
  return std::ranges::find(settings_without_effect, one.name) != settings_without_effect.end() ||
         (!rate_falls && (one.name == "steps" || one.name == "decay-steps"));
}

} // namespace

checkpoint_settings_list settings_that_matter(const std::vector<option>& options) {
  const auto decay = std::ranges::find(options, "decay", &option::name);
  const bool rate_falls =
      decay == options.end() || decay->show() != show_value(std::string("constant"));
  checkpoint_settings_list out;
  for (const auto& each : options)
    if (!each.secret && !is_without_effect(each, rate_falls))
      out.push_back({each.name, each.show()});
  return out;
}

status check_same_settings(const checkpoint_settings_list& then,
                           const checkpoint_settings_list& now) {
  const auto value_in = [](const checkpoint_settings_list& list, const std::string& name) {
    const auto at = std::ranges::find(list, name, &schemas::checkpoint_setting::name);
    return at == list.end() ? std::string("not set") : at->value.empty() ? "unset" : at->value;
  };
  for (const auto* list : {&then, &now}) {
    for (const auto& [name, value] : *list) {
      const std::string before = value_in(then, name), after = value_in(now, name);
      if (before != after)
        return {status_code::invalid_argument,
                text("--resume: ", name, " was ", before, " and is ", after,
                     ", which would change what is learnt; give the earlier value, or begin anew "
                     "in another folder")};
    }
  }
  return {};
}

result<std::unique_ptr<learn_checkpoints>> learn_checkpoints::open(
    const checkpoint_settings& settings, subject of) {
  auto folder = checkpoint_folder::open(settings.folder, checkpoint_folder::purpose::make);
  if (!folder) return fail(folder.error());
  if (settings.keep_best && !of.held_out_loss)
    return fail(status_code::invalid_argument,
                "--keep-best needs files to learn from, of which --hold-out holds some out");
  const auto entries = folder->store().list();
  if (!entries) return fail(entries.error());
  if (!settings.resume && !entries->empty())
    return fail(status_code::invalid_argument,
                text(settings.folder, ": holds a checkpoint of step ", entries->back().step,
                     "; give --resume to go on from it, or another folder"));
  auto& with = *folder;
  return std::unique_ptr<learn_checkpoints>(new learn_checkpoints(settings, of, std::move(with)));
}

learn_checkpoints::learn_checkpoints(const checkpoint_settings& settings, subject of,
                                     checkpoint_folder folder)
    : settings_(settings),
      of_(std::move(of)),
      folder_(std::move(folder)),
      saver_(folder_.store(), worker_,
             {.keep = {.last = settings.keep,
                       .every = settings.keep_every,
                       .keep_best = settings.keep_best}}) {}

// ---- back ----

status learn_checkpoints::resume() {
  if (!settings_.resume) return {};
  std::vector<status> passed;
  const auto loaded = folder_.read(std::nullopt, passed);
  for (const auto& why : passed) say(text("passed over: ", why.why()));
  if (!loaded && loaded.error().code() == status_code::not_found && passed.empty()) {
    say(text(settings_.folder, ": no checkpoint yet, beginning anew"));
    return {};
  }
  if (!loaded) return loaded.error();
  TROUPE_RETURN_IF_ERROR(check_same_texts(*loaded, of_.texts));
  TROUPE_RETURN_IF_ERROR(check_same_settings(loaded->manifest.settings, of_.settings));
  auto parts = state_parts(*loaded);
  const auto* source = model::find_part(parts, source_part);
  if (source == nullptr)
    return {status_code::corrupt, text(loaded->file, ": has no place in the data")};
  const auto source_bytes = source->bytes;
  std::erase_if(parts, [](const auto& part) { return part.name == source_part; });
  if (const status restored = of_.source.restore(source_bytes); !restored.ok())
    return restored.within(loaded->file);
  if (const status restored = of_.run.restore(parts); !restored.ok())
    return restored.within(loaded->file);
  const uint64_t hash = hash_of_run(of_.run, of_.source);
  if (hash != loaded->manifest.state_hash)
    return {status_code::corrupt, text(loaded->file, ": gives state ", state_text(hash),
                                       " instead of ", state_text(loaded->manifest.state_hash))};
  saved_ = of_.run.steps();
  say(text("going on after step ", of_.run.steps(), ", state ", state_text(hash)));
  return {};
}

// ---- out ----

status learn_checkpoints::after_step() {
  tell_outcomes();
  return of_.run.steps() % settings_.every == 0 ? save() : status();
}

status learn_checkpoints::finish() {
  TROUPE_RETURN_IF_ERROR(saver_.finish());
  tell_outcomes();
  const bool is_kept = saved_ == of_.run.steps() && last_failure_.ok();
  if (is_kept || of_.run.steps() == 0) return {};
  TROUPE_RETURN_IF_ERROR(save());
  TROUPE_RETURN_IF_ERROR(saver_.finish());
  tell_outcomes();
  return last_failure_.ok() ? status() : last_failure_.within(settings_.folder);
}

status learn_checkpoints::save() {
  const auto state = of_.run.state();
  const auto source = of_.source.state();
  std::vector<storage::checkpoint_part> parts;
  for (const auto& part : state) parts.push_back({part.name, part.bytes});
  parts.push_back({source_part, source});
  for (auto& part : text_parts(of_.texts)) parts.push_back(std::move(part));
  storage::checkpoint_info info{.step = of_.run.steps(),
                                .state_hash = hash_of_run(of_.run, of_.source),
                                .settings = of_.settings};
  if (settings_.keep_best) {
    const auto loss = of_.held_out_loss();
    if (!loss) return loss.error();
    info.score = *loss;
  }
  saved_ = info.step;
  return saver_.save(info, parts);
}

void learn_checkpoints::tell_outcomes() {
  for (const auto& outcome : saver_.take_outcomes()) {
    last_failure_ = outcome.failure;
    if (!outcome.failure.ok())
      say(text("warning: ", settings_.folder, ": ", outcome.failure.why(),
               "; the earlier checkpoints are as they were"));
    else
      say(text("checkpoint of step ", outcome.step, ": ", human_bytes(outcome.written.new_bytes),
               " new of ", human_bytes(outcome.written.bytes)));
    if (outcome.failure.ok() && of_.durable) of_.durable(outcome.step);
    if (!outcome.prune_failure.ok())
      say(text("warning: ", settings_.folder,
               ": old checkpoints stay: ", outcome.prune_failure.why()));
  }
}

} // namespace troupe::cli
