// Finding, checking, widening and packing of single tensors.
#include "model/weight_reader.hpp"

#include "base/text.hpp"

#include <cmath>
#include <cstring>

namespace troupe::model {
namespace {

using compute::dtype;
using compute::weight_format;

weight_format format_of(dtype type) {
  switch (type) {
    case dtype::bf16:
      return weight_format::bf16;
    case dtype::f16:
      return weight_format::f16;
    case dtype::f32:
      break;
  }
  return weight_format::f32;
}

weight_format choose_format(const std::optional<weight_format>& wanted, dtype stored,
                            matrix_role role) {
  if (role == matrix_role::router) return weight_format::f32;
  if (!wanted) return format_of(stored);
  return *wanted == weight_format::int4 && role != matrix_role::body ? weight_format::int8
                                                                     : *wanted;
}

float element(const stored_tensor& tensor, size_t index) {
  if (*tensor.type == dtype::f32) {
    float value;
    std::memcpy(&value, tensor.data.data() + index * sizeof value, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, tensor.data.data() + index * sizeof bits, sizeof bits);
  return *tensor.type == dtype::bf16 ? compute::bf16_to_f32(bits) : compute::f16_to_f32(bits);
}

std::string label(const stored_tensor& tensor) {
  return text(tensor.file, ": tensor '", tensor.name, "'");
}

} // namespace

void weight_reader::count(uint64_t bytes) {
  bytes_done_ += bytes;
  if (executor_ != nullptr && options_.progress) options_.progress(bytes_done_, bytes_total_);
}

const stored_tensor* weight_reader::tensor(const std::string& name,
                                           const std::vector<uint64_t>& shape) {
  if (!ok()) return nullptr;
  const stored_tensor* found = index_.find(name);
  if (found == nullptr) {
    first_ =
        status(status_code::not_found, text("tensor '", name, "' is missing from the checkpoint"));
    return nullptr;
  }
  if (!found->type) {
    first_ =
        status(status_code::unsupported, text(label(*found), " is stored as ", found->type_name,
                                              "; weights can be read from F32, BF16 and F16"));
    return nullptr;
  }
  if (found->shape != shape) {
    stored_tensor wanted;
    wanted.shape = shape;
    first_ =
        status(status_code::corrupt, text(label(*found), " has shape ", found->shape_text(),
                                          " where the configuration needs ", wanted.shape_text()));
    return nullptr;
  }
  used_.insert(name);
  return found;
}

weight_matrix weight_reader::slice(const stored_tensor* from, const tensor_slice& part,
                                   matrix_role role) {
  if (!ok() || from == nullptr) return {};
  const size_t element_bytes = compute::dtype_bytes(*from->type);
  weight_matrix out;
  if (executor_ != nullptr) {
    const compute::matrix_source source{.data = from->data.data() + part.offset * element_bytes,
                                        .type = *from->type,
                                        .rows = part.rows,
                                        .cols = part.cols,
                                        .row_stride = part.row_stride,
                                        .col_stride = part.col_stride};
    auto loaded = executor_->load(source, choose_format(options_.format, *from->type, role));
    if (!loaded) {
      const std::string where =
          part.offset == 0 ? label(*from) : text(label(*from), ", part from element ", part.offset);
      first_ = loaded.error().within(where);
      return {};
    }
    out = std::move(*loaded);
  }
  count(uint64_t{part.rows} * part.cols * element_bytes);
  return out;
}

weight_matrix weight_reader::matrix(const std::string& name, uint32_t rows, uint32_t cols,
                                    matrix_role role) {
  return slice(tensor(name, {rows, cols}), {.rows = rows, .cols = cols, .row_stride = cols}, role);
}

std::vector<float> weight_reader::vector(const std::string& name, uint32_t count) {
  const stored_tensor* found = tensor(name, {count});
  if (found == nullptr) return {};
  this->count(found->data.size());
  if (executor_ == nullptr) return {};
  std::vector<float> out(count);
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = element(*found, i);
    if (!std::isfinite(out[i])) {
      first_ = status(
          status_code::corrupt,
          text(label(*found), " holds ", std::isnan(out[i]) ? "NaN" : "infinity", " at index ", i));
      return {};
    }
  }
  return out;
}

} // namespace troupe::model
