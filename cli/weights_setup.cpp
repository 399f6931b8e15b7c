// Wiring of versions.
#include "cli/weights_setup.hpp"

#include "base/text.hpp"

#include <filesystem>

namespace troupe::cli {
namespace {

constexpr size_t loads_waiting_max = 4;

} // namespace

setup_result<storage::weights_manifest> promoted_weights(const storage::weights_registry& registry,
                                                         const serve_settings& settings) {
  const auto refuse = [](status why, int code) {
    return tl::make_unexpected(setup_failure{std::move(why), code});
  };
  const auto usage = [&](std::string_view why) {
    return refuse({status_code::invalid_argument, std::string(why)}, exit_usage);
  };
  if (!settings.model.model.empty())
    return usage("--weights-dir says which model is served; leave --model out");
  if (!settings.persist_kv.empty())
    return usage("--persist-kv keeps the pages of one version; it does not go with --weights-dir");
  const auto record = registry.promotions();
  if (!record) return refuse(record.error(), exit_no_model);
  if (record->promoted() == 0)
    return refuse({status_code::not_found,
                   text(registry.folder(), ": no version is promoted; see troupe weights promote")},
                  exit_no_model);
  auto manifest = registry.verify(record->promoted());
  if (!manifest) return refuse(manifest.error(), exit_no_model);
  return std::move(*manifest);
}

std::string name_of_weights(const std::string& folder) {
  const auto path = std::filesystem::path(folder).lexically_normal();
  const auto name = path.has_filename() ? path.filename() : path.parent_path().filename();
  return name.empty() || name == "." || name == ".." ? "weights" : name.string();
}

dataflow::version_limits version_limits_of(const serve_settings& settings) {
  return {.versions_max = settings.weights_in_memory,
          .canary = {.percent = settings.weights_canary,
                     .answers_min = settings.weights_canary_answers}};
}

running_versions follow_weights(program& context,
                                std::unique_ptr<storage::weights_registry> registry,
                                const storage::weights_manifest& first, running_engine& started,
                                const engine_setup& setup, const dataflow::version_limits& limits) {
  running_versions out;
  out.registry = std::move(registry);
  out.worker = std::make_unique<storage::posix_io_worker>(loads_waiting_max);
  auto load = [&context, setup, &executor = *started.executor](
                  const std::string& directory) -> result<std::shared_ptr<actors::engine>> {
    return start_beside(context, executor, setup, directory);
  };
  const auto& model = *started.model;
  weight_versions_parts parts{
      .registry = out.registry.get(),
      .worker = out.worker.get(),
      .load = std::move(load),
      .say = [&context](const std::string& line) { (void)context.err.write(line + "\n"); },
      .time = &context.clock,
      .model = {model.tokenizer, model.chat_template, model.description, model.generation_defaults},
      .limits = limits};
  out.versions =
      std::make_unique<weight_versions>(std::move(parts), first, std::move(started.engine));
  started.model = nullptr; // it goes with its engine
  return out;
}

} // namespace troupe::cli
