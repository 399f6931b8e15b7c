// Buffers by powers of two.
#include "transport/ucx/buffer_pool.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace troupe::transport {
namespace {

constexpr size_t capacity_min = 256;

size_t class_of(size_t capacity) {
  return static_cast<size_t>(std::bit_width(capacity)) - 1;
}

void release(std::byte* data) {
  ::operator delete (data, std::align_val_t{buffer_align_bytes});
}

} // namespace

frame_buffer::~frame_buffer() {
  if (pool_ != nullptr) pool_->give_back(data_, capacity_);
}

buffer_pool::~buffer_pool() {
  for (auto& idle : idle_)
    for (std::byte* data : idle) release(data);
}

frame_buffer buffer_pool::take(size_t bytes) {
  const size_t capacity = std::bit_ceil(std::max(bytes, capacity_min));
  {
    std::lock_guard lock(mutex_);
    auto& idle = idle_[class_of(capacity)];
    if (!idle.empty()) {
      std::byte* data = idle.back();
      idle.pop_back();
      idle_bytes_ -= capacity;
      return frame_buffer(this, data, bytes, capacity);
    }
  }
  auto* data =
      static_cast<std::byte*>(::operator new (capacity, std::align_val_t{buffer_align_bytes}));
  return frame_buffer(this, data, bytes, capacity);
}

size_t buffer_pool::idle_bytes() const {
  std::lock_guard lock(mutex_);
  return idle_bytes_;
}

void buffer_pool::give_back(std::byte* data, size_t capacity) {
  {
    std::lock_guard lock(mutex_);
    if (idle_bytes_ + capacity <= idle_bytes_max_) {
      idle_[class_of(capacity)].push_back(data);
      idle_bytes_ += capacity;
      return;
    }
  }
  release(data);
}

} // namespace troupe::transport
