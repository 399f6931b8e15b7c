// Reads model and texts, runs the steps, measures what was held out before and after, and writes
// the checkpoint.
#include "cli/learn.hpp"

#include "actors/model_directory.hpp"
#include "base/text.hpp"
#include "cli/checkpoint_parts.hpp"
#include "cli/engine_setup.hpp"
#include "cli/http_setup.hpp"
#include "cli/learn_checkpoints.hpp"
#include "cli/learn_data.hpp"
#include "cli/learn_stream.hpp"
#include "cli/model_folder.hpp"
#include "cli/new_folder.hpp"
#include "cli/program.hpp"
#include "cli/weights.hpp"
#include "dataflow/expert_balance.hpp"
#include "dataflow/learning_rate.hpp"
#include "model/training/piece_source.hpp"
#include "model/training/training_run.hpp"
#include "storage/posix_disk.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <deque>
#include <numbers>

namespace troupe::cli {
namespace {

constexpr duration look_every = std::chrono::milliseconds(200); // for more in the log

dataflow::learning_rate_schedule schedule_of(const learn_settings& settings) {
  dataflow::learning_rate_schedule out{.peak = settings.rate,
                                       .floor = 0,
                                       .warmup_steps = settings.warmup_steps,
                                       .total_steps = settings.steps,
                                       .shape = dataflow::decay_shape::cosine,
                                       .decay_steps = settings.decay_steps};
  if (settings.decay == "linear") out.shape = dataflow::decay_shape::linear;
  if (settings.decay == "one-minus-sqrt") out.shape = dataflow::decay_shape::one_minus_sqrt;
  if (settings.decay == "constant") out.shape = dataflow::decay_shape::constant;
  return out;
}

std::string decimals(const char* format, double value) {
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), format, value);
  return out.data();
}

// How far into the log each checkpoint had come, so that the log keeps what any checkpoint needs
// that a run may go back to.
class log_places {
public:
  void note(uint64_t step, uint64_t cursor) {
    notes_.emplace_back(step, cursor);
    if (notes_.size() > notes_max) notes_.pop_front(); // the disk has failed all the while
  }
  void durable(uint64_t step) {
    while (!notes_.empty() && notes_.front().first < step) notes_.pop_front();
    if (!notes_.empty() && notes_.front().first == step) kept_.push_back(notes_.front().second);
  }
  // The cursor of the oldest of the `keep` newest checkpoints; none: nothing may go.
  std::optional<uint64_t> committed(size_t keep) {
    if (kept_.size() < keep) return std::nullopt;
    while (kept_.size() > keep) kept_.pop_front();
    return kept_.front();
  }

private:
  static constexpr size_t notes_max = 1024;
  std::deque<std::pair<uint64_t, uint64_t>> notes_; // steps whose checkpoints may still come
  std::deque<uint64_t> kept_;                       // cursors of checkpoints
};

// Everything a run needs, kept alive.
struct learning {
  actors::model_texts texts;
  model::description description;
  std::optional<model::tokenizer> tokenizer;
  int32_t separator = 0;
  learning_data data;                         // of files
  std::unique_ptr<model::piece_source> files; // of data
  std::unique_ptr<learning_from_log> log;     // instead of both
  learning_text to_keep;  // what importance is measured on, where it is not what is held out
  std::string importance; // the file that the model may bring
  std::unique_ptr<compute::executor> executor;
  std::unique_ptr<model::training_run> run;
  model::step_source* source = nullptr; // one of the two
  log_places places;
  std::unique_ptr<learn_checkpoints> checkpoints; // of run and source; null: none are kept
  std::unique_ptr<version_publisher> publisher;   // of run; null: nothing is published
  double imbalance = 0;                           // of the last step, the worst layer's

  std::string state() const { return model::hash_text(hash_of_run(*run, *source)); }
};

setup_result<void> fails(const status& why, int code = exit_failed) {
  return tl::make_unexpected(setup_failure{why, code});
}

