// Files, signals and processes around the pure parts of the simulations.
#include "cli/simulate_runs.hpp"

#include "base/text.hpp"
#include "cli/worker_pool.hpp"
#include "simulations/faults/expansion.hpp"
#include "simulations/runner/result_text.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace troupe::cli {
namespace {

constexpr size_t file_bytes_max = 4 << 20;

bool is_path(std::string_view name) {
  return name.ends_with(".toml") || name.find('/') != std::string_view::npos;
}

status refused(std::string_view what, const std::string& path) {
  return status(status_code::unavailable, text(what, " ", path, ": ", std::strerror(errno)));
}

} // namespace

result<simulations::scenario> load_scenario(const storage::file_system& files,
                                            const std::string& name) {
  if (is_path(name)) {
    const auto bytes = files.read_text(name, file_bytes_max);
    if (!bytes) return fail(bytes.error());
    auto out = simulations::parse_scenario(*bytes, name);
    if (out && out->name.empty()) {
      const size_t slash = name.rfind('/');
      const std::string file = slash == std::string::npos ? name : name.substr(slash + 1);
      out->name = file.substr(0, file.rfind(".toml"));
    }
    return out;
  }
  std::vector<std::string_view> names;
  for (const auto& each : simulations::built_in_scenarios()) {
    if (each.name == name) return simulations::parse_scenario(each.text, text(name, ".toml"));
    names.push_back(each.name);
  }
  const std::string near = nearest_name(name, names);
  return fail(
      status_code::invalid_argument,
      text("'", name, "' is no scenario", near.empty() ? "" : text("; did you mean ", near, "?"),
           " (troupe simulate list names them; a file ends in .toml)"));
}

result<std::vector<simulations::scenario>> load_scenarios(const storage::file_system& files,
                                                          const std::vector<std::string>& names) {
  std::vector<std::string> wanted;
  for (const auto& name : names)
    if (name != "all") wanted.push_back(name);
  if (wanted.size() != names.size() || names.empty())
    for (const auto& each : simulations::built_in_scenarios()) wanted.emplace_back(each.name);
  std::vector<simulations::scenario> out;
  for (const auto& name : wanted) {
    auto one = load_scenario(files, name);
    if (!one) return fail(one.error());
    out.push_back(std::move(*one));
  }
  return out;
}

result<simulations::plan_file> load_plan(const storage::file_system& files,
                                         const std::string& path) {
  const auto bytes = files.read_text(path, file_bytes_max);
  if (!bytes) return fail(bytes.error());
  return simulations::parse_plan(*bytes, path);
}

void set_nodes(simulations::scenario& about, uint32_t nodes) {
  auto& cluster = about.cluster;
  cluster.nodes = nodes;
  while (cluster.voters > nodes) cluster.voters -= 2;
  cluster.doors = std::min(cluster.doors, nodes);
  for (auto& each : about.antagonists) {
    const bool is_number = each.target.find_first_not_of("0123456789") == std::string::npos;
    if (is_number && std::stoul(each.target) >= nodes) each.target = "any";
  }
}

status make_directory(const std::string& path) {
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at < path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0777) != 0 && errno != EEXIST) return refused("cannot make", part);
  }
  return {};
}

status write_file(const std::string& path, std::string_view bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return refused("cannot write", path);
  output to(fd, path);
  status out = to.write(bytes);
  if (::close(fd) != 0 && out.ok()) out = refused("cannot write", path);
  return out;
}

simulations::run_result broken_run(const simulations::run_spec& spec, const std::string& death,
                                   bool hung) {
  simulations::run_result out;
  out.seed = spec.seed;
  out.strategy = simulations::resolve(spec.strategy.kind, spec.seed);
  out.violations.push_back(
      {.invariant = hung ? "HARNESS" : "CHECK", .what = death, .when = time_point{}});
  return out;
}

simulations::run_function isolated_runs(const clock& time) {
  return [&time](const simulations::run_spec& spec) {
    simulations::run_result out;
    pool_options options{.items = 1};
    options.item_max = run_real_time_max;
    options.work = [&](uint64_t) { return simulations::write_result(simulations::run_once(spec)); };
    options.done = [&](work_report report) {
      if (!report.bytes) {
        out = broken_run(spec, report.death, report.hung);
        return;
      }
      auto parsed = simulations::parse_result(*report.bytes);
      out = parsed ? std::move(*parsed) : broken_run(spec, parsed.error().why(), true);
    };
    if (const auto ran = run_pool(options, time); !ran.ok())
      out = broken_run(spec, ran.why(), true);
    out.plan = spec.plan ? *spec.plan : simulations::expand(spec.what, spec.seed);
    return out;
  };
}

stop_request::stop_request(signal_watch& signals)
    : asked_(std::make_shared<std::atomic<bool>>(false)),
      scope_(signals, [asked = asked_](int) { return !asked->exchange(true); }) {}

uint32_t processors() {
  const long count = ::sysconf(_SC_NPROCESSORS_ONLN);
  return static_cast<uint32_t>(std::clamp(count, 1L, 1024L));
}

} // namespace troupe::cli
