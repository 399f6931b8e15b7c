// Looks at what is there and at the room there is.
#include "cli/new_folder.hpp"

#include "base/text.hpp"
#include "cli/option_value.hpp"

#include <filesystem>

namespace troupe::cli {

status check_new_folder(const std::string& folder, uint64_t bytes) {
  std::error_code error;
  const std::filesystem::path path(folder);
  if (std::filesystem::exists(path, error)) {
    if (!std::filesystem::is_directory(path, error))
      return status(status_code::invalid_argument, text(folder, ": is a file, not a folder"));
    if (!std::filesystem::is_empty(path, error) || error)
      return status(status_code::invalid_argument,
                    error ? text(folder, ": ", error.message())
                          : text(folder, ": is not empty; remove it or give another --out"));
  }
  auto parent = std::filesystem::absolute(path, error).lexically_normal();
  if (parent.filename().empty()) parent = parent.parent_path();
  const auto space = std::filesystem::space(parent.parent_path(), error);
  if (!error && space.available < bytes)
    return status(status_code::exhausted,
                  text(folder, ": needs ", human_bytes(bytes), " of disk, where ",
                       human_bytes(space.available), " are free"));
  return {};
}

} // namespace troupe::cli
