// Views of activations and the aligned memory behind them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace troupe::compute {

// Rows of f32 that somebody else owns. Row r starts at data + r * stride; cols <= stride.
struct matrix_view {
  float* data = nullptr;
  uint32_t rows = 0;
  uint32_t cols = 0;
  size_t stride = 0; // floats

  float* row(uint32_t r) const { return data + size_t{r} * stride; }
  matrix_view first_rows(uint32_t count) const { return {data, count, cols, stride}; }
  matrix_view rows_at(uint32_t begin, uint32_t count) const {
    return {row(begin), count, cols, stride};
  }
  // Columns [begin, begin + count) of every row.
  matrix_view columns(uint32_t begin, uint32_t count) const {
    return {data + begin, rows, count, stride};
  }
};

struct const_matrix_view {
  const float* data = nullptr;
  uint32_t rows = 0;
  uint32_t cols = 0;
  size_t stride = 0; // floats

  const_matrix_view() = default;
  const_matrix_view(const float* d, uint32_t r, uint32_t c, size_t s)
      : data(d), rows(r), cols(c), stride(s) {}
  const_matrix_view(const matrix_view& v) // every view may be read
      : data(v.data), rows(v.rows), cols(v.cols), stride(v.stride) {}

  const float* row(uint32_t r) const { return data + size_t{r} * stride; }
};

// Bytes aligned to a cache line and to the widest vector; zeroed. Owned by whoever holds it.
class buffer {
public:
  static constexpr size_t alignment = 64;

  buffer() = default;
  // Ends the process when there is no memory; try_make is the checked way.
  explicit buffer(size_t bytes);
  // Nothing when the memory cannot be had.
  static std::optional<buffer> try_make(size_t bytes);
  buffer(buffer&& other) noexcept
      : data_(std::move(other.data_)), bytes_(std::exchange(other.bytes_, 0)) {}
  buffer& operator=(buffer&& other) noexcept {
    data_ = std::move(other.data_);
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }

  std::byte* data() const { return data_.get(); }
  size_t bytes() const { return bytes_; }
  template <class T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(data_.get()), bytes_ / sizeof(T)};
  }

private:
  friend class buffer_arena;
  struct release {
    release() : bytes(0) {}
    explicit release(size_t b) : bytes(b) {}
    void operator()(std::byte* data) const;
    size_t bytes;                       // what was asked for decides how it was allocated
    std::shared_ptr<const buffer> slab; // or this owns the memory, shared with its neighbours
  };
  std::unique_ptr<std::byte, release> data_;
  size_t bytes_ = 0;
};

// Gives out buffers that lie side by side in large pieces of memory, on huge pages where there are
// any: what is loaded one after another is then read as one stream. A piece goes back when all of
// its buffers have gone. Not for several threads at once.
class buffer_arena {
public:
  // Zeroed, aligned and released like any buffer; nothing when the memory cannot be had.
  std::optional<buffer> take(size_t bytes);

private:
  std::shared_ptr<const buffer> slab_;
  size_t used_ = 0;
};

} // namespace troupe::compute
