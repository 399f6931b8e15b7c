// Settings in, study, tables and files out.
#include "cli/simulate_capacity.hpp"

#include "base/text.hpp"
#include "cli/program.hpp"
#include "simulations/capacity/plot.hpp"
#include "simulations/capacity/profile_file.hpp"
#include "simulations/capacity/report.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <system_error>

namespace troupe::cli {
namespace {

namespace capacity = simulations::capacity;

constexpr size_t config_bytes_max = 1 << 20;
constexpr auto redraw_interval = std::chrono::milliseconds(100);

capacity::nanoseconds as_ns(double seconds) {
  return static_cast<capacity::nanoseconds>(seconds * capacity::second_ns);
}

// A line on the terminal that redraws itself, and the end that Ctrl-C asks for.
class watcher {
public:
  explicit watcher(program& context)
      : context_(context),
        shows_(context.err.is_terminal()),
        drawn_(context.clock.now()),
        scope_(context.signals, [this](int signal) {
          int none = 0;
          return signal_.compare_exchange_strong(none, signal); // the second one ends at once
        }) {}
  ~watcher() { clear(); }
  watcher(const watcher&) = delete;
  watcher& operator=(const watcher&) = delete;

  void about(std::string what) { what_ = std::move(what); }

  bool go_on(capacity::nanoseconds now) {
    const auto time = context_.clock.now();
    if (shows_ && time - drawn_ >= redraw_interval) {
      drawn_ = time;
      visible_ = true;
      std::string line = text(what_, ", second ", now / capacity::second_ns);
      line.resize(std::min(line.size(), context_.err.columns() - 1));
      (void)context_.err.write(text("\r", line, "\x1b[K"));
    }
    return signal_ == 0;
  }
  void clear() {
    if (visible_) (void)context_.err.write("\r\x1b[K");
    visible_ = false;
  }
  int signal() const { return signal_; }

private:
  program& context_;
  bool shows_, visible_ = false;
  time_point drawn_;
  std::string what_;
  std::atomic<int> signal_{0};
  signal_scope scope_; // last: it calls us until it is gone
};

result<capacity::model_shape> read_model(const program& context,
                                         const simulate_capacity_settings& settings) {
  const auto bytes = [&](double published) {
    if (settings.weight_bits == "16") return 2.0;
    if (settings.weight_bits == "8") return 1.0;
    return settings.weight_bits == "4" ? 0.5 : published;
  };
  const std::string path = settings.model + "/config.json";
  if (context.files.exists(path)) {
    const auto config = context.files.read_text(path, config_bytes_max);
    if (!config) return fail(config.error());
    const auto read = model::parse_config(*config, path);
    if (!read) return fail(read.error());
    return capacity::shape_of(*read, settings.model, bytes(2));
  }
  auto named = capacity::model_named(settings.model);
  if (named) named->weight_bytes = bytes(named->weight_bytes);
  return named;
}

result<capacity::study> read_study(const program& context,
                                   const simulate_capacity_settings& settings) {
  capacity::study out;
  auto model = read_model(context, settings);
  if (!model) return fail(model.error());
  auto device = capacity::device_named(settings.device);
  if (!device) return fail(device.error());
  auto trace = capacity::trace_profile_named(settings.trace);
  if (!trace) return fail(trace.error());
  auto failures = capacity::failures_named(settings.failures);
  if (!failures) return fail(failures.error());
  out.system.model = std::move(*model);
  out.system.device = std::move(*device);
  out.profile = std::move(*trace);
  out.failures = std::move(*failures);
  if (!settings.profile.empty()) {
    const auto file = context.files.read_text(settings.profile, config_bytes_max);
    if (!file) return fail(file.error());
    capacity::profile_numbers numbers{out.system.device, out.failures, out.routing, out.recovery};
    const auto read = capacity::read_profile_file(*file, settings.profile, numbers);
    if (!read.ok()) return fail(read);
  }
  if (settings.failure_rate) {
    out.failures.per_1000_node_days = *settings.failure_rate;
    out.failures.slow_per_1000_node_days = *settings.failure_rate;
  }
  if (settings.skew) out.routing.skew = *settings.skew;
  out.system.nodes_per_replica = settings.nodes_per_replica;
  out.system.limits = {.tokens_max = settings.max_batch_tokens,
                       .sequences_max = settings.max_running,
                       .queue_max = settings.max_queued_requests,
                       .prefill_chunk_max = settings.prefill_chunk};
  out.rate_per_s = settings.rate.value_or(out.profile.published.rate_per_s);
  if (settings.warm_up >= settings.duration)
    return fail(status_code::invalid_argument,
                text("--warm-up ", settings.warm_up, " leaves nothing of --duration ",
                     settings.duration, " to measure"));
  out.span = as_ns(settings.duration);
  out.warm_up = as_ns(settings.warm_up);
  out.objective = {settings.ttft_ms, settings.tpot_ms};
  out.objective_share = settings.within;
  out.recovery.restore_from_peer = settings.restore_from == "peer";
  out.failure_scale = settings.failure_scale;
  out.prefix_cache = settings.prefix_cache;
  out.seed = settings.seed;
  return out;
}

status write_file(const std::string& path, std::string_view bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0)
    return {status_code::unavailable,
            text("cannot write ", path, ": ", std::generic_category().message(errno))};
  output file(fd, path);
  const auto written = file.write(bytes);
  if (::close(fd) != 0 && written.ok())
    return {status_code::unavailable,
            text("cannot write ", path, ": ", std::generic_category().message(errno))};
  return written;
}

class capacity_run {
public:
  capacity_run(program& context, const simulate_capacity_settings& settings, capacity::study study)
      : context_(context), settings_(settings), study_(std::move(study)), watcher_(context) {
    study_.progress = [this](capacity::nanoseconds now) { return watcher_.go_on(now); };
  }

