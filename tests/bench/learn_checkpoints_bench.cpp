// What keeping checkpoints costs a training run: steps with and without it in turns, on two runs
// that begin alike and must end alike, and whose newest checkpoint must hold that very end.
//   bench_learn_checkpoints MODEL FOLDER [rounds] [steps of a round] [steps between checkpoints]
// FOLDER is where checkpoints go, new or empty. What is still being written at the end of a round
// is waited for and counted, although a longer run would go on meanwhile.
#include "actors/model_directory.hpp"
#include "base/random.hpp"
#include "compute/cpu_executor.hpp"
#include "model/training/training_run.hpp"
#include "storage/checkpoint_saver.hpp"
#include "storage/posix_disk.hpp"
#include "storage/posix_file_system.hpp"
#include "storage/posix_io_worker.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace troupe {
namespace {

struct request {
  std::string model, folder;
  uint32_t rounds = 5;
  uint32_t steps = 40;
  uint32_t every = 20;
};

using seconds = std::chrono::duration<double>;

constexpr uint32_t documents_of_step = 16;
constexpr uint32_t tokens_of_document = 256;

// A step's documents, random but for its number.
class random_batch {
public:
  random_batch(uint64_t step, uint32_t vocabulary) {
    for (uint32_t d = 0; d < documents_of_step; ++d) {
      auto& tokens = tokens_.emplace_back();
      const random_key key{.seed = step, .subsystem = random_subsystem::workload, .entity = d};
      for (uint32_t i = 0; i <= tokens_of_document; ++i)
        tokens.push_back(static_cast<int32_t>(random_below(key, i, vocabulary)));
    }
    for (const auto& tokens : tokens_) {
      const std::span all(tokens);
      views_.push_back({all.first(tokens_of_document), all.last(tokens_of_document)});
    }
  }
  std::span<const model::training_document> views() const { return views_; }

private:
  std::vector<std::vector<int32_t>> tokens_;
  std::vector<model::training_document> views_;
};

std::vector<storage::checkpoint_part> parts_of(model::training_run& run) {
  std::vector<storage::checkpoint_part> out;
  for (const auto& part : run.state()) out.push_back({part.name, part.bytes});
  return out;
}

status step(model::training_run& run, uint32_t vocabulary) {
  const random_batch batch(run.steps(), vocabulary);
  const auto gradients = run.compute_gradients(batch.views());
  return gradients ? run.apply(1e-4, 1) : gradients.error();
}

// Steps of a round; with a saver, its checkpoints among them. Seconds of all, and of the copies.
struct round_time {
  seconds all{}, boundaries{};
};
result<round_time> go_on(model::training_run& run, uint32_t vocabulary, const request& asked,
                         storage::checkpoint_saver* saver) {
  round_time out;
  const auto begin = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < asked.steps; ++i) {
    if (auto done = step(run, vocabulary); !done.ok()) return fail(std::move(done));
    if (saver == nullptr || run.steps() % asked.every != 0) continue;
    const auto boundary = std::chrono::steady_clock::now();
    const uint64_t hash = model::hash_of(run.state());
    const status saved = saver->save({.step = run.steps(), .state_hash = hash}, parts_of(run));
    if (!saved.ok()) return fail(saved);
    out.boundaries += std::chrono::steady_clock::now() - boundary;
  }
  if (saver != nullptr)
    if (auto ended = saver->finish(); !ended.ok()) return fail(std::move(ended));
  out.all = std::chrono::steady_clock::now() - begin;
  return out;
}

