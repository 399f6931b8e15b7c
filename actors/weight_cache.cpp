// Bytes: 8 magic, 4 version, 4 zero, 8 fingerprint, 8 time of change; then for each matrix 4
// format, 4 outputs, 4 inputs, 4 zero, 8 checksum of the values, 8 checksum of the scales, the
// values, the scales. Numbers as the machine has them: the file is of this machine.
#include "actors/weight_cache.hpp"

#include "base/text.hpp"
#include "schemas/checksum.hpp"

#include <array>
#include <cstring>
#include <utility>

namespace troupe::actors {
namespace {

using compute::weight_matrix;

struct file_head {
  std::array<char, 8> magic{'t', 'r', 'o', 'u', 'p', 'e', 'w', 'c'};
  uint32_t version = packing_version;
  uint32_t zero = 0;
  weight_cache_key key;
};
static_assert(sizeof(file_head) == 32);

struct matrix_head {
  uint32_t format = 0, outputs = 0, inputs = 0, zero = 0;
  uint64_t values = 0, scales = 0;
};
static_assert(sizeof(matrix_head) == 32);

template <class Head>
std::span<const std::byte> bytes_of(const Head& head) {
  return std::as_bytes(std::span(&head, 1));
}
std::span<const std::byte> bytes_of(const compute::buffer& from) {
  return {from.data(), from.bytes()};
}

template <class Head>
Head head_from(std::span<const std::byte> bytes) {
  Head out;
  std::memcpy(&out, bytes.data(), sizeof out);
  return out;
}

} // namespace

std::string weight_cache_name(const weight_cache_key& key) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += digits[key.fingerprint >> shift & 15];
  return out + ".weights";
}

result<std::span<const std::byte>> weight_cache_reader::take(size_t bytes) {
  if (left_.size() < bytes) return fail(status_code::corrupt, text(path_, ": is cut off"));
  const auto out = left_.first(bytes);
  left_ = left_.subspan(bytes);
  return out;
}

result<weight_cache_reader> weight_cache_reader::open(const storage::file_system& files,
                                                      const std::string& path,
                                                      const weight_cache_key& key) {
  auto file = files.map(path);
  if (!file) return fail(file.error());
  weight_cache_reader out;
  out.path_ = path;
  out.file_ = std::move(*file);
  out.left_ = out.file_->bytes();
  const auto bytes = out.take(sizeof(file_head));
  if (!bytes) return fail(bytes.error());
  const auto head = head_from<file_head>(*bytes);
  if (head.magic != file_head().magic || head.zero != 0)
    return fail(status_code::corrupt, text(path, ": is no file of packed weights"));
  if (head.version != packing_version)
    return fail(status_code::unsupported, text(path, ": is of version ", head.version,
                                               ", this program reads ", packing_version));
  if (head.key != key)
    return fail(status_code::corrupt,
                text(path, ": is of another model, or of files that have changed"));
  return out;
}

result<weight_matrix> weight_cache_reader::next(compute::weight_format format, uint32_t outputs,
                                                uint32_t inputs) {
  const auto head_bytes = take(sizeof(matrix_head));
  if (!head_bytes) return fail(head_bytes.error());
  const auto head = head_from<matrix_head>(*head_bytes);
  if (head.format != static_cast<uint32_t>(format) || head.outputs != outputs ||
      head.inputs != inputs || head.zero != 0)
    return fail(status_code::corrupt, text(path_, ": another matrix stands where one of ", outputs,
                                           " x ", inputs, " is due"));
  const compute::weight_layout layout{format, outputs, inputs};
  const auto values = take(layout.value_bytes());
  if (!values) return fail(values.error());
  const auto scales = take(layout.scale_bytes());
  if (!scales) return fail(scales.error());
  auto made = weight_matrix::try_make(format, outputs, inputs, &memory_);
  if (!made)
    return fail(status_code::exhausted, text("no memory for ", layout.value_bytes(), " bytes"));
  std::memcpy(made->values().data(), values->data(), values->size());
  if (!scales->empty()) std::memcpy(made->scales().data(), scales->data(), scales->size());
  // Of the copy: whoever writes to the file meanwhile is found out, too.
  if (schemas::checksum_of(bytes_of(made->values())) != head.values ||
      schemas::checksum_of(bytes_of(made->scales())) != head.scales)
    return fail(status_code::corrupt,
                text(path_, ": a matrix of ", outputs, " x ", inputs, " is not as it was written"));
  return std::move(*made);
}

weight_cache_writer::weight_cache_writer(std::unique_ptr<storage::disk> disk,
                                         const weight_cache_key& key)
    : disk_(std::move(disk)), name_(weight_cache_name(key)) {
  file_head head;
  head.key = key;
  first_ = disk_->write(unfinished(), bytes_of(head));
}

weight_cache_writer::~weight_cache_writer() {
  if (!finished_) (void)disk_->remove(unfinished());
}

void weight_cache_writer::append(std::span<const std::byte> bytes) {
  if (first_.ok() && !bytes.empty()) first_ = disk_->append(unfinished(), bytes);
}

void weight_cache_writer::add(const weight_matrix& matrix) {
  if (!first_.ok()) return;
  const matrix_head head{static_cast<uint32_t>(matrix.format()),
                         matrix.outputs(),
                         matrix.inputs(),
                         0,
                         schemas::checksum_of(bytes_of(matrix.values())),
                         schemas::checksum_of(bytes_of(matrix.scales()))};
  append(bytes_of(head));
  append(bytes_of(matrix.values()));
  append(bytes_of(matrix.scales()));
}

status weight_cache_writer::finish() {
  TROUPE_RETURN_IF_ERROR(first_);
  TROUPE_RETURN_IF_ERROR(disk_->sync(unfinished()));
  TROUPE_RETURN_IF_ERROR(disk_->rename(unfinished(), name_));
  finished_ = true;
  return disk_->sync_directory();
}

} // namespace troupe::actors
