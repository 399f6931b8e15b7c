// Writes a model directory as Hugging Face would lay it out, into memory, and has it loaded.
#include "simulations/seams/tiny_model.hpp"

#include "base/random.hpp"
#include "base/text.hpp"
#include "model/safetensors.hpp"
#include "storage/memory_file_system.hpp"

#include <bit>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::simulations {
namespace {

constexpr uint64_t weight_seed = 0x7472'6f75'7065; // part of what every run means
constexpr uint32_t vocabulary = tiny_model_end + 1;
constexpr uint32_t heads = 2;
constexpr std::string_view end_text = "<|end|>";

// Products that keep the size of what they are given would let the last token alone decide; these
// let every layer and the whole text have a say, and the logits differ by several units.
constexpr float layer_gain = 4.0f;
constexpr float head_gain = 3.0f;

struct tensor {
  std::string name;
  uint32_t rows = 1; // 1: a norm, all ones
  uint32_t cols = 1;
  float gain = layer_gain;
};

std::vector<tensor> tensors_of(const tiny_model_options& o) {
  const uint32_t hidden = o.hidden, inner = o.hidden, head = o.hidden / heads;
  std::vector<tensor> out;
  const auto add = [&out](std::string name, uint32_t rows, uint32_t cols, float gain = layer_gain) {
    out.push_back({std::move(name), rows, cols, gain});
  };
  const auto add_mlp = [&add, hidden, inner](const std::string& at) {
    add(at + "gate_proj.weight", inner, hidden);
    add(at + "up_proj.weight", inner, hidden);
    add(at + "down_proj.weight", hidden, inner);
  };
  add("model.embed_tokens.weight", vocabulary, hidden, 1.0f);
  for (uint32_t i = 0; i < o.layers; ++i) {
    const std::string at = text("model.layers.", i, '.');
    add(at + "input_layernorm.weight", 1, hidden);
    add(at + "self_attn.q_proj.weight", hidden, hidden);
    add(at + "self_attn.k_proj.weight", head, hidden);
    add(at + "self_attn.v_proj.weight", head, hidden);
    add(at + "self_attn.o_proj.weight", hidden, hidden);
    add(at + "self_attn.q_norm.weight", 1, head);
    add(at + "self_attn.k_norm.weight", 1, head);
    add(at + "post_attention_layernorm.weight", 1, hidden);
    if (i == 0) {
      add_mlp(at + "mlp.");
      continue;
    }
    add(at + "mlp.gate.weight", o.experts, hidden);
    for (uint32_t e = 0; e < o.experts; ++e) add_mlp(text(at, "mlp.experts.", e, '.'));
  }
  add("model.norm.weight", 1, hidden);
  add("lm_head.weight", vocabulary, hidden, head_gain);
  return out;
}

// bf16 is the upper half of an f32.
void append_bf16(std::string& out, float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  out += static_cast<char>(bits >> 16 & 255);
  out += static_cast<char>(bits >> 24);
}

void append_values(std::string& out, const tensor& t, uint32_t number) {
  const random_key key{weight_seed, random_subsystem::weights, number};
  const float scale = t.gain * std::sqrt(3.0f / static_cast<float>(t.cols));
  for (uint64_t i = 0; i < uint64_t{t.rows} * t.cols; ++i)
    append_bf16(out, t.rows == 1 ? 1.0f : (random_unit(key, i) * 2 - 1) * scale);
}

std::string safetensors_of(const std::vector<tensor>& tensors) {
  std::vector<model::tensor_to_store> stored;
  std::string data;
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    const tensor& t = tensors[i];
    const size_t begin = data.size();
    append_values(data, t, i);
    std::vector<uint64_t> shape{t.cols};
    if (t.rows > 1) shape.insert(shape.begin(), t.rows);
    stored.push_back({t.name, "BF16", shape, data.size() - begin});
  }
  return model::safetensors_header(stored) + data;
}

std::string config_of(const tiny_model_options& o) {
  return text(R"({"architectures":["Qwen3MoeForCausalLM"],"model_type":"qwen3_moe","vocab_size":)",
              vocabulary, R"(,"hidden_size":)", o.hidden, R"(,"intermediate_size":)", o.hidden,
              R"(,"moe_intermediate_size":)", o.hidden, R"(,"num_hidden_layers":)", o.layers,
              R"(,"num_attention_heads":)", heads, R"(,"num_key_value_heads":1,"head_dim":)",
              o.hidden / heads, R"(,"num_experts":)", o.experts, R"(,"num_experts_per_tok":)",
              o.top_k, R"(,"norm_topk_prob":true,"decoder_sparse_step":1,"mlp_only_layers":[0])",
              R"(,"max_position_embeddings":)", o.positions_max,
              R"(,"rms_norm_eps":1e-6,"hidden_act":"silu","tie_word_embeddings":false)",
              R"(,"rope_theta":10000.0,"bos_token_id":null,"eos_token_id":)", tiny_model_end, '}');
}

// The letter that byte-level tokenizers write for a byte: itself where it can be seen, else one of
// those from 256 on.
uint32_t letter_of(uint32_t byte) {
  const auto seen = [](uint32_t b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  if (seen(byte)) return byte;
  uint32_t hidden_before = 0;
  for (uint32_t b = 0; b < byte; ++b) hidden_before += !seen(b);
  return 256 + hidden_before;
}

std::string tokenizer_text() {
  std::string vocab;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const uint32_t letter = letter_of(byte);
    std::string key;
    if (letter < 128) {
      if (letter == '"' || letter == '\\') key += '\\';
      key += static_cast<char>(letter);
    } else {
      key += static_cast<char>(0xC0 | letter >> 6);
      key += static_cast<char>(0x80 | (letter & 0x3F));
    }
    vocab += text(byte > 0 ? "," : "", '"', key, "\":", byte);
  }
  return text(R"({"version":"1.0","added_tokens":[{"id":)", tiny_model_end, R"(,"content":")",
              end_text,
              R"(","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,)",
              R"("special":true}],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel",)",
              R"("add_prefix_space":false,"trim_offsets":true,"use_regex":false},)",
              R"("post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":false,)",
              R"("trim_offsets":true,"use_regex":false},"model":{"type":"BPE","vocab":{)", vocab,
              R"(},"merges":[]}})");
}

} // namespace

result<std::shared_ptr<const actors::model_bundle>> make_tiny_model(
    compute::executor& executor, const tiny_model_options& options) {
  if (options.layers == 0 || options.hidden == 0 || options.hidden % 4 != 0 || options.top_k == 0 ||
      options.top_k > options.experts)
    return fail(status_code::invalid_argument,
                "a tiny model has layers, a width that is a multiple of 4, and no more experts a "
                "token than experts");
  storage::memory_file_system files;
  files.put("tiny/config.json", config_of(options));
  files.put("tiny/tokenizer.json", tokenizer_text());
  files.put("tiny/model.safetensors", safetensors_of(tensors_of(options)));
  actors::model_bundle_options how;
  how.directory = "tiny";
  return actors::load_model_bundle(files, executor, how);
}

} // namespace troupe::simulations
