// JSON through one library in both directions; every number is looked at before it is believed.
#include "storage/weights_manifest.hpp"

#include "base/text.hpp"
#include "schemas/checksum.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <span>

namespace troupe::storage {
namespace {

using json = nlohmann::json;

constexpr const char* manifest_format = "troupe weights version 1";
constexpr const char* promotions_format = "troupe weights promotions 1";
constexpr size_t files_max = 4096;
constexpr size_t domains_max = 4096;
constexpr size_t text_bytes_max = 4096;
constexpr uint64_t number_max = uint64_t{1} << 53; // what every reader of JSON has exactly

std::string hex(uint64_t value) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += digits[value >> shift & 15];
  return out;
}

// Members are sorted by name, so the same content is the same text.
std::string compact(const json& of) {
  return of.dump(-1, ' ', false, json::error_handler_t::replace);
}

uint64_t checksum_of_text(const json& without) {
  const std::string bytes = compact(without);
  return schemas::checksum_of(std::as_bytes(std::span(bytes)));
}

std::string seal_text(json& content, uint64_t& checksum) {
  checksum = checksum_of_text(content);
  content["checksum"] = hex(checksum);
  return content.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

// Reads members of one object and remembers the first complaint.
class reader {
public:
  reader(const json& from, std::string where) : from_(from), where_(std::move(where)) {
    if (!from_.is_object()) complain("is not an object");
  }

  uint64_t number(const char* name) {
    const json* value = member(name);
    if (value == nullptr) return 0;
    if (value->is_number_unsigned() && value->get<uint64_t>() <= number_max)
      return value->get<uint64_t>();
    complain(text("field '", name, "' is not a whole number from 0 to 2^53"));
    return 0;
  }
  double real(const char* name) {
    const json* value = member(name);
    if (value == nullptr) return 0;
    if (value->is_number() && std::isfinite(value->get<double>())) return value->get<double>();
    complain(text("field '", name, "' is not a finite number"));
    return 0;
  }
  bool flag(const char* name) {
    const json* value = member(name);
    if (value == nullptr) return false;
    if (value->is_boolean()) return value->get<bool>();
    complain(text("field '", name, "' is neither true nor false"));
    return false;
  }
  std::string words(const char* name) {
    const json* value = member(name);
    if (value == nullptr) return {};
    return words_of(*value, name);
  }
  uint64_t digits(const char* name) {
    const std::string value = words(name);
    uint64_t out = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out, 16);
    if (why_.ok() &&
        (value.size() != 16 || error != std::errc{} || end != value.data() + value.size()))
      complain(text("field '", name, "' is not 16 hexadecimal digits"));
    return out;
  }
  // The entries of an array; none after a complaint.
  const json& list(const char* name, size_t entries_max) {
    static const json nothing = json::array();
    const json* value = member(name);
    if (value == nullptr) return nothing;
    if (value->is_array() && value->size() <= entries_max) return *value;
    complain(text("field '", name, "' is not a list of at most ", entries_max, " entries"));
    return nothing;
  }
  std::string words_of(const json& value, const char* name) {
    if (value.is_string() && value.get_ref<const std::string&>().size() <= text_bytes_max)
      return value.get<std::string>();
    complain(text("field '", name, "' is not a text of at most ", text_bytes_max, " bytes"));
    return {};
  }
  uint64_t number_of(const json& value, const char* name) {
    if (value.is_number_unsigned() && value.get<uint64_t>() <= number_max)
      return value.get<uint64_t>();
    complain(text("field '", name, "' holds what is not a whole number from 0 to 2^53"));
    return 0;
  }
  void complain(const std::string& what) {
    if (why_.ok()) why_ = status(status_code::corrupt, where_.empty() ? what : where_ + what);
  }
  const status& why() const { return why_; }
  void take(const status& other) {
    if (why_.ok()) why_ = other;
  }

private:
  const json* member(const char* name) {
    if (!why_.ok()) return nullptr;
    const auto found = from_.find(name);
    if (found != from_.end()) return &*found;
    complain(text("field '", name, "' is missing"));
    return nullptr;
  }

  const json& from_;
  std::string where_;
  status why_;
};

// The object, once its format and its checksum have been found right.
result<json> open_text(std::string_view content, const char* format, uint64_t& checksum) {
  if (content.size() > manifest_bytes_max)
    return fail(status_code::corrupt, text("has more than ", manifest_bytes_max, " bytes"));
  json out = json::parse(content, nullptr, false);
  if (!out.is_object()) return fail(status_code::corrupt, "is not a JSON object, or is cut off");
  reader from(out, "");
  const std::string found = from.words("format");
  const uint64_t written = from.digits("checksum");
  if (!from.why().ok()) return fail(from.why());
  if (found != format)
    return fail(status_code::unsupported,
                text("field 'format' is '", found, "'; this program reads '", format, "'"));
  out.erase("checksum");
  checksum = checksum_of_text(out);
  if (checksum != written)
    return fail(status_code::corrupt, "field 'checksum' does not fit the rest: it was changed");
  return out;
}

bool is_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

} // namespace