// Where the model at hand has learnt from a log, the stream goes on behind that.
setup_result<void> open_log(program& context, const learn_settings& settings,
                            const std::string& directory, learning& out) {
  auto log = learning_from_log::open(context, settings.stream,
                                     {.context = settings.context,
                                      .step_tokens = settings.step_tokens,
                                      .separator = out.separator,
                                      .seed = settings.seed,
                                      .hold_out = settings.hold_out},
                                     *out.tokenizer);
  if (!log) return tl::make_unexpected(log.error());
  out.log = std::move(*log);
  out.source = out.log.get();
  if (settings.stream.restart_data) return {};
  const auto state = read_stream_state(directory);
  if (!state && state.error().code() == status_code::not_found) return {};
  if (!state) return fails(state.error());
  if (const status restored = out.log->restore(*state); !restored.ok())
    return fails({restored.code(),
                  text(directory, ": ", restored.why(), "; --restart-data begins the log anew")});
  return {};
}

setup_result<void> read_files(program& context, const learn_settings& settings, learning& out) {
  const auto& tokenizer = *out.tokenizer;
  const auto documents = read_documents(context.files, settings.data, tokenizer.eos_token());
  if (!documents) return fails(documents.error());
  auto data = cut_documents(
      tokenizer, *documents,
      {.context = settings.context, .separator = out.separator, .hold_out = settings.hold_out});
  if (!data) return fails(data.error());
  out.data = std::move(*data);
  out.files = std::make_unique<model::piece_source>(out.data.training.pieces, settings.step_tokens,
                                                    settings.seed);
  out.source = out.files.get();
  return {};
}

// What a run with --ewc is to keep.
setup_result<void> read_to_keep(program& context, const learn_settings& settings, learning& out) {
  if (settings.methods.ewc_data.empty()) return {};
  const auto documents =
      read_documents(context.files, settings.methods.ewc_data, out.tokenizer->eos_token());
  if (!documents) return fails(documents.error().within("--ewc-data"));
  auto data = cut_documents(*out.tokenizer, *documents,
                            {.context = settings.context, .separator = out.separator});
  if (!data) return fails(data.error().within("--ewc-data"));
  out.to_keep = std::move(data->training);
  return {};
}

setup_result<void> read_model(const learn_settings& settings, const actors::model_directory& opened,
                              learning& out) {
  auto texts = opened.read_texts();
  if (!texts) return fails(texts.error(), exit_no_model);
  out.texts = std::move(*texts);
  auto description = model::parse_config(out.texts.config.content, out.texts.config.path);
  if (!description) return fails(description.error(), exit_no_model);
  out.description = std::move(*description);
  if (settings.context > out.description.positions_max)
    return fails({status_code::invalid_argument,
                  text("--context ", settings.context, ": the model was made for ",
                       out.description.positions_max, " tokens")},
                 exit_usage);
  auto tokenizer = actors::parse_tokenizer(out.texts);
  if (!tokenizer) return fails(tokenizer.error(), exit_no_model);
  auto separator = tokenizer->eos_id();
  if (!separator && !out.description.eos_ids.empty()) separator = out.description.eos_ids.front();
  if (!separator)
    return fails({status_code::unsupported,
                  "the model has no end of sequence, which is learnt at the end of every document"},
                 exit_no_model);
  out.separator = *separator;
  out.tokenizer = std::move(*tokenizer);
  return {};
}

setup_result<void> prepare(program& context, const learn_settings& settings, learning& out) {
  const auto directory = model_directory_of(context, {.model = settings.model});
  if (!directory) return tl::make_unexpected(directory.error());
  const auto opened = actors::model_directory::open(context.files, *directory);
  if (!opened) return fails(opened.error(), exit_no_model);
  if (opened->is_gguf())
    return fails({status_code::unsupported,
                  text(*directory, ": a GGUF file cannot be trained; give a model directory")},
                 exit_no_model);
  if (const auto read = read_model(settings, *opened, out); !read) return read;
  const auto data = settings.stream.ingest.empty() ? read_files(context, settings, out)
                                                   : open_log(context, settings, *directory, out);
  if (!data) return data;
  if (const auto read = read_to_keep(context, settings, out); !read) return read;
  const auto device = device_options_of(settings.device);
  if (!device) return tl::make_unexpected(device.error());
  auto executor = compute::make_cpu_executor(*device);
  if (!executor) return fails(executor.error().within("--instruction-set"), exit_usage);
  out.executor = std::move(*executor);
  const auto weights = opened->map_weights();
  if (!weights) return fails(weights.error(), exit_no_model);
  const auto padding = model::padding_id_of(out.texts.config.content, out.texts.config.path);
  if (!padding) return fails(padding.error(), exit_no_model);
  auto run =
      model::training_run::make(out.description, weights->index, *out.executor,
                                {.pass = {.recompute = settings.recompute, .padding_id = *padding},
                                 .optimiser = {.weight_decay = settings.weight_decay},
                                 .methods = method_options_of(settings.methods, settings.seed),
                                 .share_tokens = settings.share_tokens,
                                 .rows_at_once = settings.tokens_at_once,
                                 .set = device->set});
  if (!run) return fails(opened->in_directory(run.error()), exit_no_model);
  out.run = std::move(*run);
  out.importance = opened->path_of(importance_file);
  if (const status taught = read_teacher(context.files, settings.methods, *out.run); !taught.ok())
    return fails(taught, exit_no_model);
  return {};
}

