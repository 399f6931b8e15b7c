// Packing and unpacking of event ids. What has been unpacked is packed again and must give the same
// text, so there is one spelling of every id and nothing unnoticed in it.
#include "server/event_id.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "schemas/checksum.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

namespace troupe::server {
namespace {

constexpr uint8_t id_version = 1;
constexpr uint8_t flag_chat = 1;
constexpr uint8_t flag_own = 2;
constexpr uint8_t flag_offsets = 4;
constexpr uint8_t flags_all = 31;
constexpr int tail_shift = 3;
constexpr size_t own_bytes = 16;
constexpr size_t checksum_bytes = 4;
constexpr size_t text_bytes_max = size_t{128} << 10;

constexpr std::string_view base64_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view hex_digits = "0123456789abcdef";

using bytes = std::vector<uint8_t>;

std::string to_base64(std::span<const uint8_t> in) {
  std::string out;
  out.reserve(in.size() * 4 / 3 + 3);
  uint32_t bits = 0;
  int held = 0;
  for (const uint8_t byte : in) {
    bits = bits << 8 | byte;
    for (held += 8; held >= 6; held -= 6) out += base64_digits[bits >> (held - 6) & 63];
  }
  if (held > 0) out += base64_digits[bits << (6 - held) & 63];
  return out;
}

std::optional<bytes> from_base64(std::string_view in) {
  static constexpr auto values = [] {
    std::array<uint8_t, 256> out{};
    out.fill(0xFF);
    for (size_t i = 0; i < base64_digits.size(); ++i)
      out[static_cast<uint8_t>(base64_digits[i])] = static_cast<uint8_t>(i);
    return out;
  }();
  bytes out;
  out.reserve(in.size() * 3 / 4);
  uint32_t bits = 0;
  int held = 0;
  for (const char digit : in) {
    const uint8_t value = values[static_cast<uint8_t>(digit)];
    if (value == 0xFF) return std::nullopt;
    bits = bits << 6 | value;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out.push_back(static_cast<uint8_t>(bits >> held));
  }
  return out;
}

void put_fixed(bytes& to, size_t size, uint64_t value) {
  for (size_t i = 0; i < size; ++i) to.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

void put_number(bytes& to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) to.push_back(static_cast<uint8_t>(value | 0x80));
  to.push_back(static_cast<uint8_t>(value));
}

uint32_t checksum_of(std::span<const uint8_t> content) {
  return static_cast<uint32_t>(schemas::checksum_of(std::as_bytes(content)));
}

std::optional<std::array<uint8_t, own_bytes>> bits_of_own(std::string_view name) {
  std::array<uint8_t, own_bytes> out{};
  if (name.size() != 2 * own_bytes) return std::nullopt;
  for (size_t i = 0; i < name.size(); ++i) {
    const size_t digit = hex_digits.find(name[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    out[i / 2] = static_cast<uint8_t>(out[i / 2] << 4 | digit);
  }
  return out;
}

bool is_own(const answer_identity& of) {
  return bits_of_own(of.name) && nonce_of_own(of.name) == of.nonce;
}

// Takes from the front; once something is missing nothing more is found.
class reader {
public:
  explicit reader(std::span<const uint8_t> from) : rest_(from) {}

  uint64_t fixed(size_t size) {
    uint64_t value = 0;
    if (!enough(size)) return 0;
    for (size_t i = 0; i < size; ++i) value |= uint64_t{rest_[i]} << (8 * i);
    rest_ = rest_.subspan(size);
    return value;
  }
  uint64_t number(uint64_t most) {
    uint64_t value = 0;
    for (int shift = 0; shift < 63 && enough(1); shift += 7) {
      const uint8_t byte = rest_.front();
      rest_ = rest_.subspan(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) {
        good_ = good_ && value <= most;
        return good_ ? value : 0;
      }
    }
    good_ = false;
    return 0;
  }
  std::span<const uint8_t> some(size_t size) {
    if (!enough(size)) return {};
    const auto out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return out;
  }
  bool good() const { return good_; }
  bool all_taken() const { return good_ && rest_.empty(); }

private:
  bool enough(size_t size) {
    good_ = good_ && size <= rest_.size();
    return good_;
  }

  std::span<const uint8_t> rest_;
  bool good_ = true;
};

void read_name(reader& from, bool own, answer_identity& out) {
  if (own) {
    for (const uint8_t byte : from.some(own_bytes)) {
      out.name += hex_digits[byte >> 4];
      out.name += hex_digits[byte & 15];
    }
    if (from.good()) out.nonce = nonce_of_own(out.name);
    return;
  }
  const auto name = from.some(from.number(answer_name_bytes_max));
  out.name.assign(name.begin(), name.end());
  out.nonce = from.fixed(8);
}

choice_position read_choice(reader& from, bool offsets) {
  choice_position out;
  const uint64_t tokens = from.number(uint64_t{UINT32_MAX} << 2 | 3);
  out.tokens = static_cast<uint32_t>(tokens >> 2);
  out.opened = (tokens & 2) != 0;
  out.finished = (tokens & 1) != 0;
  out.text_bytes = from.number(event_id_number_max);
  if (offsets) out.text_offset = from.number(event_id_number_max);
  return out;
}

std::optional<event_id> read_id(std::span<const uint8_t> content) {
  event_id out;
  reader from(content);
  if (from.fixed(1) != id_version) return std::nullopt;
  const auto flags = static_cast<uint8_t>(from.fixed(1));
  if ((flags & ~flags_all) != 0 || flags >> tail_shift > 2) return std::nullopt;
  out.of.chat = (flags & flag_chat) != 0;
  out.of.offsets = (flags & flag_offsets) != 0;
  out.after.tail = static_cast<stream_position::tail_part>(flags >> tail_shift);
  read_name(from, (flags & flag_own) != 0, out.of);
  out.of.request_hash = from.fixed(8);
  out.of.model_hash = static_cast<uint32_t>(from.fixed(4));
  out.of.created = static_cast<int64_t>(from.number(event_id_number_max));
  const uint64_t choices = from.number(event_id_choices_max);
  for (uint64_t i = 0; i < choices && from.good(); ++i)
    out.after.choices.push_back(read_choice(from, out.of.offsets));
  if (!from.all_taken() || choices == 0 || out.of.name.empty()) return std::nullopt;
  return out;
}

// Whether an answer can be like this.
bool makes_sense(const event_id& id) {
  const bool printable = std::all_of(id.of.name.begin(), id.of.name.end(),
                                     [](char c) { return c > ' ' && c < '\x7f'; });
  const auto& choices = id.after.choices;
  const bool finished =
      std::all_of(choices.begin(), choices.end(), [](const auto& each) { return each.finished; });
  return printable && (finished || id.after.tail == stream_position::tail_part::none);
}

} // namespace

std::string own_name(uint64_t high, uint64_t low) {
  std::string out;
  for (const uint64_t part : {high, low})
    for (int shift = 60; shift >= 0; shift -= 4) out += hex_digits[part >> shift & 15];
  return out;
}

uint64_t nonce_of_own(std::string_view name) {
  return schemas::checksum_of(std::as_bytes(std::span(name)));
}

std::string response_id_of(const answer_identity& of) {
  return text(of.chat ? "chatcmpl-" : "cmpl-", of.name);
}

uint64_t seed_of(uint64_t nonce, uint64_t prompt) {
  if (prompt == 0) return nonce;
  bytes parts;
  put_fixed(parts, 8, nonce);
  put_fixed(parts, 8, prompt);
  return schemas::checksum_of(std::as_bytes(std::span(parts)));
}

event_id_writer::event_id_writer(const answer_identity& of) : offsets_(of.offsets) {
  TROUPE_CHECK(!of.name.empty() && of.name.size() <= answer_name_bytes_max && of.created >= 0);
  head_.push_back(id_version);
  const auto own = is_own(of) ? bits_of_own(of.name) : std::nullopt;
  head_.push_back(static_cast<uint8_t>((of.chat ? flag_chat : 0) | (own ? flag_own : 0) |
                                       (of.offsets ? flag_offsets : 0)));
  if (own) {
    head_.insert(head_.end(), own->begin(), own->end());
  } else {
    put_number(head_, of.name.size());
    head_.insert(head_.end(), of.name.begin(), of.name.end());
    put_fixed(head_, 8, of.nonce);
  }
  put_fixed(head_, 8, of.request_hash);
  put_fixed(head_, 4, of.model_hash);
  put_number(head_, static_cast<uint64_t>(of.created));
}

std::string event_id_writer::operator()(const stream_position& after) const {
  bytes out;
  out.reserve(head_.size() + checksum_bytes + 10 + after.choices.size() * 18);
  out = head_;
  out[1] = static_cast<uint8_t>(out[1] | static_cast<uint8_t>(after.tail) << tail_shift);
  put_number(out, after.choices.size());
  for (const auto& choice : after.choices) {
    put_number(out,
               uint64_t{choice.tokens} << 2 | (choice.opened ? 2 : 0) | (choice.finished ? 1 : 0));
    put_number(out, choice.text_bytes);
    if (offsets_) put_number(out, choice.text_offset);
  }
  return seal_event_id(std::move(out));
}

std::string seal_event_id(std::vector<uint8_t> content) {
  const auto sum = checksum_of(content);
  put_fixed(content, checksum_bytes, sum);
  return to_base64(content);
}

result<std::vector<uint8_t>> unseal_event_id(std::string_view text_of_id) {
  const auto refuse = [](std::string why) {
    return fail(status_code::invalid_argument, std::move(why));
  };
  if (text_of_id.size() > text_bytes_max) return refuse("is too long for the id of an event");
  auto content = from_base64(text_of_id);
  if (!content || content->size() <= checksum_bytes)
    return refuse("is not the id of an event of this server");
  reader end{std::span(*content).last(checksum_bytes)};
  const uint64_t given = end.fixed(checksum_bytes);
  content->resize(content->size() - checksum_bytes);
  if (given != checksum_of(*content))
    return refuse("is damaged or not the id of an event of this server");
  return std::move(*content);
}

result<event_id> parse_event_id(std::string_view text_of_id) {
  const auto content = unseal_event_id(text_of_id);
  if (!content) return fail(content.error());
  auto id = read_id(*content);
  if (!id || !makes_sense(*id) || event_id_writer(id->of)(id->after) != text_of_id)
    return fail(status_code::invalid_argument,
                "is not an id that this version of the server gives");
  return std::move(*id);
}

} // namespace troupe::server
