// Reads the container from front to back. Every byte is claimed before it is looked at.
#include "model/gguf/gguf_file.hpp"

#include "base/text.hpp"
#include "model/gguf/block_formats.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace troupe::model {
namespace {

constexpr uint32_t magic = 0x46554747; // "GGUF"
constexpr uint64_t alignment_default = 32;
constexpr uint64_t alignment_max = 1 << 20;
constexpr uint32_t dimensions_max = 4;
constexpr uint64_t name_bytes_max = 1024; // the format allows 64 in a tensor's name
constexpr uint64_t key_bytes_max = 65535; // the format's own limit
constexpr uint32_t nesting_max = 4;       // of arrays in arrays
constexpr uint64_t value_bytes_min = 13;  // an empty key, a type and one byte
constexpr uint64_t tensor_bytes_min = 24; // an empty name, no dimensions, type and offset

constexpr std::array<std::string_view, 13> type_names = {
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};

// `width` bytes, least significant first.
uint64_t little_endian(const std::byte* at, size_t width) {
  uint64_t out = 0;
  for (size_t i = width; i-- > 0;) out = out << 8 | std::to_integer<uint64_t>(at[i]);
  return out;
}

} // namespace

std::string_view to_string(gguf_type type) {
  return type_names[static_cast<uint32_t>(type)];
}

size_t bytes_of(gguf_type type) {
  constexpr std::array<uint8_t, 13> widths = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return widths[static_cast<uint32_t>(type)];
}

std::optional<int64_t> integer_of(gguf_type type, std::span<const std::byte> bytes) {
  if (bytes.size() < bytes_of(type)) return std::nullopt;
  const uint64_t bits = little_endian(bytes.data(), bytes_of(type));
  switch (type) {
    case gguf_type::u8:
    case gguf_type::u16:
    case gguf_type::u32:
    case gguf_type::boolean:
      return static_cast<int64_t>(bits);
    case gguf_type::u64:
      return bits > INT64_MAX ? std::nullopt : std::optional(static_cast<int64_t>(bits));
    case gguf_type::i8:
      return static_cast<int8_t>(bits);
    case gguf_type::i16:
      return static_cast<int16_t>(bits);
    case gguf_type::i32:
      return static_cast<int32_t>(bits);
    case gguf_type::i64:
      return static_cast<int64_t>(bits);
    default:
      return std::nullopt;
  }
}

std::optional<double> number_of(gguf_type type, std::span<const std::byte> bytes) {
  if (bytes.size() < bytes_of(type)) return std::nullopt;
  if (type == gguf_type::f64) {
    return std::bit_cast<double>(little_endian(bytes.data(), sizeof(double)));
  }
  if (type == gguf_type::f32) {
    const auto narrow =
        std::bit_cast<float>(static_cast<uint32_t>(little_endian(bytes.data(), sizeof(float))));
    if (!std::isfinite(narrow)) return narrow;
    char digits[64];
    const auto written = std::to_chars(digits, digits + sizeof digits, narrow);
    double wide = 0;
    std::from_chars(digits, written.ptr, wide);
    return wide;
  }
  if (type == gguf_type::boolean) return std::nullopt;
  const auto whole = integer_of(type, bytes);
  return whole ? std::optional(static_cast<double>(*whole)) : std::nullopt;
}

// Where the parser stands. The first failure sticks: later reads give zeros and empty spans.
class gguf_parser {
public:
  gguf_parser(std::string file, std::span<const std::byte> bytes) : bytes_(bytes) {
    out_.file_ = std::move(file);
  }

  result<gguf_file> run() {
    read_header();
    for (uint64_t i = 0; i < value_count_ && ok(); ++i) read_entry(i);
    if (ok()) read_alignment();
    for (uint64_t i = 0; i < tensor_count_ && ok(); ++i) read_tensor(i);
    if (ok()) place_tensors();
    if (ok()) check_overlaps();
    if (!ok()) return fail(first_);
    return std::move(out_);
  }

private:
  bool ok() const { return first_.ok(); }
  uint64_t left() const { return bytes_.size() - at_; }

  void refuse(std::string_view what, std::string_view why,
              status_code code = status_code::corrupt) {
    if (ok()) first_ = status(code, text(out_.file_, ": ", what, " ", why));
  }