// Where the run begins; what goes on from a checkpoint brings its anchor along.
status set_anchor(program& context, const learn_settings& settings, learning& with) {
  if (with.run->steps() > 0) return {};
  const bool given = !settings.methods.ewc_data.empty();
  return anchor_weights(settings.methods,
                        {.files = context.files,
                         .known_importance = with.importance,
                         .documents = given ? with.to_keep.pieces : with.data.held_out.pieces,
                         .seed = settings.seed,
                         .err = context.err},
                        *with.run);
}

// What is learnt from, wherever it lies.
std::string hash_of_data(const learning_data& data) {
  std::vector<model::state_part> parts;
  for (const auto& piece : data.training.pieces.all())
    parts.push_back({"", std::as_bytes(piece.tokens)});
  return model::hash_text(model::hash_of(parts));
}

result<double> held_out_loss(const learning& with) {
  const auto pieces = with.data.held_out.pieces.all();
  const auto figures = with.run->evaluate(pieces);
  if (!figures) return fail(figures.error());
  return figures->loss_sum / static_cast<double>(figures->targets);
}

status open_checkpoints(program& context, const learn_settings& settings, learning& with) {
  if (settings.checkpoints.folder.empty()) {
    if (!settings.checkpoints.resume) return {};
    return {status_code::invalid_argument, "--resume needs --checkpoints DIR"};
  }
  auto copy = settings; // options refer to what can be changed
  auto matters = settings_that_matter(options_of(copy));
  matters.push_back({"data", with.log ? data_of_a_log : hash_of_data(with.data)});
  std::function<void(uint64_t)> durable;
  if (with.log) durable = [&with](uint64_t step) { with.places.durable(step); };
  std::function<result<double>()> loss;
  // What a log holds out grows; losses of different texts say nothing about the better model.
  if (!with.log && with.data.held_out.pieces.count() > 0)
    loss = [&with] { return held_out_loss(with); };
  auto opened = learn_checkpoints::open(settings.checkpoints, {.run = *with.run,
                                                               .source = *with.source,
                                                               .texts = with.texts,
                                                               .settings = std::move(matters),
                                                               .err = context.err,
                                                               .durable = std::move(durable),
                                                               .held_out_loss = std::move(loss)});
  if (!opened) return opened.error();
  with.checkpoints = std::move(*opened);
  return with.checkpoints->resume();
}

status open_publisher(program& context, const learn_settings& settings, learning& with) {
  if (settings.publish.folder.empty()) return {};
  auto opened = version_publisher::open(settings.publish,
                                        weights_registry_of(context, settings.publish.folder),
                                        {.run = *with.run,
                                         .texts = with.texts,
                                         .tokenizer = *with.tokenizer,
                                         .separator = with.separator,
                                         .context = settings.context,
                                         .files = context.files,
                                         .time = context.clock,
                                         .err = context.err});
  if (!opened) return opened.error();
  with.publisher = std::move(*opened);
  return {};
}

// ---- the steps ----

class learner {
public:
  learner(program& context, const learn_settings& settings, learning& with, stop_request& stop)
      : context_(context), settings_(settings), with_(with), stop_(stop) {}

  // Until all steps are done or a signal comes.
  status learn(const std::atomic<int>& signal) {
    TROUPE_RETURN_IF_ERROR(measure("before"));
    return run(signal);
  }

