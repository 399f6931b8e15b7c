// Decoding of blocks. Every product and sum is an f32 operation of its own in the order of the
// format's definition, so that all machines get the same weights.
#include "model/gguf/block_formats.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace troupe::model {
namespace {

using compute::weight_format;

float half_at(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return compute::f16_to_f32(bits);
}

uint32_t byte_at(const std::byte* at) {
  return std::to_integer<uint32_t>(*at);
}

float signed_at(const std::byte* at) {
  return static_cast<float>(static_cast<int8_t>(byte_at(at)));
}

// ---- blocks of 32 with one scale; `shift` is what stands for zero ----

void decode_q8_0(const std::byte* block, float* values) {
  const float scale = half_at(block);
  for (uint32_t i = 0; i < 32; ++i) values[i] = signed_at(block + 2 + i) * scale;
}

// The low half of byte i is weight i, the high half weight i + 16.
void decode_q4_0(const std::byte* block, float* values) {
  const float scale = half_at(block);
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t pair = byte_at(block + 2 + i);
    values[i] = (static_cast<float>(pair & 15) - 8.0f) * scale;
    values[i + 16] = (static_cast<float>(pair >> 4) - 8.0f) * scale;
  }
}

void decode_q4_1(const std::byte* block, float* values) {
  const float scale = half_at(block), least = half_at(block + 2);
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t pair = byte_at(block + 4 + i);
    values[i] = static_cast<float>(pair & 15) * scale + least;
    values[i + 16] = static_cast<float>(pair >> 4) * scale + least;
  }
}

// Four bits as above and the fifth of each weight in a word of 32 bits.
uint32_t fifth_bits(const std::byte* at) {
  uint32_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}

void decode_q5_0(const std::byte* block, float* values) {
  const float scale = half_at(block);
  const uint32_t high = fifth_bits(block + 2);
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t pair = byte_at(block + 6 + i);
    const uint32_t first = (pair & 15) | (high >> i & 1) << 4;
    const uint32_t second = pair >> 4 | (high >> (i + 16) & 1) << 4;
    values[i] = (static_cast<float>(first) - 16.0f) * scale;
    values[i + 16] = (static_cast<float>(second) - 16.0f) * scale;
  }
}

void decode_q5_1(const std::byte* block, float* values) {
  const float scale = half_at(block), least = half_at(block + 2);
  const uint32_t high = fifth_bits(block + 4);
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t pair = byte_at(block + 8 + i);
    const uint32_t first = (pair & 15) | (high >> i & 1) << 4;
    const uint32_t second = pair >> 4 | (high >> (i + 16) & 1) << 4;
    values[i] = static_cast<float>(first) * scale + least;
    values[i + 16] = static_cast<float>(second) * scale + least;
  }
}

// Sixteen fixed steps, unevenly spaced.
void decode_iq4_nl(const std::byte* block, float* values) {
  constexpr std::array<float, 16> steps = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};
  const float scale = half_at(block);
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t pair = byte_at(block + 2 + i);
    values[i] = scale * steps[pair & 15];
    values[i + 16] = scale * steps[pair >> 4];
  }
}

// ---- super-blocks of 256 whose parts have small scales of their own ----

// 16 parts of 16: a byte of scale (low half) and minimum (high half) each, 64 bytes of two-bit
// weights, then the scale of the scales and that of the minima.
void decode_q2_k(const std::byte* block, float* values) {
  const float scale = half_at(block + 80), minimum = half_at(block + 82);
  for (uint32_t part = 0; part < 16; ++part) {
    const uint32_t factors = byte_at(block + part);
    const float step = scale * static_cast<float>(factors & 15);
    const float least = minimum * static_cast<float>(factors >> 4);
    // Every 128 weights lie in 32 bytes, the first 32 of them in the lowest two bits.
    const uint32_t half = part / 8, shift = part % 8 / 2 * 2, column = part % 2 * 16;
    for (uint32_t i = 0; i < 16; ++i) {
      const uint32_t q = byte_at(block + 16 + half * 32 + column + i) >> shift & 3;
      values[part * 16 + i] = step * static_cast<float>(q) - least;
    }
  }
}

