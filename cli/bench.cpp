// Checks that a batch gives what its sequences give alone, then measures prompts and generation,
// with what the machine could do measured before and after each repetition.
#include "cli/bench.hpp"

#include "base/random.hpp"
#include "base/text.hpp"
#include "cli/generation.hpp"
#include "cli/program.hpp"
#include "model/description.hpp"
#include "model/tokenizer.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::cli {
namespace {

constexpr uint32_t checked_max = 4; // sequences that also run alone
constexpr uint32_t checked_tokens_max = 32;
constexpr uint32_t opening_tokens = 8; // prompt of the generation test

// What one sequence did, with the time of every token since the whole batch began.
struct sequence_trace {
  std::vector<int32_t> tokens;
  std::vector<time_point> times;
};

class bench_run {
public:
  bench_run(program& context, const bench_settings& settings, running_engine& engine,
            compute::part_meter& meter, compute::limit_probe& probe)
      : context_(context), settings_(settings), engine_(engine), meter_(meter), probe_(probe) {}

  result<bench_report> run(const std::vector<uint32_t>& batches, double load_s) {
    report_.load_s = load_s;
    report_.model = engine_.model->name;
    report_.format = settings_.model.quantize == "none" ? "as stored" : settings_.model.quantize;
    report_.device = engine_.executor->description();
    if (auto s = clamp_lengths(); !s.ok()) return fail(s);
    if (auto s = check(*std::max_element(batches.begin(), batches.end())); !s.ok()) return fail(s);
    limits_ = probe_.measure();
    for (const uint32_t batch : batches) {
      if (prompt_ > 0 && (settings_.mode == "all" || settings_.mode == "pp"))
        if (auto s = measure_prompts(batch); !s.ok()) return fail(s);
    }
    for (const uint32_t batch : batches) {
      if (generated_ > 1 && settings_.mode != "pp")
        if (auto s = measure_generation(batch); !s.ok()) return fail(s);
    }
    return std::move(report_);
  }

private:
  status clamp_lengths() {
    const uint32_t positions = engine_.engine->positions_max();
    if (positions < opening_tokens + 2)
      return status(status_code::invalid_argument,
                    text("the model takes ", positions, " tokens, too few to measure"));
    prompt_ = std::min(settings_.prompt_tokens, positions - 1);
    generated_ = std::min(settings_.generated_tokens, positions - opening_tokens);
    const auto tell = [&](std::string_view what, uint32_t asked, uint32_t got) {
      if (asked != got)
        (void)context_.err.write(text(what, " ", asked, " is shortened to ", got,
                                      ": the model takes ", positions, " tokens\n"));
    };
    tell("--prompt-tokens", settings_.prompt_tokens, prompt_);
    tell("--generated-tokens", settings_.generated_tokens, generated_);
    return {};
  }

  // Random tokens; another set for every `set`, so that no two sequences begin alike.
  std::vector<int32_t> prompt_of(uint32_t length, uint32_t set, uint32_t sequence) const {
    const uint64_t vocabulary = std::min<uint64_t>(engine_.engine->description().vocabulary,
                                                   engine_.engine->tokenizer().id_limit());
    const random_key key{.seed = set, .subsystem = random_subsystem::workload, .entity = sequence};
    std::vector<int32_t> out(length);
    for (uint32_t i = 0; i < length; ++i)
      out[i] = static_cast<int32_t>(random_below(key, i, vocabulary));
    return out;
  }

