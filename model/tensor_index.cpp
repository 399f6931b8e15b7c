// Joins shards and holds them against the index file.
#include "model/tensor_index.hpp"

#include "base/text.hpp"
#include "model/config_fields.hpp"
#include "model/fp8.hpp"
#include "model/json_document.hpp"

#include <algorithm>
#include <set>

namespace troupe::model {

result<shard_map> parse_shard_map(std::string_view index_json, std::string_view file) {
  const auto document = parse_json_object(index_json, file);
  if (!document) return fail(document.error());
  status first;
  config_fields fields(*document, file, first);
  const auto* weight_map = fields.object("weight_map");
  if (first.ok() && weight_map == nullptr)
    fields.refuse_field(status_code::corrupt, "weight_map", "is missing");
  if (!first.ok()) return fail(first);

  shard_map out;
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weight_map->items()) {
    if (!shard.is_string()) {
      return fail(status_code::corrupt,
                  text(file, ": the shard of '", tensor, "' is ", json_kind(shard)));
    }
    const auto& name = shard.get_ref<const std::string&>();
    if (name.empty() || name.front() == '.' ||
        name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      return fail(status_code::corrupt, text(file, ": the shard of '", tensor, "' is '", name,
                                             "', which is no plain file name"));
    }
    out.shard_of.emplace(tensor, name);
    shards.insert(name);
  }
  out.shards.assign(shards.begin(), shards.end());
  return out;
}

tensor_index::tensor_index(safetensors_file single) {
  for (const auto& tensor : single.tensors()) tensors_.emplace(tensor.name, tensor);
  attach_fp8_scales(tensors_);
}

result<tensor_index> tensor_index::sharded(const shard_map& map,
                                           std::vector<safetensors_file> files) {
  tensor_index out;
  std::set<std::string_view> present;
  for (const auto& file : files) present.insert(file.file());
  for (const auto& shard : map.shards) {
    if (present.count(shard) == 0)
      return fail(status_code::not_found, text("shard '", shard, "' is missing"));
  }
  for (const auto& file : files) {
    for (const auto& tensor : file.tensors()) {
      const auto promised = map.shard_of.find(tensor.name);
      if (promised == map.shard_of.end()) continue; // nobody asked for it
      if (promised->second != file.file()) {
        return fail(status_code::corrupt,
                    text(file.file(), ": holds tensor '", tensor.name,
                         "', which the index places in '", promised->second, "'"));
      }
      out.tensors_.emplace(tensor.name, tensor);
    }
  }
  for (const auto& [tensor, shard] : map.shard_of) {
    if (out.tensors_.count(tensor) == 0) {
      return fail(status_code::corrupt,
                  text(shard, ": lacks tensor '", tensor, "', which the index places there"));
    }
  }
  attach_fp8_scales(out.tensors_);
  return out;
}

const stored_tensor* tensor_index::find(std::string_view name) const {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : &at->second;
}

} // namespace troupe::model
