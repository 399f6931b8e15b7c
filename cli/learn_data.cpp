// Reading and tokenising.
#include "cli/learn_data.hpp"

#include "base/text.hpp"
#include "model/json_document.hpp"

#include <algorithm>
#include <numbers>

namespace troupe::cli {
namespace {

constexpr size_t file_bytes_max = size_t{1} << 30;

// The piece before the next separator; takes it and the separator off.
std::string_view take_until(std::string_view& rest, std::string_view separator) {
  const size_t end = separator.empty() ? std::string_view::npos : rest.find(separator);
  const std::string_view piece = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + separator.size());
  return piece;
}

std::string_view without_line_ends(std::string_view text) {
  const auto is_end = [](char c) { return c == '\n' || c == '\r'; };
  while (!text.empty() && is_end(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_end(text.back())) text.remove_suffix(1);
  return text;
}

status read_lines(const std::string& path, std::string_view content,
                  std::vector<std::string>& out) {
  for (size_t number = 1; !content.empty(); ++number) {
    const auto line = without_line_ends(take_until(content, "\n"));
    if (line.empty()) continue;
    const auto json = model::parse_json_object(line, text(path, ":", number));
    if (!json) return json.error();
    if (!json->contains("text") || !(*json)["text"].is_string()) {
      return status(status_code::corrupt,
                    text(path, ":", number, ": is no JSON object with a string named text"));
    }
    out.push_back((*json)["text"]);
  }
  return {};
}

} // namespace

result<std::vector<std::string>> read_documents(const storage::file_system& files,
                                                const std::vector<std::string>& paths,
                                                std::string_view separator) {
  std::vector<std::string> out;
  for (const auto& path : paths) {
    const auto content = files.read_text(path, file_bytes_max);
    if (!content) return fail(content.error());
    if (path.ends_with(".jsonl") || path.ends_with(".ndjson")) {
      if (const status read = read_lines(path, *content, out); !read.ok()) return fail(read);
      continue;
    }
    for (std::string_view rest = *content; !rest.empty();) {
      const auto document = without_line_ends(take_until(rest, separator));
      if (!document.empty()) out.emplace_back(document);
    }
  }
  return out;
}

double learning_text::bits_per_byte(double nats) const {
  return bytes == 0 ? 0 : nats / std::numbers::ln2 / static_cast<double>(bytes);
}

result<learning_data> cut_documents(const model::tokenizer& tokenizer,
                                    const std::vector<std::string>& documents, const cutting& how) {
  learning_data out{.training = {.pieces = {how.context, how.separator}, .bytes = 0},
                    .held_out = {.pieces = {how.context, how.separator}, .bytes = 0}};
  for (size_t i = 0; i < documents.size(); ++i) {
    const bool held = how.hold_out > 0 && i % how.hold_out == how.hold_out - 1;
    auto tokens = tokenizer.encode(documents[i],
                                   {.add_special_tokens = false, .special_tokens_as_text = true});
    if (!tokens) return fail(tokens.error().within(text("document ", i + 1)));
    auto& into = held ? out.held_out : out.training;
    into.bytes += documents[i].size();
    into.pieces.add(std::move(*tokens), documents[i].size());
  }
  if (out.training.pieces.count() == 0)
    return fail(status_code::invalid_argument, "there is no document to learn from");
  return out;
}

} // namespace troupe::cli