  int run(const std::vector<uint32_t>& nodes) {
    capacity::report report{.of = study_, .rows = {}, .found = {}, .fidelity = {}};
    const auto done = settings_.answer ? search(report) : look_at(nodes, report);
    watcher_.clear();
    if (watcher_.signal() != 0) return exit_code_of(watcher_.signal());
    if (!done.ok()) return context_.complain(done);
    report.fidelity = capacity::reference_fidelity(study_.profile, study_.seed);
    for (const auto& [path, bytes] : {std::pair(settings_.json, capacity::report_json(report)),
                                      std::pair(settings_.svg, capacity::report_svg(report))}) {
      if (path.empty()) continue;
      if (const auto written = write_file(path, bytes); !written.ok())
        return context_.complain(written);
    }
    (void)context_.out.write(capacity::report_table(report));
    const int code = context_.exit_after_output();
    return code == exit_done && settings_.answer && !report.found->best ? exit_failed : code;
  }

private:
  capacity::availability_options sampling() const {
    capacity::availability_options out;
    out.samples = settings_.failure_samples;
    return out;
  }

  // A cluster too small for the model is an answer too, unless it is the only one asked for.
  status look_at(const std::vector<uint32_t>& nodes, capacity::report& report) {
    for (const uint32_t count : nodes) {
      watcher_.about(text(count, " nodes"));
      capacity::report_row row;
      row.nodes = count;
      row.copies = settings_.copies;
      auto done = capacity::run_study(study_, count, settings_.copies);
      if (!done) {
        if (done.error().code() == status_code::cancelled || nodes.size() == 1) return done.error();
        row.why_not = done.error().why();
      } else {
        row.plan = std::move(done->plan);
        row.result = std::move(done->result);
        if (settings_.failure_samples > 0) {
          watcher_.about(text("failures of ", count, " nodes"));
          auto cost = capacity::estimate_availability(study_, count, settings_.copies, sampling());
          if (!cost) return cost.error();
          row.availability = std::move(*cost);
        }
      }
      report.rows.push_back(std::move(row));
    }
    return {};
  }

  status search(capacity::report& report) {
    capacity::answer_options options;
    options.copies_max = settings_.copies_max;
    options.availability = settings_.availability;
    options.sampling = sampling();
    options.sampling.samples = std::max(1u, options.sampling.samples);
    options.tell = [this](const std::string& what) { watcher_.about(what); };
    auto found = capacity::find_answer(study_, options);
    if (!found) return found.error();
    report.found = std::move(*found);
    report.availability_wanted = settings_.availability;
    return {};
  }

  program& context_;
  const simulate_capacity_settings& settings_;
  capacity::study study_;
  watcher watcher_;
};

int run_simulate_capacity(program& context, const simulate_capacity_settings& settings) {
  const auto nodes = parse_node_counts(settings.nodes);
  if (!nodes) return context.complain(nodes.error(), exit_usage);
  auto study = read_study(context, settings);
  if (!study) return context.complain(study.error(), exit_usage);
  return capacity_run(context, settings, std::move(*study)).run(*nodes);
}

constexpr command_info info = {
    .name = "simulate capacity",
    .section = "capacity",
    .summary = "says how many nodes and expert copies a load and a failure rate need",
    .notes =
        "Runs the pipeline on up to 2048 simulated devices with a cost model instead of kernels; "
        "what is\n"
        "modelled and what is not is printed with the result and described in docs/capacity.md.\n"
        "\n"
        "exit codes: 0 done; 1 failed, or --answer found nothing; 2 wrong usage; 130 ended by "
        "Ctrl-C\n"
        "\n"
        "examples:\n"
        "  troupe simulate capacity -m deepseek-v3 --nodes 8,16,32 --rate 20 --svg plot.svg\n"
        "  troupe simulate capacity -m deepseek-v3 --answer --rate 40 --failures rsc1 --json "
        "a.json\n",
};

} // namespace

result<std::vector<uint32_t>> parse_node_counts(std::string_view list) {
  std::vector<uint32_t> out;
  for (;;) {
    const size_t comma = std::min(list.find(','), list.size());
    uint32_t count = 0;
    const std::string_view word = list.substr(0, comma);
    if (!parse_value(word, count).ok() || count == 0 || count > capacity::devices_max)
      return fail(status_code::invalid_argument,
                  text("--nodes: '", word, "' is no number of nodes; give numbers from 1 to ",
                       capacity::devices_max, " such as 4,8,16"));
    out.push_back(count);
    if (comma == list.size()) return out;
    list.remove_prefix(comma + 1);
  }
}

std::unique_ptr<command> make_simulate_capacity() {
  return make_command<simulate_capacity_settings>(info, run_simulate_capacity);
}

} // namespace troupe::cli
