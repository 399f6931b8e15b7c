// The pre-tokenizers of the tokenizers package that byte-level and byte-fallback models use.
#include "model/pre_tokenizer.hpp"

#include "base/text.hpp"
#include "model/json_text.hpp"
#include "model/tokenizer_normalizer.hpp"
#include "model/tokenizer_unicode.hpp"

#include <algorithm>

namespace troupe::model {
namespace {

constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

result<split_behavior> parse_behavior(const json_field& section) {
  TROUPE_TAKE(const std::string name, section.string("behavior"));
  if (name == "Removed") return split_behavior::removed;
  if (name == "Isolated") return split_behavior::isolated;
  if (name == "MergedWithPrevious") return split_behavior::merged_with_previous;
  if (name == "MergedWithNext") return split_behavior::merged_with_next;
  if (name == "Contiguous") return split_behavior::contiguous;
  return section.member("behavior")
      .fails(text("unknown behavior '", name, "'"), status_code::unsupported);
}

result<char32_t> parse_letter(const json_field& section, const char* name) {
  TROUPE_TAKE(const std::string letter, section.string(name));
  size_t at = 0;
  const char32_t point = letter.empty() ? 0 : next_code_point(letter, at);
  if (letter.empty() || at != letter.size())
    return section.member(name).fails("must be one character");
  return point;
}

// Rebuilds the list: `cut` gets each piece that is no token and appends the ranges that stay of it.
template <class Cut>
status cut_pieces(piece_list& list, Cut cut) {
  std::vector<text_piece> pieces;
  pieces.reserve(list.pieces.size());
  std::vector<text_range> ranges;
  for (const text_piece& piece : list.pieces) {
    if (piece.token >= 0) {
      pieces.push_back(piece);
      continue;
    }
    ranges.clear();
    const std::string_view subject(list.text.data() + piece.begin, piece.end - piece.begin);
    if (status failed = cut(subject, ranges); !failed.ok()) return failed;
    for (const auto& range : ranges) {
      if (range.begin >= range.end) continue;
      pieces.push_back({piece.begin + range.begin, piece.begin + range.end, -1,
                        piece.at_start && range.begin == 0});
    }
  }
  list.pieces = std::move(pieces);
  return {};
}

// Rebuilds text and pieces: `rewrite` appends the new text of each piece that is no token.
template <class Rewrite>
void rewrite_pieces(piece_list& list, size_t growth, Rewrite rewrite) {
  std::string out;
  out.reserve(list.text.size() * growth + 16);
  for (text_piece& piece : list.pieces) {
    const size_t begin = out.size();
    const std::string_view before(list.text.data() + piece.begin, piece.end - piece.begin);
    if (piece.token >= 0) {
      out += before;
    } else {
      rewrite(piece, before, out);
    }
    piece.begin = begin;
    piece.end = out.size();
  }
  list.text = std::move(out);
}

// Fills the gaps between the matches, so that the parts cover the subject.
void to_parts(std::string_view subject, const std::vector<text_range>& matches,
              std::vector<split_part>& parts) {
  size_t end = 0;
  for (const auto& match : matches) {
    if (match.begin != end) parts.push_back({{end, match.begin}, false});
    parts.push_back({match, true});
    end = match.end;
  }
  if (end != subject.size()) parts.push_back({{end, subject.size()}, false});
}

// Splits where a predicate holds for single characters.
template <class Predicate>
status split_by_character(piece_list& list, split_behavior behavior, Predicate holds) {
  std::vector<text_range> matches;
  std::vector<split_part> parts;
  return cut_pieces(list, [&](std::string_view subject, std::vector<text_range>& ranges) -> status {
    matches.clear();
    parts.clear();
    for (size_t at = 0; at < subject.size();) {
      const size_t begin = at;
      if (holds(next_code_point(subject, at))) matches.push_back({begin, at});
    }
    to_parts(subject, matches, parts);
    ranges = apply_behavior(parts, behavior);
    return {};
  });
}

} // namespace

std::vector<text_range> apply_behavior(const std::vector<split_part>& parts,
                                       split_behavior behavior) {
  std::vector<text_range> out;
  out.reserve(parts.size());
  bool previous_matched = false;
  switch (behavior) {
    case split_behavior::isolated:
      for (const auto& part : parts) out.push_back(part.range);
      break;
    case split_behavior::removed:
      for (const auto& part : parts) {
        if (!part.is_match) out.push_back(part.range);
      }
      break;
    case split_behavior::contiguous:
      for (const auto& part : parts) {
        if (part.is_match == previous_matched && !out.empty()) {
          out.back().end = part.range.end;
        } else {
          out.push_back(part.range);
        }
        previous_matched = part.is_match;
      }
      break;
    case split_behavior::merged_with_previous:
      for (const auto& part : parts) {
        if (part.is_match && !previous_matched && !out.empty()) {
          out.back().end = part.range.end;
        } else {
          out.push_back(part.range);
        }
        previous_matched = part.is_match;
      }
      break;
    case split_behavior::merged_with_next:
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        if (part->is_match && !previous_matched && !out.empty()) {
          out.back().begin = part->range.begin;
        } else {
          out.push_back(part->range);
        }
        previous_matched = part->is_match;
      }
      std::reverse(out.begin(), out.end());
      break;
  }
  return out;
}

