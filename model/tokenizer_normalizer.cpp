// The normalizers of the tokenizers package, on ICU for the normal forms.
#include "model/tokenizer_normalizer.hpp"

#include "base/text.hpp"
#include "model/json_text.hpp"
#include "model/tokenizer_unicode.hpp"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>

#include <algorithm>

namespace troupe::model {
namespace {

// The reference normalizes by Unicode 9; whatever came later it leaves alone.
const icu::UnicodeSet& reference_characters(UErrorCode& error) {
  static const icu::UnicodeSet set = [&error] {
    icu::UnicodeSet made(icu::UnicodeString("[:age=9.0:]"), error);
    made.freeze();
    return made;
  }();
  return set;
}

status apply_form(const icu::Normalizer2* (*instance)(UErrorCode&), std::string& text_in) {
  const auto is_ascii = [](char byte) { return static_cast<uint8_t>(byte) < 0x80; };
  if (std::all_of(text_in.begin(), text_in.end(), is_ascii)) return {};
  if (text_in.size() > INT32_MAX) return {status_code::exhausted, "a text of 2 GiB or more"};
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* form = instance(error);
  const icu::UnicodeSet& characters = reference_characters(error);
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  if (U_SUCCESS(error)) {
    icu::FilteredNormalizer2(*form, characters)
        .normalizeUTF8(0, icu::StringPiece(text_in.data(), static_cast<int32_t>(text_in.size())),
                       sink, nullptr, error);
  }
  if (U_FAILURE(error)) {
    return {status_code::unavailable, text("Unicode normalization failed: ", u_errorName(error))};
  }
  text_in = std::move(out);
  return {};
}

// `rewrite` appends what stands for each code point.
template <class Rewrite>
std::string map_code_points(std::string_view text_in, Rewrite rewrite) {
  std::string out;
  out.reserve(text_in.size());
  for (size_t at = 0; at < text_in.size();) rewrite(next_code_point(text_in, at), out);
  return out;
}

// Without context, as the reference does it: no final sigma.
void append_lower(char32_t point, std::string& out) {
  if (point == 0x130) {
    out += "i\xCC\x87";
  } else {
    append_utf8(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(point))));
  }
}

void append_unaccented(char32_t point, std::string& out) {
  const auto c = static_cast<UChar32>(point);
  UVersionInfo age;
  u_charAge(c, age);
  const bool is_mark = (U_MASK(u_charType(c)) & U_GC_M_MASK) != 0 && age[0] <= 9;
  if (!is_mark) append_utf8(out, point);
}

