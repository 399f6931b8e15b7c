// UTF-8 and the few Unicode facts that tokenizing needs.
#include "model/tokenizer_unicode.hpp"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>

namespace troupe::model {
namespace {

enum class sequence_kind { valid, broken, unfinished };

struct sequence {
  sequence_kind kind;
  size_t length; // of the character, or of the longest prefix that could have been one
};

// The least and greatest second byte that can follow a lead byte; Unicode's table 3-7.
std::pair<uint8_t, uint8_t> second_byte_range(uint8_t lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {0x80, 0xBF};
  }
}

sequence look_at_sequence(std::string_view bytes, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[at + i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {sequence_kind::valid, 1};
  if (lead < 0xC2 || lead > 0xF4) return {sequence_kind::broken, 1};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  const auto [low, high] = second_byte_range(lead);
  for (size_t i = 1; i < length; ++i) {
    if (at + i >= bytes.size()) return {sequence_kind::unfinished, i};
    const bool fits = i == 1 ? byte(1) >= low && byte(1) <= high : (byte(i) & 0xC0) == 0x80;
    if (!fits) return {sequence_kind::broken, i};
  }
  return {sequence_kind::valid, length};
}

struct letter_tables {
  std::array<char32_t, 256> letter_of{};
  std::array<int16_t, 512> byte_of{};
};

constexpr letter_tables make_letter_tables() {
  letter_tables tables;
  for (auto& byte : tables.byte_of) byte = -1;
  char32_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const char32_t letter = printable ? static_cast<char32_t>(byte) : next++;
    tables.letter_of[static_cast<size_t>(byte)] = letter;
    tables.byte_of[letter] = static_cast<int16_t>(byte);
  }
  return tables;
}

constexpr letter_tables letters = make_letter_tables();

// The first letter of the general category, or 'C' for what has none.
char major_category(char32_t code_point) {
  const auto c = static_cast<UChar32>(code_point);
  const uint32_t mask = U_MASK(u_charType(c));
  if (mask & U_GC_L_MASK) return 'L';
  if (mask & U_GC_M_MASK) return 'M';
  if (mask & U_GC_N_MASK) return 'N';
  if (mask & U_GC_P_MASK) return 'P';
  if (mask & U_GC_S_MASK) return 'S';
  if (mask & U_GC_Z_MASK) return 'Z';
  if (mask & U_GC_CN_MASK) {
    const auto ranges = categories_since_unicode_14();
    const auto after = std::upper_bound(
        ranges.begin(), ranges.end(), code_point,
        [](char32_t point, const category_range& range) { return point < range.first; });
    if (after != ranges.begin() && code_point <= std::prev(after)->last) {
      return std::prev(after)->category[0];
    }
  }
  return 'C';
}

} // namespace

char32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) {
    return static_cast<char32_t>(static_cast<uint8_t>(text[at + i]));
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) {
    at += 1;
    return lead;
  }
  if (lead < 0xE0) {
    const char32_t point = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    at += 2;
    return point;
  }
  if (lead < 0xF0) {
    const char32_t point = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    at += 3;
    return point;
  }
  const char32_t point =
      (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  at += 4;
  return point;
}

void append_utf8(std::string& out, char32_t point) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((point >> shift) & 0x3F)); };
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | (point >> 6));
    tail(0);
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | (point >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

bool is_valid_utf8(std::string_view bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const sequence next = look_at_sequence(bytes, at);
    if (next.kind != sequence_kind::valid) return false;
    at += next.length;
  }
  return true;
}

void utf8_assembler::push(std::string_view bytes, std::string& out) {
  std::string joined;
  if (!pending_.empty()) {
    joined = std::move(pending_);
    pending_.clear();
    joined += bytes;
    bytes = joined;
  }
  for (size_t at = 0; at < bytes.size();) {
    const sequence next = look_at_sequence(bytes, at);
    if (next.kind == sequence_kind::unfinished) {
      pending_ = bytes.substr(at);
      return;
    }
    out +=
        next.kind == sequence_kind::valid ? bytes.substr(at, next.length) : replacement_character;
    at += next.length;
  }
}

void utf8_assembler::finish(std::string& out) {
  if (!pending_.empty()) out += replacement_character;
  pending_.clear();
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  utf8_assembler assembler;
  assembler.push(bytes, out);
  assembler.finish(out);
  return out;
}

char32_t byte_to_letter(uint8_t byte) {
  return letters.letter_of[byte];
}

int letter_to_byte(char32_t letter) {
  return letter < letters.byte_of.size() ? letters.byte_of[letter] : -1;
}

bool append_letter_bytes(std::string& out, std::string_view text) {
  const size_t size_before = out.size();
  for (size_t at = 0; at < text.size();) {
    const int byte = letter_to_byte(next_code_point(text, at));
    if (byte < 0) {
      out.resize(size_before);
      return false;
    }
    out += static_cast<char>(byte);
  }
  return true;
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_numeric(char32_t c) {
  return c < 0x80 ? c >= '0' && c <= '9' : major_category(c) == 'N';
}

bool is_punctuation(char32_t c) {
  if (c < 0x80)
    return u_charType(static_cast<UChar32>(c)) != U_CONTROL_CHAR && c != ' ' &&
           !u_isalnum(static_cast<UChar32>(c));
  return major_category(c) == 'P';
}

bool is_word_character(char32_t c) {
  const auto point = static_cast<UChar32>(c);
  if (u_hasBinaryProperty(point, UCHAR_ALPHABETIC) || c == 0x200C || c == 0x200D) return true;
  const auto type = u_charType(point);
  return (U_MASK(type) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

} // namespace troupe::model