  // What is measured begins with the submission, or once every sequence has its first token.
  result<std::vector<sequence_trace>> run_batch(const std::vector<std::vector<int32_t>>& prompts,
                                                uint32_t tokens, time_point& begin,
                                                bool generation_alone = false) {
    std::vector<std::unique_ptr<generation>> running;
    begin = context_.clock.now();
    meter_.restart();
    for (const auto& prompt : prompts) {
      dataflow::generation_request request;
      request.id = "bench";
      request.prompt = prompt;
      request.sampling.temperature = 0;
      request.tokens_max = tokens;
      request.ignore_eos = true;
      running.push_back(std::make_unique<generation>(*engine_.engine, context_.clock));
      if (auto started = running.back()->start(std::move(request)); !started.ok())
        return fail(started);
    }
    std::vector<sequence_trace> out(prompts.size());
    const auto into = [&out](size_t i) {
      return [&trace = out[i]](const dataflow::stream_event& event, time_point when) {
        for (const auto& token : event.tokens) {
          trace.tokens.push_back(token.token);
          trace.times.push_back(when);
        }
      };
    };
    if (generation_alone) {
      for (size_t i = 0; i < running.size(); ++i) running[i]->run_to_first_token(into(i));
      meter_.restart();
    }
    for (size_t i = 0; i < running.size(); ++i) {
      const auto outcome = running[i]->run_timed(into(i));
      if (!outcome.failure.ok()) return fail(outcome.failure);
      if (out[i].tokens.size() != tokens)
        return fail(status_code::corrupt, text("a sequence ended after ", out[i].tokens.size(),
                                               " of ", tokens, " tokens"));
    }
    return out;
  }

  std::vector<std::vector<int32_t>> prompts_of(uint32_t count, uint32_t length) {
    std::vector<std::vector<int32_t>> out;
    ++set_;
    for (uint32_t i = 0; i < count; ++i) out.push_back(prompt_of(length, set_, i));
    return out;
  }

  // A number is worth nothing when the tokens are wrong.
  status check(uint32_t batch) {
    const uint32_t tokens = std::min({std::max(generated_, 1u), checked_tokens_max});
    const auto prompts = prompts_of(batch, opening_tokens);
    time_point begin{};
    const auto together = run_batch(prompts, tokens, begin);
    if (!together) return together.error();
    report_.checked_sequences = std::min(batch, checked_max);
    for (uint32_t i = 0; i < report_.checked_sequences; ++i) {
      const auto alone = run_batch({prompts[i]}, tokens, begin);
      if (!alone) return alone.error();
      if ((*alone)[0].tokens != (*together)[i].tokens)
        return status(status_code::corrupt,
                      text("sequence ", i, " gives other tokens alone than in a batch of ", batch,
                           ": this must never happen; please report it"));
    }
    return {};
  }

  status measure_prompts(uint32_t batch) {
    bench_row row;
    row.test = text("pp", prompt_);
    row.batch = batch;
    row.tokens = uint64_t{batch} * prompt_;
    for (uint32_t i = 0; i < settings_.repetitions; ++i) {
      time_point begin{}, last{};
      const auto traces = run_batch(prompts_of(batch, prompt_), 1, begin);
      if (!traces) return traces.error();
      for (const auto& trace : *traces) last = std::max(last, trace.times.front());
      row.tokens_per_s.push_back(rate(row.tokens, last - begin));
      account(row, row.tokens);
    }
    return keep(std::move(row));
  }

  // From the moment all sequences have their first token: prompts are another test.
  status measure_generation(uint32_t batch) {
    bench_row row;
    row.test = text("tg", generated_);
    row.batch = batch;
    row.tokens = uint64_t{batch} * generated_;
    for (uint32_t i = 0; i < settings_.repetitions; ++i) {
      time_point begin{}, last{};
      const auto traces = run_batch(prompts_of(batch, opening_tokens), generated_, begin, true);
      if (!traces) return traces.error();
      for (const auto& trace : *traces) begin = std::max(begin, trace.times.front());
      uint64_t tokens = 0;
      for (const auto& trace : *traces) {
        tokens += static_cast<uint64_t>(std::count_if(trace.times.begin(), trace.times.end(),
                                                      [&](time_point t) { return t > begin; }));
        last = std::max(last, trace.times.back());
      }
      row.tokens_per_s.push_back(rate(tokens, last - begin));
      account(row, tokens);
    }
    return keep(std::move(row));
  }

  // Right after a repetition: what the meter has seen, beside what the machine can do now.
  void account(bench_row& row, uint64_t tokens) {
    const auto reading = meter_.read();
    const auto after = probe_.measure();
    const compute::machine_limits mean{
        .read_bytes_per_s = (limits_.read_bytes_per_s + after.read_bytes_per_s) / 2,
        .int8_operations_per_s = (limits_.int8_operations_per_s + after.int8_operations_per_s) / 2};
    const double seconds = std::chrono::duration<double>(reading.total()).count();
    const auto share = [seconds](uint64_t amount, double limit) {
      return seconds > 0 && limit > 0 ? double(amount) / seconds / limit : 0.0;
    };
    row.read_share.push_back(share(reading.weight_bytes, mean.read_bytes_per_s));
    row.integer_share.push_back(share(reading.operations, mean.int8_operations_per_s));
    row.limits.push_back(mean);
    row.time += reading;
    row.tokens_timed += tokens;
    limits_ = after;
  }

