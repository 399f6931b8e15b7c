// Looks at files, once or again and again.
#include "cli/ingest.hpp"

#include "base/text.hpp"
#include "cli/http_setup.hpp"
#include "cli/ingest_files.hpp"
#include "cli/ingest_setup.hpp"
#include "cli/program.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>

namespace troupe::cli {
namespace {

constexpr duration look_every = std::chrono::milliseconds(500);
constexpr size_t files_max = 1 << 20; // of one folder

// The files themselves, and those that lie in the folders now, sorted by name. Hidden ones are left
// alone: tools write under such names what is not finished.
result<std::vector<std::string>> files_now(const std::vector<std::string>& named) {
  std::vector<std::string> out;
  for (const auto& path : named) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      out.push_back(path);
      continue;
    }
    std::vector<std::string> inside;
    std::filesystem::directory_iterator entry(path, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      std::error_code ignored;
      const bool hidden = entry->path().filename().string().starts_with('.');
      if (!hidden && entry->is_regular_file(ignored)) inside.push_back(entry->path().string());
      if (inside.size() > files_max)
        return fail(status_code::exhausted, text(path, ": holds more than ", files_max, " files"));
    }
    if (error)
      return fail(status_code::unavailable, text(path, ": cannot list: ", error.message()));
    std::sort(inside.begin(), inside.end());
    out.insert(out.end(), inside.begin(), inside.end());
  }
  return out;
}

class intake {
public:
  intake(program& context, const ingest_settings& settings, storage::ingest_log& log)
      : context_(context),
        settings_(settings),
        files_(log, {.domain = settings.domain, .separator = settings.separator},
               [&context](const std::string& line) { (void)context.err.write(line + "\n"); }) {}

  // Until a signal comes. A full log is waited for; a file that has gone is no trouble.
  status follow(stop_request& stop) {
    while (!stop.heard()) {
      const status looked = look(false);
      const bool full = looked.code() == status_code::exhausted;
      if (!looked.ok() && !full) return looked;
      if (full && !full_) (void)context_.err.write(text(looked.why(), "; waiting for room\n"));
      full_ = full;
      if (files_.figures().documents != said_) {
        said_ = files_.figures().documents;
        (void)context_.err.write(text(said_, " documents so far\n"));
      }
      stop.pause(look_every);
    }
    return {};
  }

  status look(bool whole) {
    const auto now = files_now(settings_.files);
    if (!now) return now.error();
    for (const auto& path : *now) {
      const status taken = files_.take(path, whole);
      if (taken.ok() || (!whole && taken.code() == status_code::not_found)) continue;
      return taken;
    }
    return {};
  }

  const ingest_file_figures& figures() const { return files_.figures(); }

private:
  program& context_;
  const ingest_settings& settings_;
  ingest_files files_;
  bool full_ = false;
  uint64_t said_ = 0;
};

int run_ingest(program& context, const ingest_settings& settings) {
  if (settings.files.empty())
    return context.complain(
        {status_code::invalid_argument, "troupe ingest needs a file or a folder to take in"},
        exit_usage);
  if (settings.into.empty())
    return context.complain({status_code::invalid_argument, "troupe ingest needs --into DIR"},
                            exit_usage);
  const auto opened = open_ingest(settings.into, settings.ingest_bytes.bytes);
  if (!opened && opened.error().code() == status_code::unavailable)
    return context.complain(
        {status_code::unavailable,
         text(opened.error().why(),
              "; a log has one writer: while troupe serve --ingest has it, send documents to POST "
              "/v1/data")});
  if (!opened) return context.complain(opened.error().within("--into"));
  intake taking(context, settings, *opened->log);
  stop_request stop;
  const signal_scope signals(context.signals, [&stop](int signal) { return stop.hear(signal); });
  const status done = settings.follow ? taking.follow(stop) : taking.look(true);
  const auto& figures = taking.figures();
  (void)context.out.write(text(figures.documents, " documents taken in, ", figures.unreadable,
                               " of them unreadable; the log ends at ", opened->log->counters().end,
                               "\n"));
  if (!done.ok()) return context.complain(done);
  return context.exit_after_output();
}

constexpr command_info info = {
    .name = "ingest",
    .section = "ingest",
    .summary = "puts files into a log of documents to learn from",
    .notes =
        "Every byte of a file is taken once: a second run takes what was added since, also when "
        "the file was\n"
        "renamed. A file that was shortened or written anew is read from its beginning. Lines that "
        "hold no\n"
        "document are kept as they are; troupe learn sets them aside with the reason.\n"
        "\n"
        "exit codes: 0 done, also when --follow was ended by a signal; 1 failed; 2 wrong usage\n"
        "\n"
        "example:\n"
        "  troupe ingest tales.jsonl more/ --into /var/lib/troupe/data\n"
        "  troupe learn --ingest /var/lib/troupe/data --out /tmp/learnt\n",
};

} // namespace

std::unique_ptr<command> make_ingest() {
  return make_command<ingest_settings>(info, run_ingest);
}

} // namespace troupe::cli
