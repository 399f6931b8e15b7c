// From settings to a journal of requests.
#include "cli/journal_setup.hpp"

#include "base/text.hpp"

namespace troupe::cli {

result<running_journal> open_journal(const std::string& data_dir, const serve_settings& settings,
                                     const clock& time) {
  const storage::journal_options options{.bytes_max = settings.journal_bytes.bytes,
                                         .age_max_s = settings.journal_age};
  running_journal out;
  if (data_dir.empty()) {
    out.journal = std::make_shared<storage::request_journal>(time, options);
    return out;
  }
  auto disk = storage::posix_disk::open(text(data_dir, "/requests"));
  if (!disk) return fail(disk.error().within("--data-dir"));
  out.disk = std::move(*disk);
  out.worker = std::make_unique<storage::posix_io_worker>();
  auto journal = storage::request_journal::open(*out.disk, *out.worker, time, options);
  if (!journal) return fail(journal.error().within("--data-dir"));
  out.journal = std::move(*journal);
  return out;
}

} // namespace troupe::cli