  // Whether what was dealt last has not been learnt from, so that the place in the data is ahead.
  bool owes_a_batch() const { return owes_a_batch_; }

  // Bits per byte of what was held out, said on standard error.
  status measure(std::string_view when) {
    const auto from_log = held_out_of_log();
    if (!from_log) return from_log.error();
    const auto& text_held = with_.log ? *from_log : with_.data.held_out;
    if (text_held.pieces.count() == 0) return {};
    const auto pieces = text_held.pieces.all();
    const auto figures = with_.run->evaluate(pieces);
    if (!figures) return figures.error();
    say(text("held out ", when, ": loss ", shown_figure(mean_loss(*figures)), ", ",
             shown_figure(text_held.bits_per_byte(figures->loss_sum)), " bits per byte"));
    return {};
  }

private:
  result<learning_text> held_out_of_log() const {
    learning_text out{.pieces = {settings_.context, with_.separator}};
    if (!with_.log) return out;
    for (const auto& each : with_.log->held_out())
      if (const status added = out.add(*with_.tokenizer, each.text); !added.ok())
        return fail(added);
    return out;
  }

  // None: there is nothing more, or a signal came while there was nothing.
  result<std::optional<model::step_batch>> next_batch() {
    for (;;) {
      auto batch = with_.source->next();
      const bool waits = batch && !batch->has_value() && with_.log && settings_.stream.follow;
      if (!waits || stop_.heard()) return batch;
      stop_.pause(look_every);
    }
  }

  status run(const std::atomic<int>& signal) {
    const auto schedule = schedule_of(settings_);
    begin_ = context_.clock.now();
    while (with_.run->steps() < settings_.steps && signal.load() == 0) {
      const auto step = static_cast<uint32_t>(with_.run->steps());
      const double rate = dataflow::learning_rate_at(schedule, step);
      const auto batch = next_batch();
      if (!batch) return batch.error();
      if (!batch->has_value()) return {}; // nothing more to learn from
      owes_a_batch_ = true;
      const auto gradients = with_.run->compute_gradients((*batch)->documents);
      if (!gradients) return gradients.error();
      const double factor = dataflow::clipping_factor(gradients->norm, settings_.clip);
      TROUPE_RETURN_IF_ERROR(with_.run->apply(rate, factor));
      owes_a_batch_ = false;
      const double imbalance = balance(gradients->figures);
      tokens_ += gradients->figures.targets;
      if ((step + 1) % settings_.report_every == 0 || step + 1 == settings_.steps)
        report(step + 1, *gradients, (*batch)->bytes, rate, imbalance);
      if (with_.checkpoints) TROUPE_RETURN_IF_ERROR(keep_checkpoints());
      with_.imbalance = imbalance;
      if (with_.publisher) with_.publisher->after_step(imbalance, [this] { return with_.state(); });
    }
    return {};
  }

  static double mean_loss(const model::pass_figures& figures) {
    return figures.loss_sum / static_cast<double>(figures.targets);
  }

  status keep_checkpoints() {
    if (with_.log && with_.run->steps() % settings_.checkpoints.every == 0)
      with_.places.note(with_.run->steps(), with_.log->cursor());
    TROUPE_RETURN_IF_ERROR(with_.checkpoints->after_step());
    if (!with_.log) return {};
    const auto committed = with_.places.committed(settings_.checkpoints.keep);
    if (!committed || *committed == committed_) return {};
    committed_ = *committed;
    return with_.log->commit(committed_);
  }

  // Moves the biases and returns the largest imbalance of a layer.
  double balance(const model::pass_figures& figures) {
    double most = 0;
    for (size_t layer = 0; layer < figures.expert_rows.size(); ++layer) {
      const dataflow::expert_load load{figures.expert_rows[layer]};
      most = std::max(most, load.imbalance());
      auto& bias = with_.run->corrections()[layer];
      if (!bias.empty() && with_.run->methods().bias_moves(static_cast<uint32_t>(layer)))
        dataflow::move_selection_bias(bias, load, static_cast<float>(settings_.balance));
    }
    return most;
  }