status check(storage::checkpoint_store& store, model::training_run& with,
             model::training_run& without) {
  if (model::hash_of(with.state()) != model::hash_of(without.state()))
    return {status_code::corrupt, "checkpoints have changed what is learnt"};
  std::vector<status> passed;
  const auto newest = store.read_newest(passed);
  if (!newest) return newest.error();
  if (newest->manifest.step != with.steps() ||
      newest->manifest.state_hash != model::hash_of(with.state()))
    return {status_code::corrupt, "the newest checkpoint is not the end of the run"};
  std::vector<model::state_part> parts;
  for (const auto& part : newest->parts()) parts.push_back({part.name, part.bytes});
  TROUPE_RETURN_IF_ERROR(without.restore(parts));
  return model::hash_of(without.state()) == newest->manifest.state_hash
             ? status()
             : status(status_code::corrupt, "what was restored is not what was kept");
}

status measure(const request& asked) {
  const auto executor = compute::make_cpu_executor({});
  if (!executor) return executor.error();
  const storage::posix_file_system files;
  const auto opened = actors::model_directory::open(files, asked.model);
  if (!opened) return opened.error();
  const auto texts = opened->read_texts(false);
  if (!texts) return texts.error();
  const auto description = model::parse_config(texts->config.content, texts->config.path);
  if (!description) return description.error();
  const auto weights = opened->map_weights();
  if (!weights) return weights.error();
  auto without = model::training_run::make(*description, weights->index, **executor, {});
  auto with = model::training_run::make(*description, weights->index, **executor, {});
  if (!without || !with) return without ? with.error() : without.error();
  const auto folder = storage::posix_disk::open(asked.folder);
  if (!folder) return folder.error();
  storage::checkpoint_store store(**folder);
  storage::posix_io_worker worker;
  storage::checkpoint_saver saver(store, worker, {.keep = {.last = 2}});
  std::vector<double> ratios;
  seconds plain{}, kept{}, boundaries{};
  for (uint32_t round = 0; round < asked.rounds; ++round) {
    const auto a = go_on(**without, description->vocabulary, asked, nullptr);
    if (!a) return a.error();
    const auto b = go_on(**with, description->vocabulary, asked, &saver);
    if (!b) return b.error();
    ratios.push_back(b->all / a->all);
    plain += a->all;
    kept += b->all;
    boundaries += b->boundaries;
  }
  uint64_t bytes = 0;
  const auto outcomes = saver.take_outcomes();
  for (const auto& outcome : outcomes) {
    if (!outcome.failure.ok()) return outcome.failure;
    bytes += outcome.written.new_bytes;
  }
  TROUPE_RETURN_IF_ERROR(check(store, **with, **without));
  std::sort(ratios.begin(), ratios.end());
  const double steps = asked.rounds * asked.steps;
  const auto count = static_cast<double>(outcomes.size());
  std::printf(
      "{\"name\": \"learn_checkpoints\", \"device\": \"%s\", \"parameters\": %llu, "
      "\"step_ms\": %.1f, \"steps_between\": %u, \"checkpoints\": %zu, \"bytes_each\": %.0f, "
      "\"copy_ms\": %.2f, \"waits\": %llu, \"ratio_median\": %.4f, \"ratio_all\": %.4f}\n",
      (*executor)->description().c_str(), static_cast<unsigned long long>((*with)->parameters()),
      plain.count() / steps * 1e3, asked.every, outcomes.size(), static_cast<double>(bytes) / count,
      boundaries.count() / count * 1e3, static_cast<unsigned long long>(saver.waits()),
      ratios[ratios.size() / 2], kept / plain);
  return {};
}

} // namespace
} // namespace troupe

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "usage: %s MODEL FOLDER [rounds] [steps] [steps between checkpoints]\n",
                 arguments[0]);
    return 2;
  }
  troupe::request asked{.model = arguments[1], .folder = arguments[2]};
  uint32_t* const fields[] = {&asked.rounds, &asked.steps, &asked.every};
  for (int i = 3; i < count && i < 6; ++i)
    *fields[i - 3] = std::max(1u, static_cast<uint32_t>(std::strtoul(arguments[i], nullptr, 10)));
  const auto done = troupe::measure(asked);
  if (done.ok()) return 0;
  std::fprintf(stderr, "%s\n", done.why().c_str());
  return 1;
}
