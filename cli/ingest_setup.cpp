// Opening both sides.
#include "cli/ingest_setup.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "storage/ingest_commit.hpp"

#include <filesystem>

namespace troupe::cli {
namespace {

// How far the learner has come for good. Where that cannot be read nothing is thrown away.
uint64_t committed_in(const std::string& folder) {
  const std::string path = ingest_learner_folder(folder);
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return 0;
  const auto disk = storage::posix_disk::open_to_read(path);
  const auto offset =
      disk ? storage::read_ingest_commit(**disk) : result<uint64_t>(fail(disk.error()));
  if (offset) return *offset;
  log::warn(offset.error().why());
  return 0;
}

} // namespace

std::string ingest_log_folder(const std::string& folder) {
  return text(folder, "/log");
}

std::string ingest_learner_folder(const std::string& folder) {
  return text(folder, "/learner");
}

result<open_ingest_log> open_ingest(const std::string& folder, uint64_t bytes_max) {
  auto disk = storage::posix_disk::open(ingest_log_folder(folder));
  if (!disk) return fail(disk.error());
  auto log = storage::ingest_log::open(**disk, {.bytes_max = bytes_max, .limits = {}},
                                       [folder] { return committed_in(folder); });
  if (!log) return fail(log.error().within(ingest_log_folder(folder)));
  return open_ingest_log{std::move(*disk), std::move(*log)};
}

result<running_ingest> start_ingest(const std::string& folder, uint64_t bytes_max) {
  auto opened = open_ingest(folder, bytes_max);
  if (!opened) return fail(opened.error());
  running_ingest out{.disk = std::move(opened->disk),
                     .worker = std::make_unique<storage::posix_io_worker>(),
                     .queue = nullptr};
  out.queue = std::make_shared<storage::ingest_queue>(std::move(opened->log), *out.worker);
  return out;
}

} // namespace troupe::cli
