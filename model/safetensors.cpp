// Validates a safetensors header against its file, tensor by tensor.
#include "model/safetensors.hpp"

#include "base/text.hpp"
#include "model/json_document.hpp"

#include <algorithm>
#include <array>

namespace troupe::model {
namespace {

constexpr size_t prefix_bytes = 8;
constexpr size_t dimensions_max = 8;

struct stored_type {
  std::string_view name;
  uint32_t bits;
  std::optional<compute::dtype> type;
};
constexpr std::array<stored_type, 17> stored_types = {{
    {"F32", 32, compute::dtype::f32},
    {"BF16", 16, compute::dtype::bf16},
    {"F16", 16, compute::dtype::f16},
    {"F64", 64, std::nullopt},
    {"F8_E4M3", 8, std::nullopt},
    {"F8_E5M2", 8, std::nullopt},
    {"F8_E8M0", 8, std::nullopt},
    {"F4", 4, std::nullopt},
    {"I64", 64, std::nullopt},
    {"I32", 32, std::nullopt},
    {"I16", 16, std::nullopt},
    {"I8", 8, std::nullopt},
    {"U64", 64, std::nullopt},
    {"U32", 32, std::nullopt},
    {"U16", 16, std::nullopt},
    {"U8", 8, std::nullopt},
    {"BOOL", 8, std::nullopt},
}};

// Reading one header: what is known of the file, and the parts in the order they are checked.
struct header_reader {
  const std::string& file;
  std::span<const std::byte> data; // what follows the header

  status refused(std::string_view name, std::string_view why) const {
    return status(status_code::corrupt, text(file, ": tensor '", name, "' ", why));
  }
  tl::unexpected<status> refuse(std::string_view name, std::string_view why) const {
    return fail(refused(name, why));
  }

  result<std::vector<uint64_t>> read_shape(std::string_view name,
                                           const nlohmann::json& entry) const {
    const auto at = entry.find("shape");
    if (at == entry.end() || !at->is_array()) return refuse(name, "has no shape");
    if (at->size() > dimensions_max) return refuse(name, text("has ", at->size(), " dimensions"));
    std::vector<uint64_t> shape;
    for (const auto& dimension : *at) {
      if (!dimension.is_number_unsigned()) {
        return refuse(
            name, text("has ",
                       dimension.is_number() ? dimension.dump() : std::string(json_kind(dimension)),
                       " as a dimension"));
      }
      shape.push_back(dimension.get<uint64_t>());
    }
    return shape;
  }

  // Bytes of the whole tensor; nothing when they do not fit 64 bits or end inside a byte.
  static std::optional<uint64_t> bytes_of(const std::vector<uint64_t>& shape, uint32_t bits) {
    uint64_t total = bits;
    for (const uint64_t dimension : shape) {
      if (__builtin_mul_overflow(total, dimension, &total)) return std::nullopt;
    }
    if (total % 8 != 0) return std::nullopt;
    return total / 8;
  }

  result<std::array<uint64_t, 2>> read_offsets(std::string_view name,
                                               const nlohmann::json& entry) const {
    const auto at = entry.find("data_offsets");
    if (at == entry.end() || !at->is_array() || at->size() != 2 || !(*at)[0].is_number_unsigned() ||
        !(*at)[1].is_number_unsigned()) {
      return refuse(name, "has no pair of data_offsets");
    }
    const std::array<uint64_t, 2> offsets = {(*at)[0].get<uint64_t>(), (*at)[1].get<uint64_t>()};
    if (offsets[0] > offsets[1]) {
      return refuse(name, text("begins at ", offsets[0], " and ends before, at ", offsets[1]));
    }
    if (offsets[1] > data.size()) {
      return refuse(name,
                    text("ends at byte ", offsets[1], " of the data, but the file holds only ",
                         data.size(), "; is it truncated?"));
    }
    return offsets;
  }

