// A map from path to bytes behind the file seam.
#include "storage/memory_file_system.hpp"

#include "base/text.hpp"

#include <utility>

namespace troupe::storage {
namespace {

class memory_mapped_file final : public mapped_file {
public:
  explicit memory_mapped_file(std::shared_ptr<const std::string> content)
      : content_(std::move(content)) {}
  std::span<const std::byte> bytes() const override {
    return std::as_bytes(std::span<const char>(*content_));
  }

private:
  std::shared_ptr<const std::string> content_; // also held by the file system until removed
};

} // namespace

void memory_file_system::put(const std::string& path, std::string content) {
  files_[path] = std::make_shared<const std::string>(std::move(content));
}

void memory_file_system::remove(const std::string& path) {
  files_.erase(path);
}

result<memory_file_system::content_pointer> memory_file_system::find(
    const std::string& path) const {
  if (const auto entry = files_.find(path); entry != files_.end()) return entry->second;
  if (list(path))
    return fail(status_code::invalid_argument, text(path, ": is a directory, not a file"));
  return fail(status_code::not_found, text(path, ": cannot open: No such file or directory"));
}

result<std::unique_ptr<mapped_file>> memory_file_system::map(const std::string& path) const {
  auto content = find(path);
  if (!content) return fail(content.error());
  return std::make_unique<memory_mapped_file>(std::move(*content));
}

result<std::string> memory_file_system::read_text(const std::string& path, size_t bytes_max) const {
  const auto content = find(path);
  if (!content) return fail(content.error());
  if ((*content)->size() > bytes_max)
    return fail(status_code::exhausted, text(path, ": has ", (*content)->size(),
                                             " bytes, more than the ", bytes_max, " allowed"));
  return **content;
}

uint64_t memory_file_system::changed_at(const std::string&) const {
  return 0;
}

bool memory_file_system::exists(const std::string& path) const {
  return files_.count(path) != 0;
}

result<std::vector<std::string>> memory_file_system::list(const std::string& directory) const {
  const std::string prefix = directory.ends_with('/') ? directory : directory + "/";
  std::vector<std::string> names;
  for (auto file = files_.lower_bound(prefix); file != files_.end(); ++file) {
    if (!file->first.starts_with(prefix)) break;
    const std::string rest = file->first.substr(prefix.size());
    const std::string name = rest.substr(0, rest.find('/'));
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  if (names.empty())
    return fail(status_code::not_found,
                text(directory, ": cannot list: No such file or directory"));
  return names;
}

} // namespace troupe::storage
