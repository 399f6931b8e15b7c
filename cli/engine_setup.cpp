// Makes the executor, loads the model onto it and starts the node.
#include "cli/engine_setup.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "cli/built_in_model.hpp"
#include "cli/progress_bar.hpp"
#include "compute/cpu_executor.hpp"
#include "storage/posix_disk.hpp"
#include "storage/posix_io_worker.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

namespace troupe::cli {
namespace {

tl::unexpected<setup_failure> failed(status why, int code) {
  return tl::make_unexpected(setup_failure{std::move(why), code});
}

setup_result<std::unique_ptr<compute::executor>> make_executor(const device_settings& settings,
                                                               compute::part_meter* meter) {
  auto options = device_options_of(settings);
  if (!options) return tl::make_unexpected(options.error());
  options->meter = meter;
  auto made = compute::make_cpu_executor(*options);
  if (!made) {
    const bool wrong_choice = made.error().code() == status_code::unsupported;
    return failed(made.error().within("--instruction-set"),
                  wrong_choice ? exit_usage : exit_failed);
  }
  return std::move(*made);
}

actors::model_bundle_options bundle_options_of(const model_settings& settings,
                                               const std::string& directory) {
  actors::model_bundle_options options;
  options.directory = directory;
  if (settings.quantize != "none") options.format = compute::parse_weight_format(settings.quantize);
  options.weight_cache = settings.weight_cache;
  options.open_disk = [](const std::string& folder) -> result<std::unique_ptr<storage::disk>> {
    return storage::posix_disk::open(folder);
  };
  return options;
}

setup_result<std::shared_ptr<const actors::model_bundle>> load_model(
    program& context, compute::executor& executor, const model_settings& settings) {
  auto directory = model_directory_of(context, settings);
  if (!directory) return tl::make_unexpected(directory.error());
  progress_bar bar(text("loading ", *directory), context.err, context.clock);
  auto options = bundle_options_of(settings, *directory);
  options.progress = [&bar](uint64_t done, uint64_t total) { bar.update(done, total); };
  auto loaded = actors::load_model_bundle(context.files, executor, options);
  if (!loaded) {
    bar.clear();
    return failed(loaded.error(), exit_no_model);
  }
  bar.finish();
  for (const auto& warning : (*loaded)->warnings)
    (void)context.err.write(text("warning: ", warning, "\n"));
  return std::move(*loaded);
}

// Pages tell what was asked and answered, so nobody else gets in.
result<actors::kv_persistence> open_kv_folder(const engine_setup& setup) {
  actors::kv_persistence out;
  if (setup.persist_kv.empty()) return out;
  auto disk = storage::posix_disk::open(setup.persist_kv);
  if (!disk) return fail(disk.error());
  std::error_code error;
  std::filesystem::permissions(setup.persist_kv, std::filesystem::perms::owner_all, error);
  if (error)
    return fail(status_code::unavailable,
                text(setup.persist_kv, ": cannot be made private: ", error.message()));
  out.disk = std::move(*disk);
  out.worker = std::make_unique<storage::posix_io_worker>();
  out.bytes_max = setup.persist_kv_bytes;
  return out;
}

} // namespace

status in_words_of_flags(const status& why) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 13> names = {{
      {"positions_max", "--max-model-len"},
      {"page_tokens", "--page-tokens"},
      {"kv_bytes", "--kv-memory"},
      {"step_tokens_max", "--max-batch-tokens"},
      {"tokens_max", "--max-batch-tokens"},
      {"sequences_max", "--max-running"},
      {"queue_max", "--max-queued-requests"},
      {"prefill_chunk_max", "--prefill-chunk"},
      {"mixed_prefill_max", "--mixed-prefill"},
      {"max_batch_size", "--max-batch-size"},
      {"max_wait", "--max-wait-us"},
      {"actor_threads", "--actor-threads"},
      {"stages", "--attention-stages"},
  }};
  const std::string_view message = why.why();
  const size_t space = std::min(message.find(' '), message.size());
  for (const auto& [own, flag] : names)
    if (message.substr(0, space) == own)
      return status(why.code(), text(flag, message.substr(space)));
  return why;
}

