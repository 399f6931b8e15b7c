// Takes tensors out of a checkpoint, checked and packed. The first error sticks, so that the layout
// of a part reads as a list. Without an executor it only checks and counts.
#pragma once

#include "model/staged_slice.hpp"
#include "model/weights.hpp"

#include <set>

namespace troupe::model {

// What a matrix is for decides how far it may be narrowed.
enum class matrix_role : uint8_t { body, table, absorbed, router };

class weight_reader {
public:
  weight_reader(const tensor_index& index, compute::executor* executor, const load_options& options,
                uint64_t bytes_done, uint64_t bytes_total)
      : index_(index),
        executor_(executor),
        options_(options),
        bytes_done_(bytes_done),
        bytes_total_(bytes_total) {}

  bool has(const std::string& name) const { return index_.find(name) != nullptr; }

  // The whole tensor `name`, which must be [rows, cols].
  weight_matrix matrix(const std::string& name, uint32_t rows, uint32_t cols,
                       matrix_role role = matrix_role::body);
  // A tensor of exactly this shape, to be cut into slices; nullptr after an error.
  const stored_tensor* tensor(const std::string& name, const std::vector<uint64_t>& shape);
  weight_matrix slice(const stored_tensor* from, const tensor_slice& part, matrix_role role);
  std::vector<float> vector(const std::string& name, uint32_t count);
  // Empty unless `wanted`.
  std::vector<float> vector_if(bool wanted, const std::string& name, uint32_t count) {
    return wanted ? vector(name, count) : std::vector<float>();
  }

  const status& first_error() const { return first_; }
  bool ok() const { return first_.ok(); }
  uint64_t bytes_done() const { return bytes_done_; }
  const std::set<std::string, std::less<>>& used() const { return used_; }

private:
  result<weight_matrix> load(const stored_tensor& from, const tensor_slice& part, matrix_role role);
  void count(uint64_t bytes);

  const tensor_index& index_;
  compute::executor* executor_;
  const load_options& options_;
  uint64_t bytes_done_;
  uint64_t bytes_total_;
  std::set<std::string, std::less<>> used_;
  status first_;
};

} // namespace troupe::model
