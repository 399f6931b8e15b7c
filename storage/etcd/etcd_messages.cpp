// JSON with 64-bit numbers in strings and bytes in base64, as the gateway of gRPC makes it.
#include "storage/etcd/etcd_messages.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

namespace troupe::storage {
namespace {

using json = nlohmann::json;

constexpr std::string_view digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr size_t complaint_characters_max = 200;
constexpr uint64_t number_max = std::numeric_limits<int64_t>::max(); // of etcd's numbers

tl::unexpected<status> senseless(const char* what) {
  return fail(status_code::corrupt, text("etcd's answer makes no sense: ", what));
}

uint32_t bits_of(std::string_view four, size_t used) {
  uint32_t out = 0;
  for (size_t i = 0; i < 4; ++i)
    out = out << 6 | (i < used ? static_cast<uint32_t>(digits.find(four[i])) : 0);
  return out;
}

std::string number_text(uint64_t number) {
  return std::to_string(number);
}

json compare_json(const etcd_compare& compare) {
  const bool creation = compare.target == etcd_compare::what::create_revision;
  return {{"key", to_base64(compare.key)},
          {"result", "EQUAL"},
          {"target", creation ? "CREATE" : "MOD"},
          {creation ? "create_revision" : "mod_revision", number_text(compare.equals)}};
}

json operation_json(const etcd_operation& operation) {
  if (operation.kind == etcd_operation::what::range)
    return {{"request_range", {{"key", to_base64(operation.key)}}}};
  return {{"request_put",
           {{"key", to_base64(operation.key)},
            {"value", to_base64(operation.value)},
            {"lease", number_text(operation.lease)}}}};
}

template <class Item>
json list_json(const std::vector<Item>& items, json (*one)(const Item&)) {
  json out = json::array();
  for (const auto& item : items) out.push_back(one(item));
  return out;
}

// -- reading

std::optional<json> object_of(std::string_view answer) {
  json out = json::parse(answer, nullptr, false);
  if (!out.is_object()) return {};
  return out;
}

const json* field(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

// An absent field stands for zero, or for nothing: so does the gateway leave them out.
bool take_number(const json& object, const char* name, uint64_t& out) {
  const json* value = field(object, name);
  out = 0;
  if (value == nullptr) return true;
  if (value->is_number_unsigned()) {
    out = value->get<uint64_t>();
    return out <= number_max;
  }
  if (!value->is_string()) return false;
  const auto& characters = value->get_ref<const std::string&>();
  const char* end = characters.data() + characters.size();
  const auto [stop, error] = std::from_chars(characters.data(), end, out);
  return error == std::errc() && stop == end && !characters.empty() && out <= number_max;
}

bool take_bytes(const json& object, const char* name, std::string& out) {
  const json* value = field(object, name);
  out.clear();
  if (value == nullptr) return true;
  if (!value->is_string()) return false;
  auto bytes = from_base64(value->get_ref<const std::string&>());
  if (!bytes) return false;
  out = std::move(*bytes);
  return true;
}

bool take_entry(const json& from, etcd_entry& to) {
  return from.is_object() && take_bytes(from, "key", to.key) &&
         take_bytes(from, "value", to.value) &&
         take_number(from, "create_revision", to.create_revision) &&
         take_number(from, "mod_revision", to.mod_revision) &&
         take_number(from, "lease", to.lease) && !to.key.empty() && to.create_revision > 0 &&
         to.create_revision <= to.mod_revision;
}

bool take_range(const json& from, std::vector<etcd_entry>& to) {
  if (!from.is_object()) return false;
  const json* entries = field(from, "kvs");
  if (entries == nullptr) return true;
  if (!entries->is_array()) return false;
  for (const auto& entry : *entries)
    if (!take_entry(entry, to.emplace_back())) return false;
  return true;
}

result<etcd_lease> lease_of(const json& object) {
  etcd_lease out;
  if (!take_number(object, "ID", out.id) || out.id == 0 || !take_number(object, "TTL", out.seconds))
    return senseless("a lease without its numbers");
  return out;
}

std::string printable(std::string message) {
  if (message.size() > complaint_characters_max) message.resize(complaint_characters_max);
  std::replace_if(
      message.begin(), message.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return message;
}

} // namespace

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t used = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (k < used ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += k <= used ? digits[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

result<std::string> from_base64(std::string_view characters) {
  if (characters.size() % 4 != 0) return senseless("base64 that is cut short");
  size_t padding = 0;
  while (padding < 2 && padding < characters.size() &&
         characters[characters.size() - 1 - padding] == '=')
    ++padding;
  const auto content = characters.substr(0, characters.size() - padding);
  if (content.find_first_not_of(digits) != std::string_view::npos)
    return senseless("characters that are not base64");
  std::string out;
  for (size_t i = 0; i < characters.size(); i += 4) {
    const size_t used = std::min<size_t>(4, content.size() - i);
    const uint32_t bits = bits_of(characters.substr(i, 4), used);
    for (size_t k = 0; k + 1 < used; ++k) out += static_cast<char>(bits >> (16 - 8 * k) & 255);
    if (used < 4 && (bits & (used == 2 ? 0xffffu : 0xffu)) != 0)
      return senseless("base64 with bits to spare");
  }
  return out;
}

std::string write_transaction(const etcd_transaction& transaction) {
  return json{{"compare", list_json(transaction.compares, compare_json)},
              {"success", list_json(transaction.then, operation_json)},
              {"failure", list_json(transaction.otherwise, operation_json)}}
      .dump();
}

std::string write_lease_grant(uint64_t seconds) {
  return json{{"TTL", number_text(seconds)}}.dump();
}

std::string write_lease(uint64_t lease) {
  return json{{"ID", number_text(lease)}}.dump();
}

std::string write_login(std::string_view user, std::string_view password) {
  return json{{"name", user}, {"password", password}}.dump(-1, ' ', false,
                                                           json::error_handler_t::replace);
}

result<etcd_outcome> read_outcome(std::string_view answer) {
  const auto object = object_of(answer);
  if (!object) return senseless("it is no JSON object");
  etcd_outcome out;
  if (const json* succeeded = field(*object, "succeeded"); succeeded != nullptr) {
    if (!succeeded->is_boolean()) return senseless("succeeded is neither true nor false");
    out.succeeded = succeeded->get<bool>();
  }
  const json* responses = field(*object, "responses");
  if (responses == nullptr) return out;
  if (!responses->is_array()) return senseless("responses is no list");
  for (const auto& response : *responses) {
    if (!response.is_object()) return senseless("a response is no object");
    const json* range = field(response, "response_range");
    if (range == nullptr) continue;
    if (!take_range(*range, out.ranges.emplace_back())) return senseless("a range is malformed");
  }
  return out;
}

result<etcd_lease> read_lease(std::string_view answer) {
  const auto object = object_of(answer);
  if (!object) return senseless("it is no JSON object");
  auto out = lease_of(*object);
  if (out && out->seconds == 0) return senseless("a lease of no time");
  return out;
}

result<etcd_lease> read_kept_lease(std::string_view answer) {
  const auto object = object_of(answer);
  const json* kept = object ? field(*object, "result") : nullptr;
  if (kept == nullptr || !kept->is_object()) return senseless("a lease kept without result");
  return lease_of(*kept);
}

result<std::string> read_token(std::string_view answer) {
  const auto object = object_of(answer);
  const json* token = object ? field(*object, "token") : nullptr;
  if (token == nullptr || !token->is_string() || token->get_ref<const std::string&>().empty())
    return senseless("a login without token");
  const auto& out = token->get_ref<const std::string&>();
  const bool fits = std::all_of(out.begin(), out.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!fits) return senseless("a token that fits in no header");
  return out;
}

etcd_complaint read_complaint(std::string_view answer) {
  etcd_complaint out;
  const auto object = object_of(answer);
  if (!object) return out;
  const json* where = &*object;
  // A stream's complaint is an object of its own.
  if (const json* inner = field(*object, "error"); inner != nullptr && inner->is_object())
    where = inner;
  for (const char* name : {"code", "grpc_code"}) {
    uint64_t code = 0;
    if (take_number(*where, name, code) && code > 0 && code < 100)
      out.code = static_cast<uint32_t>(code);
  }
  for (const char* name : {"error", "message"})
    if (const json* message = field(*where, name); message != nullptr && message->is_string())
      out.message = printable(message->get<std::string>());
  return out;
}

} // namespace troupe::storage
