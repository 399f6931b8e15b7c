// Loading whole model directories: what is optional, what is demanded, and what each failure names.
#include "actors/model_bundle.hpp"

#include "compute/cpu_executor.hpp"
#include "model/description.hpp"
#include "model/generation_defaults.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"
#include "storage/memory_file_system.hpp"
#include "storage/posix_file_system.hpp"
#include "tests/support/gguf_writer.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace troupe::actors {
namespace {

const std::string golden_models = TROUPE_SOURCE_DIR "/tests/golden/models/";
const std::string built_in_model = TROUPE_SOURCE_DIR "/models/tales";

// Sixteen one-letter tokens: the checkpoints of the goldens come without a tokenizer.
std::string small_tokenizer() {
  std::string vocabulary;
  for (char letter = 'a'; letter < 'a' + 16; ++letter) {
    vocabulary += vocabulary.empty() ? "" : ",";
    vocabulary += std::string("\"") + letter + "\":" + std::to_string(letter - 'a');
  }
  return R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,)"
         R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},)"
         R"("post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},)"
         R"("model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,)"
         R"("end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{)" +
         vocabulary + R"(},"merges":[]}})";
}

class model_bundle_test : public testing::Test {
protected:
  model_bundle_test() : executor(*compute::make_cpu_executor({.threads = 1})) {}

  // A golden checkpoint with a tokenizer, in memory under /models/NAME.
  void copy_golden(const std::string& name) {
    const storage::posix_file_system disk;
    directory = "/models/" + name;
    const auto names = disk.list(golden_models + name);
    ASSERT_TRUE(names.has_value()) << names.error().why();
    for (const auto& file : *names) {
      if (file.starts_with("golden.")) continue;
      files.put(directory + "/" + file,
                *disk.read_text(golden_models + name + "/" + file, 1 << 24));
    }
    files.put(directory + "/tokenizer.json", small_tokenizer());
  }

  std::string content(const std::string& file) {
    return *files.read_text(directory + "/" + file, 1 << 24);
  }
  void put(const std::string& file, const std::string& text) {
    files.put(directory + "/" + file, text);
  }
  void remove(const std::string& file) { files.remove(directory + "/" + file); }

  // In the header of the weight file; both names have the same length.
  void rename_tensor(const std::string& from, const std::string& to) {
    auto weights = content("model.safetensors");
    ASSERT_NE(weights.find('"' + from + '"'), std::string::npos);
    weights.replace(weights.find('"' + from + '"') + 1, from.size(), to);
    put("model.safetensors", weights);
  }

  result<std::shared_ptr<const model_bundle>> load() {
    model_bundle_options options;
    options.directory = directory;
    options.format = format;
    options.progress = progress;
    return load_model_bundle(files, *executor, options);
  }

  uint64_t fingerprint() {
    const auto bundle = load();
    EXPECT_TRUE(bundle.has_value()) << (bundle ? "" : bundle.error().why());
    return bundle ? (*bundle)->fingerprint : 0;
  }

  // That loading fails with the code and names every one of `words`.
  void expect_failure(status_code code, const std::vector<std::string>& words) {
    const auto bundle = load();
    ASSERT_FALSE(bundle.has_value());
    EXPECT_EQ(to_string(bundle.error().code()), to_string(code)) << bundle.error().why();
    for (const auto& word : words)
      EXPECT_NE(bundle.error().why().find(word), std::string::npos) << bundle.error().why();
  }

  std::unique_ptr<compute::executor> executor;
  storage::memory_file_system files;
  std::string directory;
  std::optional<compute::weight_format> format;
  std::function<void(uint64_t, uint64_t)> progress;
};

TEST_F(model_bundle_test, loads_the_built_in_model_from_disk) {
  storage::posix_file_system disk;
  model_bundle_options options;
  options.directory = built_in_model + "//";
  const auto bundle = load_model_bundle(disk, *executor, options);
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  EXPECT_EQ((*bundle)->name, "tales");
  EXPECT_EQ((*bundle)->directory, built_in_model);
  EXPECT_EQ((*bundle)->description->vocabulary, (*bundle)->tokenizer->vocab_size());
  EXPECT_EQ((*bundle)->weights->layers.size(), (*bundle)->description->layers.size());
  EXPECT_TRUE((*bundle)->warnings.empty());
}