  std::span<const std::byte> take(uint64_t count, std::string_view what) {
    if (ok() && count > left()) {
      refuse(what, text("needs ", count, " bytes from byte ", at_, ", but the file ends after ",
                        left(), "; is it truncated?"));
    }
    if (!ok()) return {};
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  uint64_t number(size_t width, std::string_view what) {
    const auto bytes = take(width, what);
    return bytes.empty() ? 0 : little_endian(bytes.data(), width);
  }
  std::string_view letters(uint64_t bytes_max, std::string_view what) {
    const uint64_t begin = at_;
    const uint64_t length = number(8, what);
    if (length > bytes_max) {
      refuse(what, text("at byte ", begin, " has ", length, " letters, more than ", bytes_max));
    }
    const auto bytes = take(length, what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  // Names end up in messages, so they may not steer a terminal.
  std::string_view name(uint64_t bytes_max, std::string_view what) {
    const auto out = letters(bytes_max, what);
    const auto is_control = [](char c) { return (c >= 0 && c < 32) || c == 127; };
    if (std::any_of(out.begin(), out.end(), is_control)) refuse(what, "holds control characters");
    return out;
  }

  void read_header() {
    constexpr std::string_view header = "header";
    if (bytes_.size() < 4 || little_endian(bytes_.data(), 4) != magic) {
      return refuse("the first bytes", "are not 'GGUF', so it is no GGUF file");
    }
    at_ = 4;
    out_.version_ = static_cast<uint32_t>(number(4, header));
    if (!ok()) return;
    if (out_.version_ != 0 && (out_.version_ & 0xffff) == 0) {
      return refuse("the file", "is big-endian, which is not supported", status_code::unsupported);
    }
    if (out_.version_ != 2 && out_.version_ != 3) {
      return refuse("the file",
                    text("is of version ", out_.version_, "; versions 2 and 3 can be read"),
                    status_code::unsupported);
    }
    tensor_count_ = number(8, header);
    value_count_ = number(8, header);
    if (ok() && value_count_ > left() / value_bytes_min) {
      return refuse(header, text("promises ", value_count_, " metadata entries, which ", left(),
                                 " bytes cannot hold; is the file truncated?"));
    }
    if (ok() && tensor_count_ > left() / tensor_bytes_min) {
      refuse(header, text("promises ", tensor_count_, " tensors, which ", left(),
                          " bytes cannot hold; is the file truncated?"));
    }
  }

  gguf_type read_type(std::string_view what) {
    const uint64_t begin = at_;
    const uint64_t type = number(4, what);
    if (ok() && type >= type_names.size()) {
      refuse(what, text("at byte ", begin, " has the unknown type ", type));
    }
    return ok() ? static_cast<gguf_type>(type) : gguf_type::u8;
  }

  // Moves over one value and says what it covers.
  gguf_value read_value(gguf_type type, std::string_view what, uint32_t depth) {
    gguf_value out{.type = type, .bytes = {}};
    if (type == gguf_type::string) {
      const auto content = letters(left(), what);
      out.bytes = std::as_bytes(std::span(content));
    } else if (type == gguf_type::array) {
      read_array(out, what, depth);
    } else {
      out.bytes = take(bytes_of(type), what);
      if (ok() && type == gguf_type::boolean && std::to_integer<int>(out.bytes[0]) > 1)
        refuse(what, "is a bool other than 0 and 1");
    }
    return out;
  }

  void read_array(gguf_value& out, std::string_view what, uint32_t depth) {
    if (depth == nesting_max) return refuse(what, "has arrays nested too deep");
    out.element = read_type(what);
    out.count = number(8, what);
    const size_t width = bytes_of(out.element);
    const uint64_t least = width > 0 ? width : out.element == gguf_type::string ? 8 : 12;
    if (ok() && out.count > left() / least) {
      return refuse(what, text("is an array of ", out.count, ", which ", left(),
                               " bytes cannot hold; is the file truncated?"));
    }
    const uint64_t begin = at_;
    if (width > 0) {
      out.bytes = take(out.count * width, what);
      return;
    }
    for (uint64_t i = 0; i < out.count && ok(); ++i) read_value(out.element, what, depth + 1);
    if (ok()) out.bytes = bytes_.subspan(begin, at_ - begin);
  }

  void read_entry(uint64_t number) {
    const std::string_view key = name(key_bytes_max, text("the key of metadata entry ", number));
    if (!ok()) return;
    const std::string what = text("metadata '", key, "'");
    const auto type = read_type(what);
    const auto value = read_value(type, what, 0);
    if (ok() && !out_.metadata_.emplace(key, value).second) refuse(what, "appears twice");
  }

  void read_alignment() {
    alignment_ = alignment_default;
    const auto* value = out_.find_value("general.alignment");
    if (value == nullptr) return;
    const auto given = integer_of(value->type, value->bytes);
    if (!given || *given < 1 || static_cast<uint64_t>(*given) > alignment_max ||
        (*given & (*given - 1)) != 0) {
      return refuse("metadata 'general.alignment'",
                    given ? text("is ", *given, ", which is no power of two up to ", alignment_max)
                          : text("is of type ", to_string(value->type)));
    }
    alignment_ = static_cast<uint64_t>(*given);
  }

  void read_tensor(uint64_t index) {
    const std::string own_name(name(name_bytes_max, text("the name of tensor ", index)));
    if (!ok()) return;
    const std::string what = text("tensor '", own_name, "'");
    stored_tensor tensor{
        .name = own_name, .type_name = {}, .type = {}, .shape = {}, .data = {}, .file = out_.file_};
    const uint64_t dimensions = number(4, what);
    if (ok() && dimensions > dimensions_max)
      return refuse(what, text("has ", dimensions, " dimensions, more than ", dimensions_max));
    for (uint64_t i = 0; i < dimensions; ++i) tensor.shape.push_back(number(8, what));
    const uint64_t type = number(4, what);
    tensor.data_begin = number(8, what);
    const auto* format =
        type > UINT32_MAX ? nullptr : find_block_format(static_cast<uint32_t>(type));
    if (ok() && format == nullptr)
      return refuse(what, text("is of the unknown type ", type), status_code::unsupported);
    if (!ok()) return;
    tensor.type_name = format->name;
    tensor.type = format->type;
    if (format->decode != nullptr) tensor.blocks = format;
    const uint64_t row = tensor.shape.empty() ? 1 : tensor.shape.front();
    if (row % format->elements != 0) {
      return refuse(what, text("has rows of ", row, ", which do not consist of whole ",
                               format->name, " blocks of ", format->elements));
    }
    uint64_t size = row / format->elements;
    bool fits = !__builtin_mul_overflow(size, uint64_t{format->bytes}, &size);
    uint64_t count = 1; // of elements, which must fit too
    for (uint64_t i = 0; i < dimensions; ++i) {
      fits = fits && !__builtin_mul_overflow(count, tensor.shape[i], &count);
      if (i > 0) fits = fits && !__builtin_mul_overflow(size, tensor.shape[i], &size);
    }
    if (!fits) return refuse(what, "is larger than any file");
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    sizes_.push_back(size);
    order_.push_back(own_name);
    if (!out_.tensors_.emplace(own_name, std::move(tensor)).second) refuse(what, "appears twice");
  }

  // Offsets count from the first aligned byte behind the last tensor's description.
  void place_tensors() {
    const uint64_t padded = at_ + (alignment_ - at_ % alignment_) % alignment_;
    const uint64_t begin = std::min<uint64_t>(padded, bytes_.size());
    const auto data = bytes_.subspan(begin);
    for (size_t i = 0; i < order_.size() && ok(); ++i) {
      auto& tensor = out_.tensors_.find(order_[i])->second;
      const std::string what = text("tensor '", tensor.name, "'");
      if (tensor.data_begin % alignment_ != 0) {
        return refuse(what, text("begins at byte ", tensor.data_begin,
                                 " of the data, which is no multiple of ", alignment_));
      }
      if (tensor.data_begin > data.size() || sizes_[i] > data.size() - tensor.data_begin) {
        return refuse(what, text("needs ", sizes_[i], " bytes from byte ", tensor.data_begin,
                                 " of the data, but the file holds only ", data.size(),
                                 "; is it truncated?"));
      }
      tensor.data = data.subspan(tensor.data_begin, sizes_[i]);
    }
  }

  void check_overlaps() {
    std::vector<const stored_tensor*> order;
    for (const auto& [name, tensor] : out_.tensors_)
      if (!tensor.data.empty()) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const stored_tensor* a, const stored_tensor* b) {
      return a->data_begin < b->data_begin;
    });
    for (size_t i = 1; i < order.size(); ++i) {
      if (order[i - 1]->data_begin + order[i - 1]->data.size() <= order[i]->data_begin) continue;
      return refuse(text("tensor '", order[i]->name, "'"),
                    text("lies over tensor '", order[i - 1]->name, "'"));
    }
  }

  gguf_file out_;
  std::span<const std::byte> bytes_;
  uint64_t at_ = 0;
  uint64_t tensor_count_ = 0;
  uint64_t value_count_ = 0;
  uint64_t alignment_ = alignment_default;
  std::vector<std::string> order_; // names as they come, with the bytes each needs
  std::vector<uint64_t> sizes_;
  status first_;
};

result<gguf_file> gguf_file::parse(std::string file, std::span<const std::byte> bytes) {
  return gguf_parser(std::move(file), bytes).run();
}

const gguf_value* gguf_file::find_value(std::string_view key) const {
  const auto at = metadata_.find(key);
  return at == metadata_.end() ? nullptr : &at->second;
}

const stored_tensor* gguf_file::find_tensor(std::string_view name) const {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : &at->second;
}

} // namespace troupe::model