  status keep(bench_row row) {
    (void)context_.err.write(text(row.test, " batch ", row.batch, ": ",
                                  std::llround(median(row.tokens_per_s)), " tokens/s\n"));
    report_.rows.push_back(std::move(row));
    return {};
  }

  static double rate(uint64_t tokens, duration elapsed) {
    const double seconds = std::chrono::duration<double>(elapsed).count();
    return seconds > 0 ? double(tokens) / seconds : 0;
  }

  program& context_;
  const bench_settings& settings_;
  running_engine& engine_;
  compute::part_meter& meter_;
  compute::limit_probe& probe_;
  compute::machine_limits limits_; // measured last
  bench_report report_;
  uint32_t prompt_ = 0;
  uint32_t generated_ = 0;
  uint32_t set_ = 0;
};

int run_bench(program& context, const bench_settings& settings) {
  const auto batches = parse_batches(settings.batch, settings.mode);
  if (!batches) return context.complain(batches.error(), exit_usage);
  const uint32_t largest = *std::max_element(batches->begin(), batches->end());
  compute::part_meter meter(context.clock);
  engine_setup setup{.model = settings.model, .device = settings.device, .engine = settings.engine};
  setup.meter = &meter;
  setup.engine.prefix_cache = false; // nothing measured may have been computed before
  setup.engine.max_running = std::max(setup.engine.max_running, largest);
  setup.engine.max_queued_requests = std::max(setup.engine.max_queued_requests, largest);
  setup.adjust = [&](const model::description& model, engine_settings& engine) {
    if (engine.max_model_len != 0) return;
    const uint32_t wanted =
        std::max(settings.prompt_tokens + 1, settings.generated_tokens + opening_tokens);
    engine.max_model_len =
        std::clamp(wanted, std::min(64u, model.positions_max), model.positions_max);
    engine.max_running = largest; // memory for as many full sequences, and no more
  };
  const time_point begin = context.clock.now();
  auto started = start_engine(context, setup);
  if (!started) return context.complain(started.error().why, started.error().code);
  const double load_s = std::chrono::duration<double>(context.clock.now() - begin).count();
  const auto options = device_options_of(settings.device);
  if (!options) return context.complain(options.error().why, options.error().code);
  const auto probe = compute::limit_probe::make(*options, context.clock);
  if (!probe) return context.complain(probe.error());
  const auto report = bench_run(context, settings, *started, meter, **probe).run(*batches, load_s);
  if (!report) return context.complain(report.error());
  (void)context.out.write(settings.json ? report_json(*report) : report_table(*report));
  return context.exit_after_output();
}

constexpr command_info info = {
    .name = "bench",
    .section = "bench",
    .summary = "measures prompt and generation tokens per second",
    .notes =
        "Runs the engine that serves. First it checks that sequences give the same tokens alone "
        "and in the\n"
        "largest batch. pp measures prompts up to their first token, tg the tokens after the "
        "first; both\n"
        "count all sequences of a batch. The prefix cache is off.\n"
        "\n"
        "Before and after every repetition it measures how fast the machine reads memory and "
        "multiplies\n"
        "integers; `of read` and `of int8` are the shares of that which reading weights and their "
        "products\n"
        "reach. Below is where the time goes: parts of a step, waiting for other threads, and "
        "messages.\n"
        "\n"
        "exit codes: 0 done; 1 failed; 2 wrong usage; 3 the model cannot be loaded; 130 ended by "
        "Ctrl-C\n"
        "\n"
        "example:\n"
        "  troupe bench --model /models/olmoe --quantize int8 -p 512 -n 128 --batch 1,4,16\n"
        "  troupe bench --model /models/olmoe --quantize int4 --mode batch\n",
};

} // namespace

std::unique_ptr<command> make_bench() {
  return make_command<bench_settings>(info, run_bench);
}

} // namespace troupe::cli