// 16 parts of 16 with six-bit scales, the third bit of the weights apart: a missing one means -4.
void decode_q3_k(const std::byte* block, float* values) {
  const float scale = half_at(block + 108);
  for (uint32_t part = 0; part < 16; ++part) {
    const uint32_t low = byte_at(block + 96 + part % 8) >> (part / 8 * 4) & 15;
    const uint32_t high = byte_at(block + 104 + part % 4) >> (part / 4 * 2) & 3;
    const float step = scale * (static_cast<float>(low | high << 4) - 32.0f);
    const uint32_t half = part / 8, shift = part % 8 / 2 * 2, column = part % 2 * 16;
    for (uint32_t i = 0; i < 16; ++i) {
      const uint32_t q = byte_at(block + 32 + half * 32 + column + i) >> shift & 3;
      const uint32_t third = byte_at(block + column + i) >> (half * 4 + shift / 2) & 1;
      values[part * 16 + i] = step * (static_cast<float>(q) - (third != 0 ? 0.0f : 4.0f));
    }
  }
}

struct step_and_least {
  float step, least;
};

// Of part 0 … 7 of a Q4_K or Q5_K block: six bits each, packed into twelve bytes.
step_and_least part_factors(const std::byte* block, uint32_t part) {
  const std::byte* packed = block + 4;
  const auto six_bits = [packed](uint32_t low, uint32_t high, uint32_t shift) {
    return (byte_at(packed + low) >> shift & 15) | (byte_at(packed + high) >> 6) << 4;
  };
  const uint32_t step = part < 4 ? byte_at(packed + part) & 63 : six_bits(part + 4, part - 4, 0);
  const uint32_t least = part < 4 ? byte_at(packed + part + 4) & 63 : six_bits(part + 4, part, 4);
  return {half_at(block) * static_cast<float>(step),
          half_at(block + 2) * static_cast<float>(least)};
}

// 8 parts of 32; two neighbours share 32 bytes, the first in the low halves.
void decode_q4_k(const std::byte* block, float* values) {
  for (uint32_t part = 0; part < 8; ++part) {
    const auto [step, least] = part_factors(block, part);
    const std::byte* bytes = block + 16 + part / 2 * 32;
    for (uint32_t i = 0; i < 32; ++i) {
      const uint32_t q = byte_at(bytes + i) >> (part % 2 * 4) & 15;
      values[part * 32 + i] = step * static_cast<float>(q) - least;
    }
  }
}

// As before, with the fifth bits in 32 bytes of their own, one bit a part.
void decode_q5_k(const std::byte* block, float* values) {
  for (uint32_t part = 0; part < 8; ++part) {
    const auto [step, least] = part_factors(block, part);
    const std::byte* bytes = block + 48 + part / 2 * 32;
    for (uint32_t i = 0; i < 32; ++i) {
      const uint32_t fifth = byte_at(block + 16 + i) >> part & 1;
      const uint32_t q = (byte_at(bytes + i) >> (part % 2 * 4) & 15) | fifth << 4;
      values[part * 32 + i] = step * static_cast<float>(q) - least;
    }
  }
}

// 16 parts of 16 with one signed byte of scale each; four low bits, then two high bits of a weight.
void decode_q6_k(const std::byte* block, float* values) {
  const float scale = half_at(block + 208);
  for (uint32_t part = 0; part < 16; ++part) {
    const float step = scale * signed_at(block + 192 + part);
    const uint32_t half = part / 8, quarter = part % 8 / 2, column = part % 2 * 16;
    const std::byte* low = block + half * 64 + quarter % 2 * 32 + column;
    const std::byte* high = block + 128 + half * 32 + column;
    for (uint32_t i = 0; i < 16; ++i) {
      const uint32_t q = (byte_at(low + i) >> (quarter / 2 * 4) & 15) |
                         (byte_at(high + i) >> (quarter * 2) & 3) << 4;
      values[part * 16 + i] = step * (static_cast<float>(q) - 32.0f);
    }
  }
}

