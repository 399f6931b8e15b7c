// Random checkpoints in named shapes: complete, the same for a seed, and sane enough to compute
// with.
#include "model/synthetic_checkpoint.hpp"

#include "compute/cpu_executor.hpp"
#include "compute/dtype.hpp"
#include "model/tokenizer.hpp"
#include "tests/unit/model/checkpoint.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <cstring>

namespace troupe::model_test {
namespace {

constexpr uint64_t one_file = UINT64_MAX;

model::synthetic_checkpoint plan(std::string_view shape, uint64_t seed = 1,
                                 uint64_t shard_bytes_max = one_file) {
  return model::synthetic_checkpoint::plan(*model::find_synthetic_shape(shape), seed,
                                           shard_bytes_max)
      .value();
}

checkpoint written(const model::synthetic_checkpoint& from) {
  checkpoint out;
  for (const auto& shard : from.shards()) {
    std::string& bytes = out.files[shard.file];
    const auto written = from.write(shard, [&bytes](std::span<const std::byte> part) {
      bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
      return status();
    });
    EXPECT_TRUE(written.ok());
    EXPECT_EQ(bytes.size(), shard.bytes);
  }
  for (auto& [name, content] : from.texts()) out.files[name] = content;
  return out;
}

// As many zeros as a file has bytes, of which only the header takes memory.
class sparse_file {
public:
  explicit sparse_file(const model::synthetic_checkpoint::shard& shard) : bytes_(shard.bytes) {
    memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT_NE(memory_, MAP_FAILED);
    std::memcpy(memory_, shard.header.data(), shard.header.size());
  }
  sparse_file(const sparse_file&) = delete;
  sparse_file& operator=(const sparse_file&) = delete;
  ~sparse_file() { munmap(memory_, bytes_); }
  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(memory_), bytes_};
  }

private:
  uint64_t bytes_;
  void* memory_;
};

TEST(synthetic_shape, has_the_size_of_the_model_it_is_named_after) {
  const std::pair<const char*, double> cases[] = {
      {"granite-1b-a400m", 1.335e9}, {"olmoe-1b-7b", 6.919e9}, {"dsv2-lite-8l", 4.594e9}};
  for (const auto& [name, parameters] : cases)
    EXPECT_NEAR(double(plan(name).parameters()), parameters, 0.001 * parameters) << name;
  EXPECT_EQ(model::find_synthetic_shape("granite"), nullptr);
}

TEST(synthetic_shape, has_every_tensor_of_its_configuration_and_no_other) {
  for (const auto& shape : model::synthetic_shapes()) {
    const auto made = plan(shape.name);
    ASSERT_EQ(made.shards().size(), 1u);
    const sparse_file file(made.shards()[0]);
    auto parsed = model::safetensors_file::parse("model.safetensors", file.bytes());
    ASSERT_TRUE(parsed.has_value()) << shape.name << ": " << parsed.error().why();
    const auto survey =
        model::survey_weights(made.model(), model::tensor_index(std::move(*parsed)));
    ASSERT_TRUE(survey.has_value()) << shape.name << ": " << survey.error().why();
    EXPECT_TRUE(survey->unused.empty()) << shape.name;
  }
}

TEST(synthetic_tensor, does_not_depend_on_the_pieces_it_is_made_in) {
  const model::synthetic_tensor tensor{.name = "w", .shape = {3, 7}, .centre = 0.5f, .spread = 2};
  std::vector<uint16_t> whole(21), piece(21);
  model::synthesise(tensor, 9, 4, 0, whole);
  for (size_t begin = 0; begin < 21; begin += 5)
    model::synthesise(tensor, 9, 4, begin,
                      std::span(piece).subspan(begin, std::min<size_t>(5, 21 - begin)));
  EXPECT_EQ(whole, piece);
  model::synthesise(tensor, 10, 4, 0, piece);
  EXPECT_NE(whole, piece);
  model::synthesise(tensor, 9, 5, 0, piece);
  EXPECT_NE(whole, piece);
}

TEST(synthetic_tensor, has_the_mean_and_the_deviation_it_is_given) {
  const model::synthetic_tensor tensor{
      .name = "w", .shape = {100000}, .centre = 1, .spread = 0.25f};
  std::vector<uint16_t> values(100000);
  model::synthesise(tensor, 1, 0, 0, values);
  double sum = 0, squares = 0;
  for (const uint16_t bits : values) {
    const double value = compute::bf16_to_f32(bits);
    sum += value;
    squares += (value - 1) * (value - 1);
  }
  EXPECT_NEAR(sum / 100000, 1, 0.005);
  EXPECT_NEAR(std::sqrt(squares / 100000), 0.25, 0.005);
}

TEST(synthetic_checkpoint, is_the_same_for_the_same_seed) {
  EXPECT_EQ(written(plan("tiny", 5)).files, written(plan("tiny", 5)).files);
  EXPECT_NE(written(plan("tiny", 5)).files, written(plan("tiny", 6)).files);
}

TEST(synthetic_checkpoint, ends_with_the_first_failure_of_its_sink) {
  const auto made = plan("tiny");
  int calls = 0;
  const auto stopped = made.write(made.shards()[0], [&calls](std::span<const std::byte>) {
    return ++calls < 3 ? status() : status(status_code::exhausted, "full");
  });
  EXPECT_EQ(stopped.code(), status_code::exhausted);
  EXPECT_EQ(calls, 3);
}

TEST(synthetic_checkpoint, is_the_same_model_in_shards) {
  const auto executor = compute::make_cpu_executor({.threads = 1}).value();
  const std::vector<int32_t> prompt = {1, 2, 3, 300, 511, 0};
  std::vector<float> logits[2];
  for (const bool cut : {false, true}) {
    auto files = written(plan("tiny", 3, cut ? 100000 : one_file));
    EXPECT_EQ(files.files.count("model.safetensors.index.json"), cut ? 1u : 0u);
    const auto loaded = load(std::move(files), *executor).value();
    auto runner = model::decoder::make(loaded->description, loaded->weights, *executor, {}).value();
    logits[cut] = runner.logits_of(prompt).value();
  }
  EXPECT_EQ(logits[0], logits[1]);
  double squares = 0;
  for (const float value : logits[0]) squares += double(value) * value;
  const double deviation = std::sqrt(squares / double(logits[0].size()));
  EXPECT_GT(deviation, 0.3);
  EXPECT_LT(deviation, 3);
}

TEST(synthetic_tokenizer, knows_every_byte_and_every_id) {
  for (const uint32_t vocabulary : {257u, 512u, 49155u}) {
    const auto parsed = model::tokenizer::parse(model::synthetic_tokenizer_json(vocabulary), "t");
    ASSERT_TRUE(parsed.has_value()) << parsed.error().why();
    EXPECT_EQ(parsed->vocab_size(), vocabulary);
    EXPECT_EQ(parsed->id_limit(), vocabulary);
    const std::string text = "It's 12 naïve\n\tcafés — 東京 🎭\x7f";
    const auto ids = parsed->encode(text).value();
    EXPECT_EQ(ids.size(), text.size());
    EXPECT_EQ(parsed->decode(ids, false), text);
    EXPECT_EQ(parsed->id_of("<|endoftext|>"), int32_t(vocabulary - 1));
  }
}

} // namespace
} // namespace troupe::model_test
