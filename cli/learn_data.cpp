// Reading and tokenising.
#include "cli/learn_data.hpp"

#include "base/text.hpp"
#include "model/json_document.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
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

result<std::vector<int32_t>> tokens_of_document(const model::tokenizer& tokenizer,
                                                std::string_view document) {
  return tokenizer.encode(document, {.add_special_tokens = false, .special_tokens_as_text = true});
}

status learning_text::add(const model::tokenizer& tokenizer, const std::string& document) {
  auto tokens = tokens_of_document(tokenizer, document);
  if (!tokens) return tokens.error();
  pieces.add(std::move(*tokens), document.size());
  return {};
}

double learning_text::bits_per_byte(double nats) const {
  const uint64_t bytes = pieces.bytes();
  return bytes == 0 ? 0 : nats / std::numbers::ln2 / static_cast<double>(bytes);
}

result<named_file> parse_named_file(std::string_view flag, const std::string& from) {
  const size_t equals = from.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == from.size())
    return fail(status_code::invalid_argument,
                text(flag, " ", from, ": give a name and a file: german=held-out.txt"));
  return named_file{from.substr(0, equals), from.substr(equals + 1)};
}

result<learning_text> read_text_to_judge(const storage::file_system& files, const std::string& path,
                                         const model::tokenizer& tokenizer, uint32_t context,
                                         int32_t separator) {
  const auto documents = read_documents(files, {path}, tokenizer.eos_token());
  if (!documents) return fail(documents.error());
  learning_text out{.pieces = {context, separator}};
  for (const auto& document : *documents)
    if (const status added = out.add(tokenizer, document); !added.ok())
      return fail(added.within(path));
  if (out.pieces.bytes() == 0)
    return fail(status_code::invalid_argument, text(path, ": there is no document in it"));
  return out;
}

std::string shown_figure(double value) {
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), "%.4f", value);
  return out.data();
}

result<learning_data> cut_documents(const model::tokenizer& tokenizer,
                                    const std::vector<std::string>& documents, const cutting& how) {
  learning_data out{.training = {.pieces = {how.context, how.separator}},
                    .held_out = {.pieces = {how.context, how.separator}}};
  for (size_t i = 0; i < documents.size(); ++i) {
    const bool held = how.hold_out > 0 && i % how.hold_out == how.hold_out - 1;
    auto& into = held ? out.held_out : out.training;
    if (const status added = into.add(tokenizer, documents[i]); !added.ok())
      return fail(added.within(text("document ", i + 1)));
  }
  if (out.training.pieces.count() == 0)
    return fail(status_code::invalid_argument, "there is no document to learn from");
  return out;
}

} // namespace troupe::cli