constexpr std::array<block_format, 32> formats = {{
    {.number = 0, .name = "F32", .bytes = 4, .type = compute::dtype::f32},
    {.number = 1, .name = "F16", .bytes = 2, .type = compute::dtype::f16},
    {.number = 2,
     .name = "Q4_0",
     .elements = 32,
     .bytes = 18,
     .decode = decode_q4_0,
     .kept_as = weight_format::int4},
    {.number = 3, .name = "Q4_1", .elements = 32, .bytes = 20, .decode = decode_q4_1},
    {.number = 6, .name = "Q5_0", .elements = 32, .bytes = 22, .decode = decode_q5_0},
    {.number = 7, .name = "Q5_1", .elements = 32, .bytes = 24, .decode = decode_q5_1},
    {.number = 8, .name = "Q8_0", .elements = 32, .bytes = 34, .decode = decode_q8_0},
    {.number = 10, .name = "Q2_K", .elements = 256, .bytes = 84, .decode = decode_q2_k},
    {.number = 11, .name = "Q3_K", .elements = 256, .bytes = 110, .decode = decode_q3_k},
    {.number = 12, .name = "Q4_K", .elements = 256, .bytes = 144, .decode = decode_q4_k},
    {.number = 13, .name = "Q5_K", .elements = 256, .bytes = 176, .decode = decode_q5_k},
    {.number = 14, .name = "Q6_K", .elements = 256, .bytes = 210, .decode = decode_q6_k},
    {.number = 15, .name = "Q8_K", .elements = 256, .bytes = 292},
    {.number = 16, .name = "IQ2_XXS", .elements = 256, .bytes = 66},
    {.number = 17, .name = "IQ2_XS", .elements = 256, .bytes = 74},
    {.number = 18, .name = "IQ3_XXS", .elements = 256, .bytes = 98},
    {.number = 19, .name = "IQ1_S", .elements = 256, .bytes = 50},
    {.number = 20, .name = "IQ4_NL", .elements = 32, .bytes = 18, .decode = decode_iq4_nl},
    {.number = 21, .name = "IQ3_S", .elements = 256, .bytes = 110},
    {.number = 22, .name = "IQ2_S", .elements = 256, .bytes = 82},
    {.number = 23, .name = "IQ4_XS", .elements = 256, .bytes = 136},
    {.number = 24, .name = "I8", .bytes = 1},
    {.number = 25, .name = "I16", .bytes = 2},
    {.number = 26, .name = "I32", .bytes = 4},
    {.number = 27, .name = "I64", .bytes = 8},
    {.number = 28, .name = "F64", .bytes = 8},
    {.number = 29, .name = "IQ1_M", .elements = 256, .bytes = 56},
    {.number = 30, .name = "BF16", .bytes = 2, .type = compute::dtype::bf16},
    {.number = 34, .name = "TQ1_0", .elements = 256, .bytes = 54},
    {.number = 35, .name = "TQ2_0", .elements = 256, .bytes = 66},
    {.number = 39, .name = "MXFP4", .elements = 32, .bytes = 17},
    {.number = 40, .name = "NVFP4", .elements = 64, .bytes = 36},
}};

} // namespace

const block_format* find_block_format(uint32_t number) {
  const auto* at = std::find_if(formats.begin(), formats.end(),
                                [=](const block_format& known) { return known.number == number; });
  return at == formats.end() ? nullptr : at;
}

const block_format* find_block_format(std::string_view name) {
  const auto* at = std::find_if(formats.begin(), formats.end(),
                                [=](const block_format& known) { return known.name == name; });
  return at == formats.end() ? nullptr : at;
}

std::span<const block_format> block_formats() {
  return formats;
}

} // namespace troupe::model
