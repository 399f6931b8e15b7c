// Decoding by hand, the same on every machine whatever its locale.
#include "dataflow/ingest/utf8.hpp"

#include <array>

namespace troupe::dataflow {
namespace {

struct block {
  char32_t first, last;
  script of;
};

// Ascending. What lies between is no letter.
constexpr std::array blocks = {
    block{'A', 'Z', script::latin},         block{'a', 'z', script::latin},
    block{0xAA, 0xAA, script::latin},       block{0xBA, 0xBA, script::latin},
    block{0xC0, 0xD6, script::latin},       block{0xD8, 0xF6, script::latin},
    block{0xF8, 0x24F, script::latin},      block{0x250, 0x2AF, script::latin},
    block{0x300, 0x36F, script::latin}, // accents that follow their letter
    block{0x370, 0x373, script::greek},     block{0x376, 0x377, script::greek},
    block{0x37B, 0x37D, script::greek},     block{0x37F, 0x37F, script::greek},
    block{0x386, 0x386, script::greek},     block{0x388, 0x3FF, script::greek},
    block{0x400, 0x481, script::cyrillic},  block{0x483, 0x52F, script::cyrillic},
    block{0x531, 0x587, script::other}, // Armenian
    block{0x591, 0x5BD, script::hebrew},    block{0x5D0, 0x5F2, script::hebrew},
    block{0x610, 0x61A, script::arabic},    block{0x620, 0x669, script::arabic},
    block{0x66E, 0x6D3, script::arabic},    block{0x6D5, 0x6FF, script::arabic},
    block{0x700, 0x8FF, script::other},     block{0x900, 0x963, script::indic},
    block{0x966, 0xDFF, script::indic},     block{0xE00, 0x10FF, script::other}, // Thai to Georgian
    block{0x1100, 0x11FF, script::hangul},  block{0x1200, 0x1DBF, script::other},
    block{0x1E00, 0x1EFF, script::latin},   block{0x1F00, 0x1FFF, script::greek},
    block{0x2C00, 0x2DFF, script::other},   block{0x3005, 0x3007, script::han},
    block{0x3041, 0x30FF, script::kana},    block{0x3105, 0x312F, script::other},
    block{0x3131, 0x318E, script::hangul},  block{0x3400, 0x4DBF, script::han},
    block{0x4E00, 0x9FFF, script::han},     block{0xA000, 0xABFF, script::other},
    block{0xAC00, 0xD7FB, script::hangul},  block{0xF900, 0xFAFF, script::han},
    block{0xFB1D, 0xFB4F, script::hebrew},  block{0xFB50, 0xFDFF, script::arabic},
    block{0xFE70, 0xFEFC, script::arabic},  block{0xFF21, 0xFF3A, script::latin},
    block{0xFF41, 0xFF5A, script::latin},   block{0xFF66, 0xFF9F, script::kana},
    block{0x10000, 0x1CFFF, script::other}, block{0x20000, 0x3FFFF, script::han},
};

// Bytes of a character by its first byte, and the smallest number that needs as many.
struct form {
  uint8_t bytes = 0; // 0: no first byte
  uint8_t bits = 0;  // of the first byte
  char32_t least = 0;
};

form form_of(uint8_t first) {
  if (first < 0x80) return {1, 0x7F, 0};
  if (first < 0xC2) return {};
  if (first < 0xE0) return {2, 0x1F, 0x80};
  if (first < 0xF0) return {3, 0x0F, 0x800};
  if (first < 0xF5) return {4, 0x07, 0x10000};
  return {};
}

// Written without spaces between words.
bool stands_alone(char32_t point) {
  const script of = script_of(point);
  return of == script::han || of == script::kana;
}

} // namespace

decoded_character character_at(std::string_view utf8, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(utf8[at + i]); };
  const form as = form_of(byte(0));
  if (as.bytes == 0 || utf8.size() - at < as.bytes) return {};
  char32_t point = byte(0) & as.bits;
  for (uint8_t i = 1; i < as.bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    point = point << 6 | (byte(i) & 0x3F);
  }
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (point < as.least || surrogate || point > 0x10FFFF) return {};
  return {point, as.bytes};
}

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto read = character_at(text, at);
    if (read.point == no_character) return false;
    at += read.bytes;
  }
  return true;
}

std::string_view name_of(script of) {
  static constexpr std::array<std::string_view, script_count + 1> names = {
      "latin", "greek", "cyrillic", "hebrew", "arabic", "indic",
      "han",   "kana",  "hangul",   "other",  "none"};
  return names[static_cast<size_t>(of)];
}

script script_of(char32_t point) {
  size_t low = 0;
  size_t high = blocks.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (blocks[middle].last < point)
      low = middle + 1;
    else
      high = middle;
  }
  return low < blocks.size() && blocks[low].first <= point ? blocks[low].of : script::none;
}

bool is_word_character(char32_t point) {
  return (point >= '0' && point <= '9') || script_of(point) != script::none;
}

char32_t in_small(char32_t point) {
  const auto within = [point](char32_t first, char32_t last) {
    return point >= first && point <= last;
  };
  if (within('A', 'Z') || within(0xC0, 0xD6) || within(0xD8, 0xDE)) return point + 32;
  if (within(0x391, 0x3A1) || within(0x3A3, 0x3AB)) return point + 32; // Greek
  if (within(0x410, 0x42F)) return point + 32;                         // Cyrillic
  if (within(0x400, 0x40F)) return point + 80;
  // Blocks in which capitals have even numbers and are followed by their small letters.
  const bool pairs = within(0x100, 0x137) || within(0x14A, 0x177) || within(0x460, 0x481) ||
                     within(0x48A, 0x4BF) || within(0x4D0, 0x52F) || within(0x1E00, 0x1EFF);
  if (pairs) return point | 1;
  const bool odd_pairs = within(0x139, 0x148) || within(0x179, 0x17E);
  if (odd_pairs) return point + (point & 1);
  return point;
}

void append_utf8(std::string& to, char32_t point) {
  const auto put = [&to](char32_t byte) { to += static_cast<char>(byte); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xC0 | point >> 6);
  } else {
    if (point < 0x10000) {
      put(0xE0 | point >> 12);
    } else {
      put(0xF0 | point >> 18);
      put(0x80 | (point >> 12 & 0x3F));
    }
    put(0x80 | (point >> 6 & 0x3F));
  }
  put(0x80 | (point & 0x3F));
}

bool word_scanner::next() {
  word_.clear();
  characters_ = 0;
  while (at_ < text_.size()) {
    const auto read = character_at(text_, at_);
    const bool in_word = read.point != no_character && is_word_character(read.point);
    if (!in_word && characters_ > 0) return true;
    const bool alone = in_word && stands_alone(read.point);
    if (alone && characters_ > 0) return true;
    at_ += read.bytes;
    if (!in_word) continue;
    append_utf8(word_, in_small(read.point));
    ++characters_;
    if (alone) return true;
  }
  return characters_ > 0;
}

} // namespace troupe::dataflow