  void report(uint32_t step, const model::step_gradients& gradients, uint64_t bytes, double rate,
              double imbalance) {
    const double loss = mean_loss(gradients.figures);
    const double bits = gradients.figures.loss_sum / std::numbers::ln2 /
                        static_cast<double>(std::max<uint64_t>(bytes, 1));
    const std::chrono::duration<double> elapsed = context_.clock.now() - begin_;
    say(text("step ", step, " of ", settings_.steps, ": loss ", shown_figure(loss), ", ",
             shown_figure(bits), " bits per byte, norm ", decimals("%.3f", gradients.norm),
             ", rate ", decimals("%.2e", rate), ", imbalance ", decimals("%.2f", imbalance),
             method_figures(gradients.figures, *with_.run),
             with_.log ? text(", document ", with_.log->cursor())
                       : text(", epoch ", with_.files->epoch()),
             ", ", decimals("%.0f", static_cast<double>(tokens_) / std::max(1e-9, elapsed.count())),
             " tokens/s"));
  }

  void say(const std::string& line) { (void)context_.err.write(line + "\n"); }

  program& context_;
  const learn_settings& settings_;
  learning& with_;
  stop_request& stop_;
  uint64_t committed_ = 0;
  bool owes_a_batch_ = false;
  uint64_t tokens_ = 0;
  time_point begin_;
};

// ---- writing ----

status write_out(const learn_settings& settings, const learning& with, storage::disk& folder) {
  const auto type = settings.weights == "bf16" ? compute::dtype::bf16 : compute::dtype::f32;
  const status written = write_model_folder(
      folder, with.texts, [&](const model::byte_sink& to) { return with.run->write(type, to); });
  if (!written.ok()) return written.within(settings.out);
  const status kept = write_importance(folder, *with.run);
  return kept.ok() ? status() : kept.within(settings.out);
}

// Adapters apart from the model.
status write_lora(const learn_settings& settings, const learning& with) {
  if (settings.methods.lora_out.empty()) return {};
  const status written = write_adapter(settings.methods.lora_out, settings.model, *with.run);
  return written.ok() ? status() : written.within(settings.methods.lora_out);
}

// The steps, the last checkpoint, and the model; what has been learnt before a failure is written.
status learn_and_write(learner& steps, const learn_settings& settings, const learning& with,
                       storage::disk* folder, const std::atomic<int>& signal) {
  const status learnt = steps.learn(signal);
  if (!learnt.ok() && with.run->steps() == 0) return learnt;
  const status kept = with.checkpoints ? with.checkpoints->finish() : status();
  // Before the file that makes the folder a model.
  if (with.log && folder != nullptr && !steps.owes_a_batch())
    if (const status placed = write_stream_state(*folder, with.log->state()); !placed.ok())
      return placed.within(settings.out);
  const status written = folder != nullptr ? write_out(settings, with, *folder) : status();
  const status adapters = write_lora(settings, with);
  const status published =
      with.publisher ? with.publisher->finish(with.imbalance, [&with] { return with.state(); })
                     : status();
  if (!learnt.ok() && written.ok() && folder != nullptr)
    return learnt.within(text(settings.out, " has the weights of ", with.run->steps(), " steps"));
  for (const auto* part : {&learnt, &written, &adapters, &published, &kept})
    if (!part->ok()) return *part;
  if (with.log && !with.checkpoints) TROUPE_RETURN_IF_ERROR(with.log->commit(with.log->cursor()));
  return signal.load() != 0 || with.run->steps() == 0 ? status() : steps.measure("after");
}

// The folder for the model: new, or what an earlier attempt at the same run left unfinished.
status check_out(const learn_settings& settings, uint64_t bytes) {
  if (settings.checkpoints.resume && is_unfinished_model_folder(settings.out)) return {};
  return check_new_folder(settings.out, bytes);
}

