// A model on disk: a directory in the form of Hugging Face, or a single GGUF file. Finds its files
// and reads or maps them through the file seam. Every failure names the file.
#pragma once

#include "base/status.hpp"
#include "model/chat_template.hpp"
#include "model/tensor_index.hpp"
#include "model/tokenizer.hpp"
#include "storage/file_system.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::actors {

// A small text file, or what a GGUF file says in its place, with the path that messages name.
struct text_file {
  std::string path;
  std::string content;
  bool present = true; // optional files need not be
  status unusable{};   // why a tokenizer that nobody demanded cannot be had from a GGUF file
};

struct model_texts {
  text_file config, generation, tokenizer, tokenizer_config, chat_template;
};

// The weight files and what keeps their bytes there. Tensors know their file by its bare name.
struct mapped_weights {
  std::vector<std::unique_ptr<storage::mapped_file>> files;
  std::vector<std::pair<std::string, uint64_t>> file_bytes; // by name
  uint64_t changed_at = 0; // of all files together (storage::file_system::changed_at)
  model::tensor_index index;
};

class model_directory {
public:
  // The path of a directory or of a GGUF file. Fails when there is neither or when it is not that
  // of a model. `files` must outlive it.
  static result<model_directory> open(const storage::file_system& files, std::string path);

  const std::string& path() const { return path_; }
  bool is_gguf() const { return is_gguf_; }
  std::string name() const; // last part of the path, without .gguf
  std::string path_of(std::string_view file) const;

  // config.json must be there, and tokenizer.json where it is needed; the others may be. The same
  // texts come from the metadata of a GGUF file.
  result<model_texts> read_texts(bool tokenizer_needed = true) const;
  // model.safetensors, else the shards of model.safetensors.index.json. Reads headers only.
  result<mapped_weights> map_weights() const;

  // A failure of the weights' readers, which begins with a bare file name or speaks of no file.
  status in_directory(const status& failure) const;

private:
  model_directory(const storage::file_system& files, std::string path)
      : files_(files), path_(std::move(path)) {}
  status check() const;
  bool has(std::string_view file) const { return files_.exists(path_of(file)); }
  result<text_file> read(std::string_view file, size_t bytes_max) const;
  result<text_file> need(std::string_view file, size_t bytes_max, std::string_view what_for) const;
  result<text_file> want(std::string_view file, size_t bytes_max) const;
  result<model::safetensors_file> map_file(std::string_view file, mapped_weights& into) const;
  result<mapped_weights> map_single() const;
  result<mapped_weights> map_shards() const;
  result<model_texts> read_gguf_texts(bool tokenizer_needed) const;
  result<mapped_weights> map_gguf() const;

  const storage::file_system& files_;
  std::string path_;
  bool is_gguf_ = false;
};

result<model::tokenizer> parse_tokenizer(const model_texts& texts);
// not_found when the model has none.
result<model::chat_template> parse_chat_template(const model_texts& texts);

} // namespace troupe::actors
