// Plans the checkpoint, writes it file by file, and removes what it has written when it cannot
// finish.
#include "cli/synth.hpp"

#include "base/text.hpp"
#include "cli/new_folder.hpp"
#include "cli/program.hpp"
#include "cli/progress_bar.hpp"
#include "cli/settings.hpp"
#include "model/synthetic_checkpoint.hpp"
#include "storage/posix_disk.hpp"

#include <atomic>

namespace troupe::cli {
namespace {

struct synth_settings {
  std::vector<std::string> shape;
  std::string out;
  uint64_t seed = 1;
  byte_size shard_size{4ull << 30};
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "shape",
           .value = "SHAPE",
           .help = "tiny, granite-1b-a400m, olmoe-1b-7b, dsv2-lite-8l or qwen3-moe-small",
           .positional = true},
          shape);
    visit({.name = "out",
           .value = "DIR",
           .help = "folder to write; made when missing, refused when it holds something",
           .aliases = "-o",
           .unset = "the name of the shape"},
          out);
    visit({.name = "seed", .value = "SEED", .help = "the same seed gives the same bytes"}, seed);
    visit({.name = "shard-size",
           .value = "SIZE",
           .help = "most weights in one file",
           .range = {1 << 10, 1ull << 50}},
          shard_size);
    common.for_each_field(visit);
  }
};

std::string shape_names() {
  std::string out;
  for (const auto& shape : model::synthetic_shapes()) {
    out += out.empty() ? "" : ", ";
    out += shape.name;
  }
  return out;
}

result<const model::synthetic_shape*> shape_of(const synth_settings& settings) {
  if (settings.shape.size() != 1)
    return fail(status_code::invalid_argument,
                text("troupe model synth takes one shape: ", shape_names()));
  const auto* shape = model::find_synthetic_shape(settings.shape[0]);
  if (shape == nullptr)
    return fail(status_code::invalid_argument,
                text("'", settings.shape[0], "' is no shape; there are ", shape_names()));
  return shape;
}

class checkpoint_writer {
public:
  checkpoint_writer(program& context, const model::synthetic_checkpoint& plan,
                    storage::disk& folder, const std::atomic<int>& signal)
      : plan_(plan),
        folder_(folder),
        signal_(signal),
        bar_("writing", context.err, context.clock) {}

  status write() {
    if (auto written = write_all(); !written.ok()) {
      bar_.clear();
      for (const auto& name : files_) (void)folder_.remove(name);
      return written;
    }
    bar_.finish();
    return {};
  }

private:
  status write_all() {
    for (const auto& shard : plan_.shards()) {
      files_.push_back(shard.file);
      TROUPE_RETURN_IF_ERROR(plan_.write(
          shard, [&](std::span<const std::byte> bytes) { return append(shard.file, bytes); }));
      TROUPE_RETURN_IF_ERROR(folder_.sync(shard.file)); // what the disk refuses late counts too
    }
    for (const auto& [name, content] : plan_.texts()) {
      files_.push_back(name);
      TROUPE_RETURN_IF_ERROR(folder_.append(name, std::as_bytes(std::span(content))));
      TROUPE_RETURN_IF_ERROR(folder_.sync(name));
    }
    return folder_.sync_directory();
  }

  status append(const std::string& name, std::span<const std::byte> bytes) {
    if (signal_.load() != 0) return status(status_code::cancelled, "interrupted");
    TROUPE_RETURN_IF_ERROR(folder_.append(name, bytes));
    done_ += bytes.size();
    bar_.update(done_, plan_.bytes());
    return {};
  }

  const model::synthetic_checkpoint& plan_;
  storage::disk& folder_;
  const std::atomic<int>& signal_;
  progress_bar bar_;
  std::vector<std::string> files_;
  uint64_t done_ = 0;
};

int run_synth(program& context, const synth_settings& settings) {
  const auto shape = shape_of(settings);
  if (!shape) return context.complain(shape.error(), exit_usage);
  const std::string target = settings.out.empty() ? std::string((*shape)->name) : settings.out;
  const auto plan =
      model::synthetic_checkpoint::plan(**shape, settings.seed, settings.shard_size.bytes);
  if (!plan) return context.complain(plan.error());
  if (const auto checked = check_new_folder(target, plan->bytes()); !checked.ok())
    return context.complain(checked);
  auto folder = storage::posix_disk::open(target);
  if (!folder) return context.complain(folder.error());

  std::atomic<int> signal{0};
  const signal_scope scope(context.signals,
                           [&signal](int number) { return signal.exchange(number) == 0; });
  const auto written = checkpoint_writer(context, *plan, **folder, signal).write();
  if (signal.load() != 0) return exit_code_of(signal.load());
  if (!written.ok()) return context.complain(written);
  (void)context.out.write(text(target, ": ", (*shape)->summary, "; ", plan->parameters(),
                               " parameters, ", human_bytes(plan->bytes()), "\n"));
  return context.exit_after_output();
}

constexpr command_info info = {
    .name = "model synth",
    .section = "synth",
    .summary = "writes a model with random weights in a named shape, for measuring",
    .notes =
        "The folder is in the form of Hugging Face: config.json, bf16 safetensors, and a tokenizer "
        "of bytes.\n"
        "What such a model says means nothing; it is as fast as a real one of its shape. When "
        "writing fails,\n"
        "or at Ctrl-C, what was written is removed.\n"
        "\n"
        "exit codes: 0 done; 1 failed; 2 wrong usage; 130 ended by Ctrl-C\n"
        "\n"
        "example:\n"
        "  troupe model synth granite-1b-a400m --out /tmp/granite\n"
        "  troupe bench --model /tmp/granite --quantize int8 -p 512 -n 128 --batch 1,16\n",
};

} // namespace

std::unique_ptr<command> make_synth() {
  return make_command<synth_settings>(info, run_synth);
}

} // namespace troupe::cli