  result<stored_tensor> read(const std::string& name, const nlohmann::json& entry) const {
    if (!entry.is_object()) return refuse(name, text("is ", json_kind(entry), " in the header"));
    const auto type_at = entry.find("dtype");
    if (type_at == entry.end() || !type_at->is_string()) return refuse(name, "has no dtype");
    const auto& type_name = type_at->get_ref<const std::string&>();
    const auto* type =
        std::find_if(stored_types.begin(), stored_types.end(),
                     [&](const stored_type& known) { return known.name == type_name; });
    if (type == stored_types.end()) {
      return fail(status_code::unsupported,
                  text(file, ": tensor '", name, "' has the unknown dtype '", type_name, "'"));
    }
    auto shape = read_shape(name, entry);
    if (!shape) return fail(shape.error());
    const auto offsets = read_offsets(name, entry);
    if (!offsets) return fail(offsets.error());
    stored_tensor tensor{.name = name,
                         .type_name = type_name,
                         .type = type->type,
                         .shape = std::move(*shape),
                         .data = data.subspan((*offsets)[0], (*offsets)[1] - (*offsets)[0]),
                         .data_begin = (*offsets)[0],
                         .file = file};
    const auto bytes = bytes_of(tensor.shape, type->bits);
    if (!bytes || *bytes != tensor.data.size()) {
      return refuse(name, text("of shape ", tensor.shape_text(), " and dtype ", type_name, " has ",
                               tensor.data.size(), " bytes where ",
                               bytes ? std::to_string(*bytes) : std::string("an impossible number"),
                               " are needed"));
    }
    return tensor;
  }

  // The format allows neither holes nor overlaps nor bytes that nobody owns.
  status check_layout(const std::vector<stored_tensor>& tensors) const {
    std::vector<const stored_tensor*> order;
    for (const auto& tensor : tensors) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const stored_tensor* a, const stored_tensor* b) {
      return std::pair(a->data_begin, a->data.size()) < std::pair(b->data_begin, b->data.size());
    });
    uint64_t end = 0;
    for (const auto* tensor : order) {
      if (tensor->data_begin != end) {
        return refused(tensor->name, text("begins at byte ", tensor->data_begin,
                                          " of the data, but the one before ends at ", end));
      }
      end += tensor->data.size();
    }
    if (end != data.size()) {
      return status(status_code::corrupt, text(file, ": holds ", data.size(),
                                               " bytes of data, but its tensors end at ", end));
    }
    return {};
  }
};

} // namespace

result<safetensors_file> safetensors_file::parse(std::string file,
                                                 std::span<const std::byte> bytes) {
  if (bytes.size() < prefix_bytes) {
    return fail(status_code::corrupt,
                text(file, ": ", bytes.size(), " bytes are too few for a safetensors file"));
  }
  uint64_t header_bytes = 0;
  for (size_t i = prefix_bytes; i-- > 0;)
    header_bytes = header_bytes << 8 | std::to_integer<uint64_t>(bytes[i]);
  if (header_bytes > safetensors_header_max) {
    return fail(status_code::corrupt,
                text(file, ": header of ", header_bytes, " bytes is longer than the ",
                     safetensors_header_max, " of the format; is it a safetensors file?"));
  }
  if (header_bytes > bytes.size() - prefix_bytes) {
    return fail(status_code::corrupt, text(file, ": header should have ", header_bytes,
                                           " bytes, but the file ends after ",
                                           bytes.size() - prefix_bytes, "; is it truncated?"));
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + prefix_bytes,
                                header_bytes);
  const auto document = parse_json_object(header, text(file, " (header)"));
  if (!document) return fail(document.error());

  safetensors_file out;
  const header_reader reader{.file = file, .data = bytes.subspan(prefix_bytes + header_bytes)};
  for (const auto& [name, entry] : document->items()) { // in order of names
    if (name == "__metadata__") continue;
    auto tensor = reader.read(name, entry);
    if (!tensor) return fail(tensor.error());
    out.tensors_.push_back(std::move(*tensor));
  }
  if (status layout = reader.check_layout(out.tensors_); !layout.ok()) return fail(layout);
  out.file_ = std::move(file);
  return out;
}

const stored_tensor* safetensors_file::find(std::string_view name) const {
  const auto at = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const stored_tensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return at != tensors_.end() && at->name == name ? &*at : nullptr;
}

// Filled up with spaces so that the data is aligned.
std::string safetensors_header(std::span<const tensor_to_store> tensors) {
  nlohmann::ordered_json json;
  json["__metadata__"]["format"] = "pt"; // transformers asks for it
  uint64_t at = 0;
  for (const auto& tensor : tensors) {
    json[tensor.name] = {{"dtype", tensor.type_name},
                         {"shape", tensor.shape},
                         {"data_offsets", {at, at + tensor.bytes}}};
    at += tensor.bytes;
  }
  std::string body = json.dump();
  body.resize((body.size() + 7) / 8 * 8, ' ');
  std::string out;
  for (uint32_t byte = 0; byte < prefix_bytes; ++byte) out += char(body.size() >> 8 * byte & 0xff);
  return out + body;
}

} // namespace troupe::model
