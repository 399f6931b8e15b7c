// Finding, checking, widening and packing of single tensors.
#include "model/weight_reader.hpp"

#include "base/text.hpp"
#include "model/gguf/block_formats.hpp"
#include "model/staged_slice.hpp"

#include <cmath>

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

// As stored: the type itself, or what is nearest to its blocks.
weight_format format_of(const stored_tensor& tensor) {
  return tensor.type ? format_of(*tensor.type) : tensor.blocks->kept_as;
}

weight_format choose_format(const std::optional<weight_format>& wanted, const stored_tensor& from,
                            matrix_role role) {
  if (role == matrix_role::router) return weight_format::f32;
  const weight_format chosen = wanted.value_or(format_of(from));
  return chosen == weight_format::int4 && role != matrix_role::body ? weight_format::int8 : chosen;
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
    first_ = status(status_code::not_found,
                    text("tensor '", index_.spelled(name), "' is missing from the checkpoint"));
    return nullptr;
  }
  if (!found->is_readable()) {
    first_ = status(
        status_code::unsupported,
        text(label(*found), " is stored as ", found->type_name,
             "; weights can be read from F32, BF16, F16 and F8_E4M3 with scales, and in "
             "GGUF files from blocks of Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL and Q2_K to Q6_K"));
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

result<weight_matrix> weight_reader::load(const stored_tensor& from, const tensor_slice& part,
                                          matrix_role role) {
  const auto format = choose_format(options_.format, from, role);
  if (options_.packed) return options_.packed(format, part.rows, part.cols);
  const staged_slice staged(from, part);
  auto loaded = executor_->load(staged.source(), format);
  if (!loaded) {
    const std::string where =
        part.offset == 0 ? label(from) : text(label(from), ", part from element ", part.offset);
    return fail(loaded.error().within(where));
  }
  if (options_.keep) options_.keep(*loaded);
  return loaded;
}

weight_matrix weight_reader::slice(const stored_tensor* from, const tensor_slice& part,
                                   matrix_role role) {
  if (!ok() || from == nullptr) return {};
  weight_matrix out;
  if (executor_ != nullptr) {
    auto loaded = load(*from, part, role);
    if (!loaded) {
      first_ = loaded.error();
      return {};
    }
    out = std::move(*loaded);
  }
  count(stored_bytes(*from, uint64_t{part.rows} * part.cols));
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
  auto out = values_of(*found);
  for (uint32_t i = 0; i < count; ++i) {
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
