// Lines are appended; what a crash has left of one is cut off.
#include "cli/quarantine.hpp"

#include "base/text.hpp"
#include "server/json_text.hpp"

#include <algorithm>
#include <charconv>
#include <span>

namespace troupe::cli {
namespace {

constexpr std::string_view prefix = "quarantine-";
constexpr std::string_view suffix = ".jsonl";
constexpr const char* scratch_name = "quarantine.new";

struct file_number {
  uint64_t run = 0;
  uint64_t part = 0;
  auto operator<=>(const file_number&) const = default;
};

std::optional<file_number> number_of(std::string_view name) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  name.remove_suffix(suffix.size());
  file_number out;
  const auto* const end = name.data() + name.size();
  const auto run = std::from_chars(name.data(), end, out.run);
  if (run.ec != std::errc{} || run.ptr == end || *run.ptr != '-') return std::nullopt;
  const auto part = std::from_chars(run.ptr + 1, end, out.part);
  if (part.ec != std::errc{} || part.ptr != end) return std::nullopt;
  return out;
}

std::string line_of(const dataflow::rejected_document& rejected) {
  const auto& document = rejected.document;
  return server::dump({{"offset", rejected.offset},
                       {"reason", rejected.why.counted_as()},
                       {"detail", rejected.why.detail},
                       {"source", document.source},
                       {"position", document.position},
                       {"id", document.id},
                       {"domain", document.domain},
                       {"text", document.text}}) +
         "\n";
}

} // namespace

std::string quarantine::name_of(uint64_t run, uint64_t part) const {
  return text(prefix, run, "-", part, suffix);
}

status quarantine::find_files() {
  if (std::exchange(looked_, true)) return {};
  const auto names = folder_.list();
  if (!names) return names.error();
  file_number last;
  for (const auto& name : *names) {
    const auto number = number_of(name);
    if (!number) continue;
    last = std::max(last, *number);
    const auto bytes = folder_.read(name);
    if (!bytes) return bytes.error();
    bytes_all_ += bytes->size();
  }
  run_ = last.run;
  part_ = last.part;
  return {};
}

status quarantine::resume() {
  TROUPE_RETURN_IF_ERROR(find_files());
  if (run_ == 0) return {};
  return read_part(name_of(run_, part_));
}

status quarantine::read_part(const std::string& name) {
  const auto bytes = folder_.read(name);
  if (!bytes) return bytes.error();
  const std::string_view all(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  const size_t whole = all.rfind('\n') == std::string_view::npos ? 0 : all.rfind('\n') + 1;
  if (whole < all.size()) {
    TROUPE_RETURN_IF_ERROR(folder_.write(scratch_name, std::span(*bytes).first(whole)));
    TROUPE_RETURN_IF_ERROR(folder_.sync(scratch_name));
    TROUPE_RETURN_IF_ERROR(folder_.rename(scratch_name, name));
    TROUPE_RETURN_IF_ERROR(folder_.sync_directory());
    bytes_all_ -= all.size() - whole;
  }
  bytes_ = whole;
  if (whole == 0) return {};
  const size_t before = whole >= 2 ? all.rfind('\n', whole - 2) : std::string_view::npos;
  const size_t begin = before == std::string_view::npos ? 0 : before + 1;
  const auto line = server::parse_object(all.substr(begin, whole - 1 - begin), {});
  if (!line || !line->contains("offset") || !(*line)["offset"].is_number_unsigned())
    return status(status_code::corrupt, text(name, ": its last line is none of a quarantine"));
  last_ = (*line)["offset"].get<uint64_t>();
  return {};
}

status quarantine::put(const dataflow::rejected_document& rejected) {
  if (last_ && rejected.offset <= *last_) return {}; // the run was restored from before
  TROUPE_RETURN_IF_ERROR(find_files());
  const std::string line = line_of(rejected);
  if (bytes_all_ + line.size() > bytes_max_)
    return status(status_code::exhausted,
                  text("the quarantine holds ", bytes_all_, " of ", bytes_max_,
                       " bytes; look through its files and move them away"));
  const bool goes_on = bytes_ > 0 && bytes_ < part_bytes;
  const bool same_run = bytes_ > 0 || last_.has_value();
  if (!goes_on) {
    TROUPE_RETURN_IF_ERROR(sync());
    part_ = same_run ? part_ + 1 : 1;
    run_ += same_run ? 0 : 1;
    bytes_ = 0;
  }
  const std::string name = name_of(run_, part_);
  const auto content = std::as_bytes(std::span(line));
  TROUPE_RETURN_IF_ERROR(goes_on ? folder_.append(name, content) : folder_.write(name, content));
  unsynced_ = true;
  bytes_ += line.size();
  bytes_all_ += line.size();
  last_ = rejected.offset;
  return {};
}

status quarantine::sync() {
  if (!unsynced_) return {};
  TROUPE_RETURN_IF_ERROR(folder_.sync(name_of(run_, part_)));
  TROUPE_RETURN_IF_ERROR(folder_.sync_directory());
  unsynced_ = false;
  return {};
}

} // namespace troupe::cli