TEST_F(model_bundle_test, loads_every_golden_checkpoint) {
  const storage::posix_file_system disk;
  const auto names = disk.list(golden_models);
  ASSERT_TRUE(names.has_value());
  ASSERT_GE(names->size(), 20u);
  for (const auto& name : *names) {
    copy_golden(name);
    const auto bundle = load();
    EXPECT_TRUE(bundle.has_value()) << name << ": " << bundle.error().why();
  }
}

TEST_F(model_bundle_test, keeps_no_file_mapped_after_loading) {
  copy_golden("mixtral_top3"); // two shards
  const auto bundle = load();
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  const auto before = (*bundle)->fingerprint;
  files = {}; // what is still used of the files would now be freed memory
  EXPECT_EQ((*bundle)->fingerprint, before);
  EXPECT_GT((*bundle)->weights->layers.front().attention.q.bytes(), 0u);
}

TEST_F(model_bundle_test, reports_progress_up_to_the_whole) {
  copy_golden("deepseek_v3_base");
  uint64_t last = 0, total = 0, calls = 0;
  progress = [&](uint64_t done, uint64_t of) {
    EXPECT_GE(done, last);
    last = done;
    total = of;
    ++calls;
  };
  const auto bundle = load();
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  EXPECT_GT(calls, 10u);
  EXPECT_GT(total, 0u);
  EXPECT_EQ(last, total);
}

TEST_F(model_bundle_test, does_without_the_optional_files) {
  copy_golden("qwen3_moe_base");
  remove("generation_config.json");
  const auto bundle = load();
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  EXPECT_TRUE((*bundle)->generation_defaults->eos_ids.empty());
  EXPECT_EQ((*bundle)->chat_template, nullptr);
}

TEST_F(model_bundle_test, reads_the_defaults_for_generating) {
  copy_golden("qwen3_moe_base");
  put("generation_config.json", R"({"temperature": 0.25, "top_k": 7, "eos_token_id": [3, 5]})");
  const auto bundle = load();
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  EXPECT_EQ((*bundle)->generation_defaults->temperature, 0.25f);
  EXPECT_EQ((*bundle)->generation_defaults->top_k, 7u);
  EXPECT_EQ((*bundle)->generation_defaults->eos_ids, (std::vector<int32_t>{3, 5}));
}

TEST_F(model_bundle_test, takes_the_chat_template_from_either_file) {
  copy_golden("llama_base");
  put("tokenizer_config.json", R"({"chat_template": "{{ messages[0]['content'] }}"})");
  EXPECT_NE((*load())->chat_template, nullptr);
  put("tokenizer_config.json", "{}");
  EXPECT_EQ((*load())->chat_template, nullptr);
  EXPECT_TRUE((*load())->warnings.empty());
  put("chat_template.jinja", "{{ messages[0]['content'] }}");
  EXPECT_NE((*load())->chat_template, nullptr);
}

TEST_F(model_bundle_test, a_broken_chat_template_refuses_chats_but_not_the_model) {
  copy_golden("llama_base");
  put("chat_template.jinja", "{% if %}");
  const auto bundle = load();
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  EXPECT_EQ((*bundle)->chat_template, nullptr);
  ASSERT_EQ((*bundle)->warnings.size(), 1u);
  EXPECT_NE((*bundle)->warnings[0].find(directory + "/chat_template.jinja"), std::string::npos)
      << (*bundle)->warnings[0];
}

TEST_F(model_bundle_test, says_that_a_directory_is_not_there) {
  directory = "/models/nowhere";
  expect_failure(status_code::not_found, {"/models/nowhere", "no model directory"});
}

TEST_F(model_bundle_test, says_that_a_directory_is_no_model) {
  files.put("/models/notes/readme.txt", "hello");
  directory = "/models/notes";
  expect_failure(status_code::not_found, {"/models/notes: has no config.json"});
  files.put("/models/notes/weights.gguf", "GGUF");
  expect_failure(status_code::not_found, {"GGUF"});
}

TEST_F(model_bundle_test, points_at_a_gguf_file_in_a_directory) {
  files.put("/models/notes/weights.gguf", "GGUF");
  directory = "/models/notes";
  expect_failure(status_code::not_found, {"/models/notes/weights.gguf"});
}

// ---- GGUF files ----