void map_bytes_to_letters(piece_list& list) {
  rewrite_pieces(list, 2, [](text_piece&, std::string_view before, std::string& out) {
    for (const char byte : before) append_utf8(out, byte_to_letter(static_cast<uint8_t>(byte)));
  });
}

result<pre_tokenizer> pre_tokenizer::parse(const json_field& section) {
  pre_tokenizer out;
  if (section.is_null()) return out;
  if (status failed = parse_into(section, out.steps_); !failed.ok()) return fail(std::move(failed));
  return out;
}

status pre_tokenizer::parse_into(const json_field& section, std::vector<step>& steps) {
  if (!section.value().is_object()) return section.fails("must be an object").value();
  const auto type = section.type();
  if (!type) return type.error();
  const auto add = [&](result<step> made) -> status {
    if (!made) return std::move(made).error();
    steps.push_back(std::move(*made));
    return {};
  };
  if (*type == "Sequence") {
    const auto list = section.array("pretokenizers");
    if (!list) return list.error();
    for (size_t i = 0; i < list->value().size(); ++i) {
      if (status failed = parse_into(list->element(i), steps); !failed.ok()) return failed;
    }
    return {};
  }
  if (*type == "Split") return add(parse_split(section));
  if (*type == "ByteLevel") return add(parse_byte_level(section));
  if (*type == "Metaspace") return add(parse_metaspace(section));
  if (*type == "Digits") {
    const auto individual = section.boolean("individual_digits");
    if (!individual) return individual.error();
    return add(
        step{.kind = step_kind::digits,
             .behavior = *individual ? split_behavior::isolated : split_behavior::contiguous});
  }
  if (*type == "Punctuation") {
    step made{.kind = step_kind::punctuation};
    if (!section.member("behavior").is_null()) {
      const auto behavior = parse_behavior(section);
      if (!behavior) return behavior.error();
      made.behavior = *behavior;
    }
    return add(std::move(made));
  }
  if (*type == "WhitespaceSplit") {
    return add(step{.kind = step_kind::white_space, .behavior = split_behavior::removed});
  }
  if (*type == "CharDelimiterSplit") {
    const auto delimiter = parse_letter(section, "delimiter");
    if (!delimiter) return delimiter.error();
    return add(step{
        .kind = step_kind::delimiter, .behavior = split_behavior::removed, .letter = *delimiter});
  }
  return section.member("type")
      .fails(text("unknown pre-tokenizer '", *type, "'"), status_code::unsupported)
      .value();
}

result<pre_tokenizer::step> pre_tokenizer::parse_split(const json_field& section) {
  step made{.kind = step_kind::split_by_pattern};
  TROUPE_TAKE(made.behavior, parse_behavior(section));
  TROUPE_TAKE(made.invert, section.boolean("invert"));
  TROUPE_TAKE(regex pattern, parse_pattern(section, "pattern"));
  made.pattern.push_back(std::move(pattern));
  return made;
}