int run_learn(program& context, const learn_settings& settings) {
  if (settings.data.empty() == settings.stream.ingest.empty())
    return context.complain({status_code::invalid_argument,
                             "troupe learn needs a file to learn from, or a log (--ingest DIR)"},
                            exit_usage);
  const bool has_out = !settings.out.empty();
  const auto places = {settings.out, settings.checkpoints.folder, settings.methods.lora_out,
                       settings.publish.folder};
  const auto found =
      std::find_if(places.begin(), places.end(), [](const auto& each) { return !each.empty(); });
  const std::string place = found == places.end() ? "" : *found;
  if (place.empty())
    return context.complain({status_code::invalid_argument,
                             "troupe learn needs --out DIR, --publish DIR, --lora-out DIR or "
                             "--checkpoints DIR"},
                            exit_usage);
  if (const auto checked = check_methods(settings.methods); !checked.ok())
    return context.complain(checked, exit_usage);
  const auto& lora_out = settings.methods.lora_out;
  if (const auto checked = lora_out.empty() ? status() : check_new_folder(lora_out, 0);
      !checked.ok())
    return context.complain(checked.within("--lora-out"));
  if (const auto checked = has_out ? check_out(settings, 0) : status(); !checked.ok())
    return context.complain(checked);
  learning with;
  if (const auto ready = prepare(context, settings, with); !ready)
    return context.complain(ready.error().why, ready.error().code);
  // Ours from here on: nobody else fills it while we learn.
  std::unique_ptr<storage::posix_disk> folder;
  if (has_out) {
    auto opened = storage::posix_disk::open(settings.out);
    if (!opened) return context.complain(opened.error());
    folder = std::move(*opened);
    const uint64_t bytes = with.run->parameters() * (settings.weights == "bf16" ? 2 : 4);
    if (const auto checked = check_out(settings, bytes); !checked.ok())
      return context.complain(checked);
  }
  if (const status opened = open_checkpoints(context, settings, with); !opened.ok())
    return context.complain(
        opened, opened.code() == status_code::invalid_argument ? exit_usage : exit_failed);
  if (const status anchored = set_anchor(context, settings, with); !anchored.ok())
    return context.complain(anchored);
  if (const status opened = open_publisher(context, settings, with); !opened.ok())
    return context.complain(
        opened, opened.code() == status_code::invalid_argument ? exit_usage : exit_failed);
  (void)context.err.write(with.log
                              ? text(with.run->parameters(), " parameters; the log from document ",
                                     with.log->cursor(), " on\n")
                              : text(with.run->parameters(), " parameters; ",
                                     with.data.training.pieces.tokens(), " tokens to learn from, ",
                                     with.data.held_out.pieces.tokens(), " held out\n"));
  std::atomic<int> signal{0};
  stop_request stop;
  const signal_scope scope(context.signals, [&signal, &stop](int number) {
    const bool first = signal.exchange(number) == 0;
    return stop.hear(number) && first;
  });
  learner steps(context, settings, with, stop);
  if (const status done = learn_and_write(steps, settings, with, folder.get(), signal); !done.ok())
    return context.complain(done);
  if (const status anchored = set_anchor(context, settings, with); !anchored.ok())
    return context.complain(anchored);
  if (with.log) (void)context.err.write(text(with.log->account(), "\n"));
  (void)context.out.write(
      text(place, ": ", with.run->steps(), " steps, state ", with.state(), "\n"));
  return signal.load() != 0 ? exit_code_of(signal.load()) : context.exit_after_output();
}

constexpr command_info info = {
    .name = "learn",
    .section = "learn",
    .summary = "trains a model on texts and writes it as a checkpoint",
    .notes =
        "Figures go to standard error: loss in nats per token, and bits per byte of text. The same "
        "data, settings\n"
        "and seed give the same weights, bit for bit, with any number of threads. At Ctrl-C the "
        "step at hand is\n"
        "finished and the model written as it is then; at the second one nothing is. With "
        "--checkpoints the\n"
        "same command with --resume goes on after any end, also a lost machine's, to the same "
        "bits.\n"
        "\n"
        "With --ingest every document of the log is learnt from once; the model remembers how far, "
        "and a run that\n"
        "goes on from it (--model) takes what came since. What was not learnt from lies in "
        "DIR/learner, with reasons.\n"
        "\n"
        "exit codes: 0 done; 1 failed; 2 wrong usage; 3 no such model; 130 ended by Ctrl-C\n"
        "\n"
        "example:\n"
        "  troupe learn tales.txt --steps 200 --out /tmp/learnt\n"
        "  troupe serve --model /tmp/learnt\n",
};

} // namespace

std::unique_ptr<command> make_learn() {
  return make_command<learn_settings>(info, run_learn);
}

} // namespace troupe::cli