class gguf_bundle_test : public model_bundle_test {
protected:
  gguf_bundle_test() {
    const storage::posix_file_system disk;
    whole = *disk.read_text(TROUPE_SOURCE_DIR "/tests/golden/gguf/llama.gguf", 1 << 24);
    directory = "/models/small.gguf";
    files.put(directory, whole);
  }
  // In the metadata or the names of tensors; both texts have the same length.
  void replace(const std::string& from, const std::string& to) {
    ASSERT_NE(whole.find(from), std::string::npos) << from;
    auto changed = whole;
    changed.replace(whole.find(from), from.size(), to);
    files.put(directory, changed);
  }
  std::string whole;
};

TEST_F(gguf_bundle_test, loads_all_that_a_directory_has) {
  const auto bundle = load();
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  EXPECT_EQ((*bundle)->name, "small");
  EXPECT_EQ((*bundle)->directory, "/models/small.gguf");
  EXPECT_EQ((*bundle)->description->name, "llama");
  EXPECT_EQ((*bundle)->description->eos_ids, (std::vector<int32_t>{2}));
  EXPECT_EQ((*bundle)->tokenizer->bos_token(), "<s>");
  EXPECT_NE((*bundle)->chat_template, nullptr);
  EXPECT_EQ((*bundle)->weights->layers.front().attention.q.format(), compute::weight_format::f16);
  ASSERT_EQ((*bundle)->warnings.size(), 1u); // its tokenizer is larger than its table
  EXPECT_NE((*bundle)->warnings[0].find("(as tokenizer.json)"), std::string::npos);
}

TEST_F(gguf_bundle_test, reports_progress_up_to_the_whole) {
  uint64_t last = 0, total = 0;
  progress = [&](uint64_t done, uint64_t all) { last = done, total = all; };
  ASSERT_TRUE(load().has_value());
  EXPECT_EQ(last, total);
  EXPECT_GT(total, 90u << 10);
}

TEST_F(gguf_bundle_test, quantises_when_asked) {
  format = compute::weight_format::int4;
  const auto bundle = load();
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  EXPECT_EQ((*bundle)->weights->layers.front().attention.q.format(), compute::weight_format::int4);
}

TEST_F(gguf_bundle_test, the_fingerprint_is_a_function_of_the_content_and_the_format) {
  const auto before = fingerprint();
  directory = "/elsewhere/renamed";
  files.put(directory, whole);
  EXPECT_EQ(fingerprint(), before);
  format = compute::weight_format::int8;
  EXPECT_NE(fingerprint(), before);
  format.reset();
  files.put(directory, whole.substr(0, whole.size() - 1) + '\1');
  EXPECT_NE(fingerprint(), before);
}

TEST_F(gguf_bundle_test, names_the_file_and_what_is_wrong_with_it) {
  files.put(directory, "no model");
  expect_failure(status_code::corrupt, {"/models/small.gguf: ", "no GGUF file"});
  for (const size_t bytes : {size_t(4), size_t(24), size_t(5000), whole.size() - 40}) {
    files.put(directory, whole.substr(0, bytes));
    expect_failure(status_code::corrupt, {"/models/small.gguf: ", "truncated"});
  }
  replace("general.architecture", "general.architectura");
  expect_failure(status_code::corrupt,
                 {"/models/small.gguf: ", "'general.architecture' is missing"});
  replace("llama.block_count", "llama.block_cound");
  expect_failure(status_code::corrupt, {"/models/small.gguf: ", "'llama.block_count' is missing"});
  replace("blk.1.attn_k.weight", "blk.1.attn_x.weight");
  expect_failure(status_code::not_found,
                 {"/models/small.gguf: ", "tensor 'blk.1.attn_k.weight' is missing"});
  replace("tokenizer.ggml.scores", "tokenizer.ggml.scared");
  expect_failure(status_code::corrupt, {"/models/small.gguf: ", "'tokenizer.ggml.scores'"});
  replace("general.name", "split.count\t"); // no such thing as it has a control character
  expect_failure(status_code::corrupt, {"/models/small.gguf: ", "control characters"});
}

TEST_F(gguf_bundle_test, refuses_a_part_of_a_model) {
  test_support::gguf_writer part;
  part.put_word("general.architecture", "llama");
  part.put("split.count", 2, test_support::gguf_writer::number(3, 2));
  files.put(directory, part.bytes());
  expect_failure(status_code::unsupported, {"/models/small.gguf: is one of several parts"});
}

TEST_F(model_bundle_test, demands_a_tokenizer) {
  copy_golden("mixtral_base");
  remove("tokenizer.json");
  expect_failure(status_code::not_found, {"/models/mixtral_base/tokenizer.json: is missing"});
}

