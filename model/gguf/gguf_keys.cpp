// Numbers of any width are taken where they fit; everything else must be of the type the key has.
#include "model/gguf/gguf_keys.hpp"

#include "base/text.hpp"

#include <cmath>

namespace troupe::model {
namespace {

std::string_view letters_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string kind_of(const gguf_value& value) {
  return value.type == gguf_type::array ? text("an array of ", to_string(value.element))
                                        : std::string(to_string(value.type));
}

} // namespace

void gguf_keys::refuse(std::string_view key, std::string_view why, status_code code) {
  if (ok()) first_ = status(code, text(file_.file(), ": metadata '", key, "' ", why));
}

const gguf_value* gguf_keys::of_kind(std::string_view key, bool matches, const gguf_value* value,
                                     std::string_view wanted) {
  if (matches) return value;
  refuse(key, text("is ", kind_of(*value), " where ", wanted, " is needed"));
  return nullptr;
}

std::optional<uint64_t> gguf_keys::count(std::string_view key) {
  const auto* value = file_.find_value(key);
  if (value == nullptr) return std::nullopt;
  std::optional<int64_t> out;
  if (value->type == gguf_type::array) {
    const size_t width = bytes_of(value->element);
    for (uint64_t i = 0; i < value->count; ++i) {
      const auto next =
          width == 0 ? std::nullopt : integer_of(value->element, value->bytes.subspan(i * width));
      if (!next) break;
      if (out && *out != *next) {
        refuse(key, text("differs from layer to layer (", *out, " and ", *next, ")"),
               status_code::unsupported);
        return std::nullopt;
      }
      out = next;
    }
  } else if (value->type != gguf_type::boolean) {
    out = integer_of(value->type, value->bytes);
  }
  if (of_kind(key, out.has_value(), value, "a whole number") == nullptr) return std::nullopt;
  if (*out < 0) {
    refuse(key, text("is ", *out));
    return std::nullopt;
  }
  return static_cast<uint64_t>(*out);
}

uint64_t gguf_keys::needed_count(std::string_view key) {
  if (!has(key)) refuse(key, "is missing");
  return count(key).value_or(0);
}

std::optional<double> gguf_keys::number(std::string_view key) {
  const auto* value = file_.find_value(key);
  if (value == nullptr) return std::nullopt;
  const auto out = number_of(value->type, value->bytes);
  if (of_kind(key, out.has_value(), value, "a number") == nullptr) return std::nullopt;
  if (!std::isfinite(*out)) {
    refuse(key, "is not finite");
    return std::nullopt;
  }
  return out;
}

std::optional<bool> gguf_keys::flag(std::string_view key) {
  const auto* value = file_.find_value(key);
  if (value == nullptr) return std::nullopt;
  if (of_kind(key, value->type == gguf_type::boolean, value, "a bool") == nullptr)
    return std::nullopt;
  return value->bytes[0] != std::byte{0};
}

std::optional<std::string> gguf_keys::word(std::string_view key) {
  const auto* value = file_.find_value(key);
  if (value == nullptr) return std::nullopt;
  if (of_kind(key, value->type == gguf_type::string, value, "a string") == nullptr)
    return std::nullopt;
  return std::string(letters_of(value->bytes));
}

std::string gguf_keys::needed_word(std::string_view key) {
  if (!has(key)) refuse(key, "is missing");
  return word(key).value_or("");
}

const gguf_value* gguf_keys::array_of(std::string_view key, std::string_view wanted) {
  const auto* value = file_.find_value(key);
  if (value == nullptr) return nullptr;
  return of_kind(key, value->type == gguf_type::array, value, wanted);
}

std::vector<std::string_view> gguf_keys::words(std::string_view key) {
  constexpr std::string_view wanted = "an array of strings";
  const auto* value = array_of(key, wanted);
  std::vector<std::string_view> out;
  if (value == nullptr ||
      of_kind(key, value->element == gguf_type::string, value, wanted) == nullptr)
    return out;
  auto rest = value->bytes; // lengths and letters, checked when the file was parsed
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto length = static_cast<size_t>(*integer_of(gguf_type::i64, rest));
    out.push_back(letters_of(rest.subspan(8, length)));
    rest = rest.subspan(8 + length);
  }
  return out;
}

std::vector<int64_t> gguf_keys::integers(std::string_view key) {
  constexpr std::string_view wanted = "an array of whole numbers";
  const auto* value = array_of(key, wanted);
  std::vector<int64_t> out;
  if (value == nullptr) return out;
  const size_t width = bytes_of(value->element);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto next =
        width == 0 ? std::nullopt : integer_of(value->element, value->bytes.subspan(i * width));
    if (!next) {
      of_kind(key, false, value, wanted);
      return {};
    }
    out.push_back(*next);
  }
  return out;
}

std::vector<double> gguf_keys::numbers(std::string_view key) {
  constexpr std::string_view wanted = "an array of numbers";
  const auto* value = array_of(key, wanted);
  std::vector<double> out;
  if (value == nullptr) return out;
  const size_t width = bytes_of(value->element);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto next =
        width == 0 ? std::nullopt : number_of(value->element, value->bytes.subspan(i * width));
    if (!next || !std::isfinite(*next)) {
      of_kind(key, false, value, next ? "an array of finite numbers" : wanted);
      return {};
    }
    out.push_back(*next);
  }
  return out;
}

} // namespace troupe::model
