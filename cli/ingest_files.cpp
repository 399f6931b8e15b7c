// Files are read and not mapped: who follows a file must bear that it is shortened.
#include "cli/ingest_files.hpp"

#include "base/text.hpp"
#include "schemas/checksum.hpp"
#include "server/ingest_body.hpp"
#include "storage/posix_descriptor.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <span>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace troupe::cli {
namespace {

constexpr size_t window_bytes = 4 << 20;              // read at once
constexpr size_t window_bytes_max = size_t{32} << 20; // for one document that is longer
constexpr size_t batch_documents_max = 4096;
constexpr size_t unreadable_bytes_max = 64 << 10; // kept of what cannot be read
constexpr size_t mark_bytes = 4096;               // before a place, by which it is known again
constexpr size_t source_bytes_max = 1000;

// As many of the bytes as are there.
result<std::string> read_at(int fd, const std::string& path, uint64_t offset, size_t bytes) {
  std::string out(bytes, '\0');
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got =
        ::pread(fd, out.data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(storage::refused_by_system(path, "read", errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  out.resize(done);
  return out;
}

uint64_t mark_of(std::string_view before) {
  before = before.substr(before.size() - std::min(before.size(), mark_bytes));
  return schemas::checksum_of(std::as_bytes(std::span(before)));
}

std::string_view without_line_ends(std::string_view text) {
  const auto is_end = [](char c) { return c == '\n' || c == '\r'; };
  while (!text.empty() && is_end(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_end(text.back())) text.remove_suffix(1);
  return text;
}

// The end of a long path says most.
std::string source_name(const std::string& path) {
  return path.size() <= source_bytes_max ? path : path.substr(path.size() - source_bytes_max);
}

schemas::ingest_document unreadable(std::string_view content, std::string why) {
  schemas::ingest_document out;
  out.text = content.substr(0, unreadable_bytes_max);
  out.fault = std::move(why);
  return out;
}

schemas::ingest_document document_of_line(std::string_view line) {
  auto read = server::parse_ingest_document(line);
  if (read) return std::move(*read);
  return unreadable(line, read.error().message);
}

} // namespace

bool holds_lines(std::string_view path) {
  return path.ends_with(".jsonl") || path.ends_with(".ndjson");
}

// A file that is being taken.
struct ingest_files::progress {
  const std::string& path;
  int fd = -1;
  uint64_t size = 0;
  std::string client = {};
  uint64_t offset = 0;     // of the first byte that was not taken
  bool anew = false;       // the next batch begins it again
  std::string before = {}; // the last bytes that were
};

status ingest_files::take(const std::string& path, bool whole) {
  const storage::posix_descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return storage::refused_by_system(path, "open", errno);
  struct stat facts = {};
  if (::fstat(file.get(), &facts) != 0)
    return storage::refused_by_system(path, "read its size", errno);
  if (!S_ISREG(facts.st_mode))
    return status(status_code::invalid_argument, text(path, ": is not a regular file"));
  progress at{.path = path, .fd = file.get(), .size = static_cast<uint64_t>(facts.st_size)};
  at.client = text("file ", facts.st_dev, " ", facts.st_ino);
  if (const auto known = log_.find_client(at.client)) {
    const uint64_t begin = known->sequence - std::min<uint64_t>(known->sequence, mark_bytes);
    auto before = read_at(at.fd, path, begin, known->sequence - begin);
    if (!before) return before.error();
    at.offset = known->sequence;
    at.before = std::move(*before);
    const bool shorter = at.size < known->sequence;
    if (shorter || mark_of(at.before) != known->mark) {
      if (begun_anew_.insert(at.client).second) {
        say_(text(path, shorter ? ": was shortened" : ": was written anew",
                  "; read from its beginning"));
        ++figures_.begun_anew;
      }
      at.offset = 0;
      at.before.clear();
      at.anew = true;
    }
  }
  const auto last_size = sizes_.find(at.client);
  const bool rests = last_size != sizes_.end() && last_size->second == at.size;
  sizes_[at.client] = at.size;
  return take_from(at, whole || (rests && !holds_lines(path)));
}

// Window by window. `whole`: what has no end ends with the file.
status ingest_files::take_from(progress& at, bool whole) {
  const bool lines = holds_lines(at.path);
  const std::string_view separator = lines ? std::string_view("\n") : options_.separator;
  size_t bytes = separator.empty() ? window_bytes_max : window_bytes;
  while (at.offset < at.size) {
    const auto window =
        read_at(at.fd, at.path, at.offset, std::min<uint64_t>(bytes, at.size - at.offset));
    if (!window) return window.error();
    const bool last = at.offset + window->size() >= at.size;
    schemas::ingest_batch batch;
    size_t taken = 0;
    while (taken < window->size() && batch.documents.size() < batch_documents_max) {
      const size_t found = separator.empty() ? std::string::npos : window->find(separator, taken);
      const bool cut_off = found == std::string::npos;
      const bool too_long = cut_off && taken == 0 && window->size() >= window_bytes_max && !last;
      if (cut_off && !too_long && !(last && whole)) break;
      const size_t end = cut_off ? window->size() : found;
      const auto content = without_line_ends(std::string_view(*window).substr(taken, end - taken));
      if (!content.empty()) {
        auto document = too_long ? unreadable(content, text("longer than ", window_bytes_max,
                                                            " bytes without an end"))
                        : lines  ? document_of_line(content)
                                 : schemas::ingest_document{};
        if (!lines && !too_long) document.text = content;
        if (document.domain.empty()) document.domain = options_.domain;
        document.source = source_name(at.path);
        document.position = at.offset + taken;
        batch.documents.push_back(std::move(document));
      }
      taken = cut_off ? end : end + separator.size();
    }
    if (taken == 0) {
      if (last || window->empty()) break; // waits for its end
      bytes = window_bytes_max;
      continue;
    }
    TROUPE_RETURN_IF_ERROR(keep(at, std::move(batch), std::string_view(*window).substr(0, taken)));
    bytes = separator.empty() ? window_bytes_max : window_bytes;
  }
  return {};
}

status ingest_files::keep(progress& at, schemas::ingest_batch batch, std::string_view taken) {
  at.offset += taken.size();
  at.before += taken;
  if (at.before.size() > mark_bytes) at.before.erase(0, at.before.size() - mark_bytes);
  if (batch.documents.empty()) return {}; // empty lines: they are looked at again
  batch.client = at.client;
  batch.sequence = at.offset;
  batch.mark = mark_of(at.before);
  batch.begins_anew = std::exchange(at.anew, false);
  const auto kept = log_.append(std::span(&batch, 1));
  if (!kept) return kept.error().within(at.path);
  begun_anew_.erase(at.client);
  figures_.documents += batch.documents.size();
  figures_.bytes += taken.size();
  for (const auto& each : batch.documents) figures_.unreadable += each.fault.empty() ? 0 : 1;
  return {};
}

} // namespace troupe::cli