actors::node_options node_options_of(const engine_settings& settings) {
  actors::node_options out;
  out.positions_max = settings.max_model_len;
  out.page_tokens = settings.page_tokens;
  out.kv_bytes = settings.kv_memory.bytes;
  out.step_tokens_max = settings.max_batch_tokens;
  out.sequences_max = settings.max_running;
  out.queue_max = settings.max_queued_requests;
  out.prefill_chunk_max = settings.prefill_chunk;
  out.mixed_prefill_max = settings.mixed_prefill;
  out.max_batch_size = settings.max_batch_size;
  out.max_wait_us = settings.max_wait_us;
  out.prefix_cache = settings.prefix_cache;
  out.draft_tokens_max = settings.speculative_tokens;
  out.eviction =
      dataflow::parse_eviction_policy(settings.kv_eviction).value(); // one of the choices
  out.attention_stages = settings.attention_stages;
  out.expert_shards = settings.expert_shards;
  out.actor_threads = settings.actor_threads;
  return out;
}

setup_result<std::string> model_directory_of(program& context, const model_choice& settings) {
  if (settings.model.empty()) {
    auto found = find_built_in_model(context.files, executable_path());
    if (!found) return failed(found.error(), exit_no_model);
    return *found;
  }
  // "." and ".." are no names that a client could ask for.
  const std::filesystem::path path(settings.model);
  if (path.filename() != "." && path.filename() != "..") return settings.model;
  std::error_code error;
  const auto absolute = std::filesystem::canonical(path, error);
  return error ? settings.model : absolute.string();
}

setup_result<compute::cpu_options> device_options_of(const device_settings& settings) {
  compute::cpu_options options;
  options.threads = settings.threads;
  const auto set = compute::parse_instruction_set(settings.instruction_set);
  if (!set)
    return failed(status(status_code::invalid_argument,
                         text("no such instruction set: ", settings.instruction_set)),
                  exit_usage);
  options.set = *set;
  return options;
}

setup_result<running_engine> load_only(program& context, const model_settings& model,
                                       const device_settings& device, compute::part_meter* meter) {
  running_engine out;
  auto executor = make_executor(device, meter);
  if (!executor) return tl::make_unexpected(executor.error());
  out.executor = std::move(*executor);

  auto loaded = load_model(context, *out.executor, model);
  if (!loaded) return tl::make_unexpected(loaded.error());
  out.model = std::move(*loaded);
  return out;
}

result<std::unique_ptr<actors::engine>> start_beside(program& context, compute::executor& executor,
                                                     const engine_setup& setup,
                                                     const std::string& directory) {
  const auto loaded =
      actors::load_model_bundle(context.files, executor, bundle_options_of(setup.model, directory));
  if (!loaded) return fail(loaded.error());
  return actors::start_node(*loaded, executor, context.clock, node_options_of(setup.engine));
}

setup_result<running_engine> start_engine(program& context, const engine_setup& setup) {
  auto out = load_only(context, setup.model, setup.device, setup.meter);
  if (!out) return out;
  engine_settings engine = setup.engine;
  if (setup.adjust) setup.adjust(*out->model->description, engine);
  auto persistence = open_kv_folder(setup);
  if (!persistence) return failed(persistence.error().within("--persist-kv"), exit_failed);
  auto node = actors::start_node(out->model, *out->executor, context.clock, node_options_of(engine),
                                 std::move(*persistence));
  if (!node) {
    const bool wrong_setting = node.error().code() == status_code::invalid_argument;
    return failed(in_words_of_flags(node.error()), wrong_setting ? exit_usage : exit_failed);
  }
  out->engine = std::move(*node);
  return out;
}

} // namespace troupe::cli