// The rules of Google's neural machine translation: controls go, odd spaces become spaces.
void append_nmt(char32_t c, std::string& out) {
  if ((c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
      c == 0x9F) {
    return;
  }
  const bool becomes_space = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
                             (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                             c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
  append_utf8(out, becomes_space ? U' ' : c);
}

void strip(bool left, bool right, std::string& text_in) {
  size_t first = std::string::npos; // of what is not white
  size_t end = 0;
  for (size_t at = 0; at < text_in.size();) {
    const size_t begin = at;
    if (is_white_space(next_code_point(text_in, at))) continue;
    first = std::min(first, begin);
    end = at;
  }
  if (right) text_in.resize(end);
  if (left) text_in.erase(0, std::min(first, text_in.size()));
}

} // namespace

status replace_all(const regex& pattern, std::string_view content, regex_scratch& scratch,
                   std::string& text_in) {
  std::vector<text_range> matches;
  TROUPE_RETURN_IF_ERROR(pattern.find_all(text_in, scratch, matches));
  if (matches.empty()) return {};
  std::string out;
  size_t end = 0;
  for (const auto& match : matches) {
    out.append(text_in, end, match.begin - end);
    out += content;
    end = match.end;
  }
  out.append(text_in, end);
  text_in = std::move(out);
  return {};
}

result<regex> parse_pattern(const json_field& section, const char* name) {
  TROUPE_TAKE(const json_field pattern, section.object(name));
  const bool is_regex = !pattern.member("Regex").is_null();
  TROUPE_TAKE(const std::string source, pattern.string(is_regex ? "Regex" : "String"));
  auto compiled = is_regex ? regex::compile(source) : regex::compile_literal(source);
  if (!compiled) return pattern.fails(compiled.error().why(), compiled.error().code());
  return compiled;
}

result<text_normalizer> text_normalizer::parse(const json_field& section) {
  text_normalizer out;
  if (section.is_null()) return out;
  if (status failed = parse_into(section, out.steps_); !failed.ok()) return fail(std::move(failed));
  return out;
}

status text_normalizer::parse_into(const json_field& section, std::vector<step>& steps) {
  if (!section.value().is_object()) return section.fails("must be an object").value();
  const auto type = section.type();
  if (!type) return type.error();
  if (*type == "Sequence") {
    const auto list = section.array("normalizers");
    if (!list) return list.error();
    for (size_t i = 0; i < list->value().size(); ++i) {
      TROUPE_RETURN_IF_ERROR(parse_into(list->element(i), steps));
    }
    return {};
  }
  auto made = parse_step(section, *type);
  if (!made) return std::move(made).error();
  steps.push_back(std::move(*made));
  return {};
}

result<text_normalizer::step> text_normalizer::parse_step(const json_field& section,
                                                          const std::string& type) {
  if (type == "NFC") return step{step_kind::nfc};
  if (type == "NFD") return step{step_kind::nfd};
  if (type == "NFKC") return step{step_kind::nfkc};
  if (type == "NFKD") return step{step_kind::nfkd};
  if (type == "Lowercase") return step{step_kind::lowercase};
  if (type == "StripAccents") return step{step_kind::strip_accents};
  if (type == "ByteLevel") return step{step_kind::byte_level};
  if (type == "Nmt") return step{step_kind::nmt};
  if (type == "Strip") {
    step made{step_kind::strip};
    TROUPE_TAKE(made.left, section.boolean("strip_left"));
    TROUPE_TAKE(made.right, section.boolean("strip_right"));
    return made;
  }
  if (type == "Prepend") {
    step made{step_kind::prepend};
    TROUPE_TAKE(made.content, section.string("prepend"));
    return made;
  }
  if (type == "Replace") {
    step made{step_kind::replace};
    TROUPE_TAKE(made.content, section.string("content"));
    TROUPE_TAKE(regex pattern, parse_pattern(section, "pattern"));
    made.pattern.push_back(std::move(pattern));
    return made;
  }
  return section.member("type").fails(text("unknown normalizer '", type, "'"),
                                      status_code::unsupported);
}

result<std::string> text_normalizer::apply(std::string text_in, regex_scratch& scratch) const {
  for (const step& step : steps_) {
    if (status failed = apply_step(step, text_in, scratch); !failed.ok())
      return fail(std::move(failed));
  }
  return text_in;
}

status text_normalizer::apply_step(const step& step, std::string& text_in, regex_scratch& scratch) {
  switch (step.kind) {
    case step_kind::nfc:
      return apply_form(icu::Normalizer2::getNFCInstance, text_in);
    case step_kind::nfd:
      return apply_form(icu::Normalizer2::getNFDInstance, text_in);
    case step_kind::nfkc:
      return apply_form(icu::Normalizer2::getNFKCInstance, text_in);
    case step_kind::nfkd:
      return apply_form(icu::Normalizer2::getNFKDInstance, text_in);
    case step_kind::lowercase:
      text_in = map_code_points(text_in, append_lower);
      return {};
    case step_kind::strip_accents:
      text_in = map_code_points(text_in, append_unaccented);
      return {};
    case step_kind::nmt:
      text_in = map_code_points(text_in, append_nmt);
      return {};
    case step_kind::strip:
      strip(step.left, step.right, text_in);
      return {};
    case step_kind::prepend:
      if (!text_in.empty()) text_in.insert(0, step.content);
      return {};
    case step_kind::replace:
      return replace_all(step.pattern.front(), step.content, scratch, text_in);
    case step_kind::byte_level: {
      std::string out;
      for (const char byte : text_in) append_utf8(out, byte_to_letter(static_cast<uint8_t>(byte)));
      text_in = std::move(out);
      return {};
    }
  }
  return {};
}

} // namespace troupe::model
