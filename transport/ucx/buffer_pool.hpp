// Memory for frames: aligned for vector instructions, and kept for the next frame, because fresh
// pages of a large frame cost as much as copying it.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace troupe::transport {

inline constexpr size_t buffer_align_bytes = 64;

class buffer_pool;

// Bytes on loan from a pool; goes back by itself. Does not outlive the pool.
class frame_buffer {
public:
  frame_buffer() = default;
  frame_buffer(frame_buffer&& other) noexcept { swap(other); }
  frame_buffer& operator=(frame_buffer&& other) noexcept {
    frame_buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~frame_buffer();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }

private:
  friend class buffer_pool;
  frame_buffer(buffer_pool* pool, std::byte* data, size_t size, size_t capacity)
      : pool_(pool), data_(data), size_(size), capacity_(capacity) {}
  void swap(frame_buffer& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  buffer_pool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
};

// Any thread.
class buffer_pool {
public:
  // Keeps at most so many bytes that nobody uses.
  explicit buffer_pool(size_t idle_bytes_max) : idle_bytes_max_(idle_bytes_max) {}
  ~buffer_pool();
  buffer_pool(const buffer_pool&) = delete;
  buffer_pool& operator=(const buffer_pool&) = delete;

  frame_buffer take(size_t bytes);
  size_t idle_bytes() const;

private:
  friend class frame_buffer;
  void give_back(std::byte* data, size_t capacity);

  size_t idle_bytes_max_;
  mutable std::mutex mutex_;
  size_t idle_bytes_ = 0;
  std::array<std::vector<std::byte*>, 256> idle_; // by class of the capacity
};

} // namespace troupe::transport
