// Damaged GGUF files through every reader: a refusal must say something, and what is accepted must
// be readable to the last byte.
#include "tests/fuzz/gguf_target.hpp"

#include "base/check.hpp"
#include "model/description.hpp"
#include "model/generation_defaults.hpp"
#include "model/gguf/block_formats.hpp"
#include "model/gguf/gguf_config.hpp"
#include "model/gguf/gguf_file.hpp"
#include "model/gguf/gguf_tensors.hpp"
#include "model/gguf/gguf_tokenizer.hpp"
#include "model/staged_slice.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "tests/support/gguf_writer.hpp"

namespace troupe::fuzz {
namespace {

using test_support::gguf_writer;

template <class T>
bool usable(const result<T>& value) {
  TROUPE_CHECK(value.has_value() || !value.error().why().empty());
  return value.has_value();
}

void read_tokenizer(const model::gguf_file& file) {
  const auto json = model::gguf_tokenizer_json(file);
  const auto config = model::gguf_tokenizer_config_json(file);
  if (!usable(json) || !usable(config)) return;
  const auto made =
      model::tokenizer::parse(*json, "tokenizer.json", *config, "tokenizer_config.json");
  if (!usable(made)) return;
  const auto ids = made->encode("abba <|end|> \u00e9\n");
  if (usable(ids)) made->decode(*ids, true);
}

void put_tensor(gguf_writer& out, const std::string& name, std::vector<uint64_t> shape,
                uint32_t type) {
  const auto* format = model::find_block_format(type);
  uint64_t bytes = format->bytes;
  for (const uint64_t dimension : shape) bytes *= dimension;
  out.tensors.push_back(
      {name, std::move(shape), type, std::string(bytes / format->elements, '\1')});
}

std::string seed(const std::string& architecture, bool sentence_pieces) {
  gguf_writer out;
  out.put_word("general.architecture", architecture);
  out.put_u32("general.alignment", 32);
  for (const auto& [key, value] : {std::pair("embedding_length", 32),
                                   {"block_count", 1},
                                   {"context_length", 64},
                                   {"feed_forward_length", 32},
                                   {"attention.head_count", 2},
                                   {"expert_count", 2},
                                   {"expert_used_count", 1},
                                   {"attention.head_count_kv", 1}})
    out.put_u32(architecture + "." + key, static_cast<uint64_t>(value));
  out.put_f32(architecture + ".attention.layer_norm_rms_epsilon", 1e-5);
  out.put_word(architecture + ".rope.scaling.type", "yarn");
  out.put_f32(architecture + ".rope.scaling.factor", 2);
  out.put_word("tokenizer.ggml.model", sentence_pieces ? "llama" : "gpt2");
  if (!sentence_pieces) out.put_word("tokenizer.ggml.pre", "llama-bpe");
  out.put_words("tokenizer.ggml.tokens",
                {"<unk>", "<s>", "</s>", "a", "b", "ab", "<0x0A>", "<|end|>"});
  out.put_i32s("tokenizer.ggml.token_type", {2, 3, 3, 1, 1, 1, 6, 4});
  out.put_f32s("tokenizer.ggml.scores", {0, 0, 0, -1, -2, -3, 0, 0});
  out.put_words("tokenizer.ggml.merges", {"a b"});
  out.put_word("tokenizer.chat_template", "{{ messages[0].content }}");
  put_tensor(out, "token_embd.weight", {8, 32}, 8);
  put_tensor(out, "output_norm.weight", {32}, 0);
  put_tensor(out, "blk.0.attn_norm.weight", {32}, 0);
  put_tensor(out, "blk.0.ffn_norm.weight", {32}, 0);
  put_tensor(out, "blk.0.attn_q.weight", {32, 32}, 2);
  put_tensor(out, "blk.0.attn_k.weight", {16, 32}, 30);
  put_tensor(out, "blk.0.attn_v.weight", {16, 32}, 1);
  put_tensor(out, "blk.0.attn_output.weight", {32, 32}, 6);
  put_tensor(out, "blk.0.ffn_gate_inp.weight", {2, 32}, 0);
  put_tensor(out, "blk.0.ffn_gate_exps.weight", {2, 32, 32}, 8);
  put_tensor(out, "blk.0.ffn_up_exps.weight", {2, 32, 32}, 2);
  put_tensor(out, "blk.0.ffn_down_exps.weight", {2, 32, 32}, 3);
  return out.bytes();
}

} // namespace

void read_gguf(std::span<const std::byte> bytes) {
  const auto file = model::gguf_file::parse("fuzzed.gguf", bytes);
  if (!usable(file)) return;
  for (const auto& [name, tensor] : file->tensors()) {
    TROUPE_CHECK(tensor.data.empty() ||
                 (tensor.data.data() >= bytes.data() &&
                  tensor.data.data() + tensor.data.size() <= bytes.data() + bytes.size()));
    if (tensor.is_readable()) TROUPE_CHECK(model::values_of(tensor).size() == tensor.elements());
  }
  read_tokenizer(*file);
  const auto defaults = model::gguf_generation_json(*file);
  if (usable(defaults)) (void)usable(model::parse_generation_config(*defaults));
  const auto index = model::gguf_tensor_index(*file);
  const auto config = model::gguf_config_json(*file);
  if (!usable(index) || !usable(config)) return;
  const auto description = model::parse_config(*config);
  if (!usable(description)) return;
  const auto survey = model::survey_weights(*description, *index);
  if (!usable(survey)) return;
  for (const auto& [name, tensor] : index->tensors())
    if (tensor.is_readable()) TROUPE_CHECK(model::values_of(tensor).size() == tensor.elements());
}

std::vector<std::string> gguf_seeds() {
  return {seed("llama", true), seed("llama", false), seed("olmoe", false),
          seed("granitemoe", true)};
}

} // namespace troupe::fuzz