TEST_F(model_bundle_test, demands_weights) {
  copy_golden("mixtral_base");
  remove("model.safetensors");
  expect_failure(status_code::not_found, {"/models/mixtral_base", "model.safetensors.index.json"});
}

TEST_F(model_bundle_test, demands_every_shard) {
  copy_golden("mixtral_top3");
  remove("model-00002-of-00002.safetensors");
  expect_failure(status_code::not_found,
                 {"/models/mixtral_top3/model-00002-of-00002.safetensors: is missing",
                  "model.safetensors.index.json"});
}

TEST_F(model_bundle_test, names_the_broken_file) {
  for (const std::string file :
       {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}) {
    copy_golden("olmoe_base");
    put(file, "{\"broken\": ");
    expect_failure(status_code::corrupt, {directory + "/" + file});
    put(file, "");
    expect_failure(status_code::corrupt, {directory + "/" + file});
    remove(file);
  }
}

TEST_F(model_bundle_test, names_the_truncated_weight_file_and_tensor) {
  copy_golden("olmoe_base");
  const auto whole = content("model.safetensors");
  put("model.safetensors", whole.substr(0, whole.size() - 1));
  expect_failure(status_code::corrupt, {directory + "/model.safetensors", "tensor '"});
  for (const size_t bytes : {size_t(0), size_t(7), size_t(8), size_t(100)}) {
    put("model.safetensors", whole.substr(0, bytes));
    expect_failure(status_code::corrupt, {directory + "/model.safetensors"});
  }
}

TEST_F(model_bundle_test, refuses_weights_that_are_not_numbers) {
  copy_golden("llama_base");
  auto weights = content("model.safetensors");
  for (size_t i = weights.size() - 4096; i < weights.size(); ++i)
    weights[i] = '\xff'; // NaN in f32, bf16 and f16
  put("model.safetensors", weights);
  expect_failure(status_code::corrupt, {directory + "/model.safetensors", "'"});
}

TEST_F(model_bundle_test, names_the_missing_tensor) {
  copy_golden("llama_base");
  rename_tensor("model.norm.weight", "model.morn.weight");
  expect_failure(status_code::not_found, {directory, "'model.norm.weight'"});
}

TEST_F(model_bundle_test, warns_of_tensors_that_nobody_uses) {
  copy_golden("llama_base");
  rename_tensor("lm_head.weight", "ml_head.weight");
  auto config = content("config.json");
  const std::string untied = "\"tie_word_embeddings\": false";
  ASSERT_NE(config.find(untied), std::string::npos);
  config.replace(config.find(untied), untied.size(), "\"tie_word_embeddings\": true");
  put("config.json", config);
  const auto bundle = load();
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  ASSERT_EQ((*bundle)->warnings.size(), 1u);
  EXPECT_NE((*bundle)->warnings[0].find("ml_head.weight"), std::string::npos)
      << (*bundle)->warnings[0];
}

TEST_F(model_bundle_test, warns_of_a_tokenizer_larger_than_the_model) {
  copy_golden("llama_base");
  auto tokenizer = small_tokenizer();
  tokenizer.replace(tokenizer.find("\"a\":0"), 5, "\"a\":900000");
  put("tokenizer.json", tokenizer);
  const auto bundle = load();
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  ASSERT_EQ((*bundle)->warnings.size(), 1u);
  EXPECT_NE((*bundle)->warnings[0].find("900000"), std::string::npos) << (*bundle)->warnings[0];
}

TEST_F(model_bundle_test, quantises_when_asked) {
  copy_golden("mixtral_base");
  format = compute::weight_format::int8;
  const auto bundle = load();
  ASSERT_TRUE(bundle.has_value()) << bundle.error().why();
  EXPECT_EQ((*bundle)->weights->layers[0].experts[0].gate.format(), compute::weight_format::int8);
}

TEST_F(model_bundle_test, the_fingerprint_is_a_function_of_the_files_and_the_format) {
  copy_golden("mixtral_base");
  const auto original = fingerprint();
  EXPECT_EQ(fingerprint(), original);
  format = compute::weight_format::int8;
  EXPECT_NE(fingerprint(), original);
  format.reset();

  auto weights = content("model.safetensors");
  weights.back() ^= 1;
  put("model.safetensors", weights);
  EXPECT_NE(fingerprint(), original);

  copy_golden("mixtral_base");
  put("config.json", content("config.json") + "\n");
  EXPECT_NE(fingerprint(), original);
}

} // namespace
} // namespace troupe::actors
