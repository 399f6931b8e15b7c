// Tries the places relative to the executable.
#include "cli/built_in_model.hpp"

#include "base/text.hpp"

#include <filesystem>
#include <system_error>

namespace troupe::cli {

result<std::string> find_built_in_model(const storage::file_system& files,
                                        const std::string& executable) {
  const std::filesystem::path folder = std::filesystem::path(executable).parent_path();
  std::string tried;
  for (const char* relative : {"../../../models/tales", "../share/troupe/models/tales"}) {
    const std::string place = (folder / relative).lexically_normal().string();
    if (files.exists(place + "/config.json")) return place;
    tried += text(tried.empty() ? "" : " and ", place);
  }
  return fail(status_code::not_found,
              text("no --model was given and the built-in model is not there: looked in ", tried,
                   "; give --model PATH or set TROUPE_MODEL"));
}

std::string executable_path() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : path.string();
}

} // namespace troupe::cli
