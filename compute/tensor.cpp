// The memory behind views: small buffers from the heap, large ones straight from the kernel, which
// gives zeroed pages on first use and lets huge pages be asked for.
#include "compute/tensor.hpp"

#include "base/check.hpp"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace troupe::compute {
namespace {

constexpr size_t huge_page = size_t{2} << 20;
constexpr size_t small_page = 4096;
constexpr size_t slab_bytes = size_t{64} << 20;

size_t rounded_up(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// Begins at a huge page, so that the kernel can use huge ones; ends at a small one, so that the
// last of them wastes nothing.
std::byte* map_pages(size_t bytes) {
  const size_t wanted = rounded_up(bytes, small_page);
  void* raw = mmap(nullptr, wanted + huge_page, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(raw);
  const size_t skipped = rounded_up(reinterpret_cast<uintptr_t>(begin), huge_page) -
                         reinterpret_cast<uintptr_t>(begin);
  if (skipped > 0) munmap(begin, skipped);
  if (skipped < huge_page) munmap(begin + skipped + wanted, huge_page - skipped);
  madvise(begin + skipped, wanted, MADV_HUGEPAGE); // a wish; small pages are right as well
  return begin + skipped;
}

std::byte* heap(size_t bytes) {
  const size_t wanted = rounded_up(bytes, buffer::alignment);
  auto* data = static_cast<std::byte*>(std::aligned_alloc(buffer::alignment, wanted));
  if (data != nullptr) std::memset(data, 0, wanted);
  return data;
}

} // namespace

void buffer::release::operator()(std::byte* data) const {
  if (slab != nullptr) return;
  if (bytes >= huge_page) {
    munmap(data, rounded_up(bytes, small_page));
  } else {
    std::free(data);
  }
}

std::optional<buffer> buffer::try_make(size_t bytes) {
  buffer made;
  if (bytes == 0) return made;
  if (bytes > SIZE_MAX - 2 * huge_page) return std::nullopt;
  std::byte* data = bytes >= huge_page ? map_pages(bytes) : heap(bytes);
  if (data == nullptr) return std::nullopt;
  made.data_ = std::unique_ptr<std::byte, release>(data, release{bytes});
  made.bytes_ = bytes;
  return made;
}

std::optional<buffer> buffer_arena::take(size_t bytes) {
  if (bytes == 0 || bytes > slab_bytes / 4) return buffer::try_make(bytes);
  const size_t wanted = rounded_up(bytes, buffer::alignment);
  if (slab_ == nullptr || slab_->bytes() - used_ < wanted) {
    auto made = buffer::try_make(slab_bytes);
    if (!made) return std::nullopt;
    slab_ = std::make_shared<const buffer>(std::move(*made));
    used_ = 0;
  }
  buffer out;
  buffer::release keep(bytes);
  keep.slab = slab_;
  out.data_ = std::unique_ptr<std::byte, buffer::release>(slab_->data() + used_, std::move(keep));
  out.bytes_ = bytes;
  used_ += wanted;
  return out;
}

buffer::buffer(size_t bytes) {
  auto made = try_make(bytes);
  TROUPE_CHECK(made.has_value());
  *this = std::move(*made);
}

} // namespace troupe::compute