std::string to_text(weights_manifest& manifest) {
  json held_out = json::array();
  for (const auto& figure : manifest.held_out)
    held_out.push_back({{"domain", figure.domain}, {"bits_per_byte", figure.bits_per_byte}});
  json files = json::array();
  for (const auto& file : manifest.files)
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"checksum", hex(file.checksum)}});
  json out{{"format", manifest_format},
           {"version", manifest.version},
           {"parent", manifest.parent},
           {"step", manifest.step},
           {"state", manifest.state},
           {"created", static_cast<uint64_t>(std::max<int64_t>(manifest.created, 0))},
           {"held_out", std::move(held_out)},
           {"imbalance", manifest.imbalance},
           {"refused", manifest.refused},
           {"files", std::move(files)}};
  return seal_text(out, manifest.checksum);
}

result<weights_manifest> parse_manifest(std::string_view content) {
  weights_manifest out;
  const auto opened = open_text(content, manifest_format, out.checksum);
  if (!opened) return fail(opened.error());
  reader from(*opened, "");
  out.version = from.number("version");
  out.parent = from.number("parent");
  out.step = from.number("step");
  out.state = from.words("state");
  out.created = static_cast<int64_t>(from.number("created"));
  for (const json& entry : from.list("held_out", domains_max)) {
    reader figure(entry, text("held_out entry ", out.held_out.size(), ": "));
    out.held_out.push_back({figure.words("domain"), figure.real("bits_per_byte")});
    from.take(figure.why());
  }
  out.imbalance = from.real("imbalance");
  for (const json& entry : from.list("refused", domains_max))
    out.refused.push_back(from.words_of(entry, "refused"));
  std::set<std::string> names;
  for (const json& entry : from.list("files", files_max)) {
    reader file(entry, text("files entry ", out.files.size(), ": "));
    out.files.push_back({file.words("name"), file.number("bytes"), file.digits("checksum")});
    const auto& name = out.files.back().name;
    if (!is_file_name(name) || !names.insert(name).second)
      file.complain(
          text("field 'name' is '", name, "', which is no name of a file, or twice there"));
    from.take(file.why());
  }
  if (out.version == 0) from.complain("field 'version' is 0; versions are numbered from 1");
  if (!from.why().ok()) return fail(from.why());
  return out;
}

std::string to_text(const promotion_record& record) {
  json history = json::array();
  const size_t skip = record.history.size() - std::min(record.history.size(), events_kept_max);
  for (size_t i = skip; i < record.history.size(); ++i) {
    const auto& event = record.history[i];
    history.push_back({{"version", event.version},
                       {"back", event.back},
                       {"reason", event.reason},
                       {"at", static_cast<uint64_t>(std::max<int64_t>(event.at, 0))}});
  }
  const size_t first = record.chain.size() - std::min(record.chain.size(), promotions_kept_max);
  json out{{"format", promotions_format},
           {"promoted", record.promoted()},
           {"chain", std::vector<uint64_t>(record.chain.begin() + static_cast<long>(first),
                                           record.chain.end())},
           {"history", std::move(history)}};
  uint64_t checksum = 0;
  return seal_text(out, checksum);
}

result<promotion_record> parse_promotions(std::string_view content) {
  promotion_record out;
  uint64_t checksum = 0;
  const auto opened = open_text(content, promotions_format, checksum);
  if (!opened) return fail(opened.error());
  reader from(*opened, "");
  const uint64_t promoted = from.number("promoted");
  for (const json& entry : from.list("chain", promotions_kept_max)) {
    out.chain.push_back(from.number_of(entry, "chain"));
    if (out.chain.back() == 0) from.complain("field 'chain' holds version 0");
  }
  for (const json& entry : from.list("history", events_kept_max)) {
    reader event(entry, text("history entry ", out.history.size(), ": "));
    out.history.push_back({event.number("version"), event.flag("back"), event.words("reason"),
                           static_cast<int64_t>(event.number("at"))});
    from.take(event.why());
  }
  if (promoted != out.promoted())
    from.complain(
        text("field 'promoted' is ", promoted, ", the end of 'chain' is ", out.promoted()));
  if (!from.why().ok()) return fail(from.why());
  return out;
}

} // namespace troupe::storage