result<pre_tokenizer::step> pre_tokenizer::parse_byte_level(const json_field& section) {
  step made{.kind = step_kind::byte_level};
  TROUPE_TAKE(made.add_prefix_space, section.boolean("add_prefix_space"));
  TROUPE_TAKE(made.splits, section.boolean("use_regex", true));
  if (made.splits) {
    TROUPE_TAKE(regex compiled, regex::compile(gpt2_pattern));
    made.pattern.push_back(std::move(compiled));
  }
  return made;
}

result<pre_tokenizer::step> pre_tokenizer::parse_metaspace(const json_field& section) {
  step made{.kind = step_kind::metaspace, .behavior = split_behavior::merged_with_next};
  TROUPE_TAKE(made.letter, parse_letter(section, "replacement"));
  TROUPE_TAKE(made.splits, section.boolean("split", true));
  TROUPE_TAKE(const auto scheme, section.optional_string("prepend_scheme"));
  TROUPE_TAKE(const bool add_prefix_space, section.boolean("add_prefix_space", true));
  if (scheme == "first") {
    made.prepend = prepend_scheme::first;
  } else if (scheme == "never") {
    made.prepend = prepend_scheme::never;
  } else if (scheme && *scheme != "always") {
    return section.member("prepend_scheme").fails(text("unknown scheme '", *scheme, "'"));
  }
  if (!add_prefix_space && made.prepend != prepend_scheme::never) {
    return section.member("add_prefix_space").fails("does not agree with prepend_scheme");
  }
  return made;
}

status pre_tokenizer::apply(piece_list& list, regex_scratch& scratch) const {
  for (const step& step : steps_) {
    status failed;
    switch (step.kind) {
      case step_kind::split_by_pattern:
        failed = split_by_pattern(step, list, scratch);
        break;
      case step_kind::byte_level:
        failed = apply_byte_level(step, list, scratch);
        break;
      case step_kind::metaspace:
        failed = apply_metaspace(step, list);
        break;
      case step_kind::digits:
        failed = split_by_character(list, step.behavior, is_numeric);
        break;
      case step_kind::punctuation:
        failed = split_by_character(list, step.behavior, is_punctuation);
        break;
      case step_kind::white_space:
        failed = split_by_character(list, step.behavior, is_white_space);
        break;
      case step_kind::delimiter:
        failed = split_by_character(list, step.behavior,
                                    [&step](char32_t letter) { return letter == step.letter; });
        break;
    }
    if (!failed.ok()) return failed;
  }
  return {};
}

status pre_tokenizer::split_by_pattern(const step& step, piece_list& list, regex_scratch& scratch) {
  std::vector<text_range> matches;
  std::vector<split_part> parts;
  return cut_pieces(list, [&](std::string_view subject, std::vector<text_range>& ranges) -> status {
    matches.clear();
    parts.clear();
    if (status failed = step.pattern.front().find_all(subject, scratch, matches); !failed.ok()) {
      return failed;
    }
    to_parts(subject, matches, parts);
    if (step.invert) {
      for (auto& part : parts) part.is_match = !part.is_match;
    }
    ranges = apply_behavior(parts, step.behavior);
    return {};
  });
}

status pre_tokenizer::apply_byte_level(const step& step, piece_list& list, regex_scratch& scratch) {
  if (step.add_prefix_space) {
    rewrite_pieces(list, 1, [](text_piece&, std::string_view before, std::string& out) {
      if (!before.starts_with(' ')) out += ' ';
      out += before;
    });
  }
  if (step.splits) TROUPE_RETURN_IF_ERROR(split_by_pattern(step, list, scratch));
  map_bytes_to_letters(list);
  return {};
}

status pre_tokenizer::apply_metaspace(const step& step, piece_list& list) {
  std::string replacement;
  append_utf8(replacement, step.letter);
  rewrite_pieces(list, 2, [&](const text_piece& piece, std::string_view before, std::string& out) {
    const bool starts_replaced = before.starts_with(replacement) || before.starts_with(' ');
    const bool wants = step.prepend == prepend_scheme::always ||
                       (step.prepend == prepend_scheme::first && piece.at_start);
    if (wants && !starts_replaced) out += replacement;
    for (const char byte : before) {
      if (byte == ' ') {
        out += replacement;
      } else {
        out += byte;
      }
    }
  });
  if (!step.splits) return {};
  return split_by_character(list, step.behavior,
                            [&step](char32_t letter) { return letter == step.letter; });
}

} // namespace troupe::model
