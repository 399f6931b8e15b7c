// Buffers by classes of their size, four to a power of two: a frame of 64 MiB and a seal must not
// take 128.
#include "transport/ucx/buffer_pool.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace troupe::transport {
namespace {

constexpr size_t capacity_min = 256;

constexpr int step_bits = 2; // four steps to a power of two

int shift_of(size_t bytes) {
  return std::bit_width(bytes) - 1 - step_bits;
}

// The least capacity of a class that holds so many.
size_t capacity_for(size_t bytes) {
  bytes = std::max(bytes, capacity_min);
  const int shift = shift_of(bytes);
  const size_t below = (size_t{1} << shift) - 1;
  return (bytes + below) & ~below;
}

size_t class_of(size_t capacity) {
  const int shift = shift_of(capacity);
  return (static_cast<size_t>(shift) << step_bits) + (capacity >> shift) - (size_t{1} << step_bits);
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
  const size_t capacity = capacity_for(bytes);
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
