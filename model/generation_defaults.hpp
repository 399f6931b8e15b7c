// Defaults for generating that a checkpoint brings along.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace troupe::model {

// Unset: the checkpoint says nothing.
struct generation_defaults {
  std::vector<int32_t> eos_ids;
  std::optional<int32_t> bos_id;
  std::optional<int32_t> pad_id;
  std::optional<float> temperature;
  std::optional<uint32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
  std::optional<bool> do_sample; // false: greedy, whatever the other fields say
  std::optional<uint32_t> max_new_tokens;
};

result<generation_defaults> parse_generation_config(
    std::string_view json_text, std::string_view file = "generation_config.json");

} // namespace troupe::model
