// What people keep as a secret is mostly digits that a tool made; a long text is one too.
#include "cli/cluster_secret.hpp"

#include "base/text.hpp"
#include "cli/private_file.hpp"

#include <algorithm>
#include <span>

namespace troupe::cli {
namespace {

constexpr size_t secret_file_bytes_max = 4096;

bool is_hex_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

} // namespace

result<transport::secret> parse_secret(std::string_view content, const std::string& where) {
  while (!content.empty() && std::string_view(" \t\r\n").find(content.back()) != std::string::npos)
    content.remove_suffix(1);
  transport::secret out;
  if (!content.empty() && content.size() % 2 == 0 &&
      std::all_of(content.begin(), content.end(), is_hex_digit)) {
    auto digits = transport::secret::from_hex(content);
    if (!digits) return fail(digits.error().within(where));
    out = std::move(*digits);
  } else {
    out = transport::secret(std::as_bytes(std::span(content.data(), content.size())));
  }
  if (out.size() < transport::cluster_key_bytes_min)
    return fail(status_code::invalid_argument,
                text(where, ": the secret has ", out.size(), " bytes; it must have at least ",
                     transport::cluster_key_bytes_min, " (", 2 * transport::cluster_key_bytes_min,
                     " hexadecimal digits): openssl rand -hex ", transport::cluster_key_bytes_min));
  return out;
}

result<transport::secret> cluster_secret(const program& context, const std::string& file) {
  if (!file.empty()) {
    const auto content = read_private_file(file, secret_file_bytes_max);
    if (!content) return fail(content.error().within("secret file"));
    return parse_secret(*content, file);
  }
  const auto variable = context.variables.find(secret_variable);
  if (variable == context.variables.end() || variable->second.empty())
    return fail(status_code::invalid_argument,
                text("no secret of the cluster is given: nobody joins without it; give "
                     "--secret-file, secret_file in the cluster file, or ",
                     secret_variable));
  return parse_secret(variable->second, secret_variable);
}

} // namespace troupe::cli
