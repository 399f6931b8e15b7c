// The tokenizer against the reference package, and against broken and hostile files.
#include "model/tokenizer.hpp"

#include "base/clock.hpp"
#include "base/random.hpp"
#include "tests/support/fuzz_text.hpp"
#include "tests/unit/model_text/golden_tokenizers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace troupe::model {
namespace {

using nlohmann::json;
using ids = std::vector<int32_t>;

class tokenizer_golden_test : public testing::TestWithParam<std::string> {
protected:
  tokenizer source_ = load_golden_tokenizer(GetParam());
  json golden_ = read_golden_json(golden_tokenizers_folder + GetParam() + "/golden.json");
  json texts_ = read_golden_json(golden_tokenizers_folder + "strings.json");
};

TEST_P(tokenizer_golden_test, encodes_and_decodes_every_text_as_the_reference) {
  ASSERT_GE(texts_.size(), 400u);
  ASSERT_EQ(golden_["cases"].size(), texts_.size());
  for (size_t i = 0; i < texts_.size(); ++i) {
    const auto text = texts_[i].get<std::string>();
    const json& wanted = golden_["cases"][i];
    const ids plain = wanted[0].get<ids>();
    const ids special = wanted[1].is_null() ? plain : wanted[1].get<ids>();
    ASSERT_EQ(source_.encode(text, {.add_special_tokens = false}).value(), plain)
        << "text " << i << ": " << text;
    ASSERT_EQ(source_.encode(text).value(), special) << "text " << i << ": " << text;
    const auto decoded = wanted[2].is_null() ? text : wanted[2].get<std::string>();
    const auto skipped = wanted[3].is_null() ? decoded : wanted[3].get<std::string>();
    ASSERT_EQ(source_.decode(special, false), decoded) << "text " << i << ": " << text;
    ASSERT_EQ(source_.decode(special, true), skipped) << "text " << i << ": " << text;
  }
}

TEST_P(tokenizer_golden_test, decodes_arbitrary_ids_as_the_reference) {
  for (const auto& wanted : golden_["decodes"]) {
    const ids given = wanted[0].get<ids>();
    const auto decoded = wanted[1].get<std::string>();
    const auto skipped = wanted[2].is_null() ? decoded : wanted[2].get<std::string>();
    ASSERT_EQ(source_.decode(given, false), decoded) << wanted.dump();
    ASSERT_EQ(source_.decode(given, true), skipped) << wanted.dump();
  }
}

TEST_P(tokenizer_golden_test, counts_its_tokens_as_the_reference) {
  EXPECT_EQ(source_.vocab_size(), golden_["vocab_size"].get<size_t>());
}

INSTANTIATE_TEST_SUITE_P(families, tokenizer_golden_test,
                         testing::ValuesIn(golden_tokenizer_names()),
                         [](const auto& info) { return info.param; });

// ---- made by hand

json small_model() {
  return json::parse(
      R"({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
    "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
}

status parse_failure(const json& document) {
  const auto made = tokenizer::parse(document.dump(), "tokenizer.json");
  return made ? status() : made.error();
}

struct broken_file {
  const char* pointer; // where in small_model()
  const char* value;   // what is put there; "remove" takes the member away
  const char* why;
};

TEST(tokenizer_test, says_what_is_wrong_with_a_file) {
  const broken_file files[] = {
      {"/model/type", R"("Unigram")",
       "tokenizer.json: model.type: the model type 'Unigram' is not supported"},
      {"/model/type", R"("WordPiece")", "tokenizer.json: model.type: the model type 'WordPiece'"},
      {"/model", "remove", "tokenizer.json: model: missing"},
      {"/model/vocab", "remove", "tokenizer.json: model.vocab: missing"},
      {"/model/merges", "remove", "tokenizer.json: model.merges: missing"},
      {"/model/merges", R"("a b")", "tokenizer.json: model.merges: must be an array"},
      {"/model/merges", R"(["a b", "a c"])",
       "tokenizer.json: model.merges[1]: the token 'c' is not in the vocabulary"},
      {"/model/merges", R"(["b a"])",
       "tokenizer.json: model.merges[0]: the token 'ba' is not in the vocabulary"},
      {"/model/merges", R"(["ab"])", "tokenizer.json: model.merges[0]: 'ab' is not two tokens"},
      {"/model/merges", R"([["a"]])", "tokenizer.json: model.merges[0]: must be 'left right' or"},
      {"/model/vocab", R"({"a": 0, "b": 0, "ab": 2})",
       "tokenizer.json: model.vocab['b']: the id 0 is also that of 'a'"},
      {"/model/vocab", R"({"a": -1})",
       "tokenizer.json: model.vocab['a']: the id must be a whole number from 0"},
      {"/model/vocab", R"({"a": 4000000000})",
       "tokenizer.json: model.vocab['a']: the id 4000000000 is beyond"},
      {"/model/vocab", R"({"a": "x"})", "tokenizer.json: model.vocab['a']: the id must be"},
      {"/model/dropout", "0.5", "tokenizer.json: model.dropout: random merging is not supported"},
      {"/pre_tokenizer", R"({"type": "Clever"})",
       "tokenizer.json: pre_tokenizer.type: unknown pre-tokenizer 'Clever'"},
      {"/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"}]})",
       "tokenizer.json: pre_tokenizer.pretokenizers[0].individual_digits: missing"},
      {"/pre_tokenizer",
       R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated", "invert": false})",
       "tokenizer.json: pre_tokenizer.pattern: pattern '(a'"},
      {"/pre_tokenizer",
       R"({"type": "Split", "pattern": {"Regex": "[a&&b]"}, "behavior": "Isolated", "invert": false})",
       "'&&' in a class is not supported"},
      {"/pre_tokenizer",
       R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Odd", "invert": false})",
       "tokenizer.json: pre_tokenizer.behavior: unknown behavior 'Odd'"},
      {"/normalizer", R"({"type": "Precompiled"})",
       "tokenizer.json: normalizer.type: unknown normalizer 'Precompiled'"},
      {"/decoder", R"({"type": "WordPiece"})",
       "tokenizer.json: decoder.type: unknown decoder 'WordPiece'"},
      {"/post_processor", R"({"type": "Odd"})",
       "tokenizer.json: post_processor.type: unknown post-processor 'Odd'"},
      {"/post_processor",
       R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}], "special_tokens": {}})",
       "'x' is not among special_tokens"},
      {"/added_tokens", R"([{"id": 3}])", "tokenizer.json: added_tokens[0].content: missing"},
      {"/added_tokens", R"({})", "tokenizer.json: added_tokens: must be an array"},
  };
  ASSERT_TRUE(parse_failure(small_model()).ok());
  for (const auto& file : files) {
    json document = small_model();
    const json::json_pointer pointer(file.pointer);
    if (std::string_view(file.value) == "remove") {
      document[pointer.parent_pointer()].erase(pointer.back());
    } else {
      document[pointer] = json::parse(file.value);
    }
    const status failed = parse_failure(document);
    ASSERT_FALSE(failed.ok()) << file.why;
    EXPECT_NE(failed.why().find(file.why), std::string::npos) << failed.why();
  }
}

TEST(tokenizer_test, says_where_json_is_broken) {
  const auto why = [](std::string_view text) {
    return tokenizer::parse(text, "tokenizer.json").error().why();
  };
  EXPECT_EQ(why("{\n  \"a\": ?}").find("tokenizer.json: line 2, column 8: not valid JSON"), 0u);
  EXPECT_EQ(why("").find("tokenizer.json: line 1, column 1: not valid JSON"), 0u);
  EXPECT_EQ(why("[]"), "tokenizer.json: must hold an object");
  EXPECT_NE(why(std::string(1'000'000, '[')).find("nested deeper than"), std::string::npos);
  EXPECT_NE(why("{\"a\": \"\xFF\"}").find("not valid JSON"), std::string::npos);
}

TEST(tokenizer_test, knows_the_special_tokens_of_the_config) {
  const std::string path = golden_tokenizers_folder + "llama3/tokenizer.json";
  const char* config =
      R"({"bos_token": "<|begin_of_text|>", "eos_token": {"content": "<|eot_id|>"}, "pad_token": null})";
  const auto made =
      tokenizer::parse(read_golden_file(path), "tokenizer.json", config, "tokenizer_config.json");
  ASSERT_TRUE(made.has_value()) << made.error().why();
  EXPECT_EQ(made->bos_id(), made->id_of("<|begin_of_text|>"));
  EXPECT_EQ(made->eos_token(), "<|eot_id|>");
  EXPECT_EQ(made->eos_id(), made->id_of("<|eot_id|>"));
  EXPECT_FALSE(made->pad_id().has_value());
  EXPECT_TRUE(made->is_special(*made->bos_id()));
  EXPECT_FALSE(made->is_special(0));
}

TEST(tokenizer_test, reads_special_tokens_as_text_when_asked) {
  const tokenizer source = load_golden_tokenizer("qwen3");
  const std::string text = "<|im_start|>hi<think>";
  const ids as_text = source.encode(text, {.special_tokens_as_text = true}).value();
  const int32_t start = source.id_of("<|im_start|>").value();
  EXPECT_EQ(std::count(as_text.begin(), as_text.end(), start), 0);
  EXPECT_EQ(as_text.back(), source.id_of("<think>")); // added, but not special
  EXPECT_EQ(source.decode(as_text, true), text);
  EXPECT_EQ(source.encode(text)->front(), start);
}

TEST(tokenizer_test, gives_the_bytes_of_tokens) {
  const tokenizer byte_level = load_golden_tokenizer("gpt2");
  EXPECT_EQ(byte_level.token_bytes(byte_level.id_of("Ġ").value()), " ");
  EXPECT_EQ(byte_level.token_bytes(byte_level.id_of("Ċ").value()), "\n");
  EXPECT_EQ(byte_level.token_bytes(byte_level.id_of("Ã").value()), "\xC3");
  EXPECT_EQ(byte_level.token_bytes(byte_level.id_of("<|endoftext|>").value()), "<|endoftext|>");
  EXPECT_EQ(byte_level.token_bytes(-1), "");
  EXPECT_EQ(byte_level.token_text(1'000'000), "");
  const tokenizer fallback = load_golden_tokenizer("mixtral");
  EXPECT_EQ(fallback.token_bytes(fallback.id_of("<0xE2>").value()), "\xE2");
  EXPECT_EQ(fallback.token_bytes(fallback.id_of("▁").value()), " ");
}

TEST(tokenizer_test, repairs_text_that_is_not_utf8) {
  const tokenizer source = load_golden_tokenizer("gpt2");
  EXPECT_EQ(source.decode(source.encode("a\xFF\xE2\x82z\xF0\x9F").value(), false),
            "a\uFFFD\uFFFDz\uFFFD");
}

TEST(tokenizer_test, takes_the_same_merges_as_strings_and_as_pairs) {
  json pairs = small_model();
  pairs["model"]["merges"] = json::parse(R"([["a", "b"]])");
  for (const json& document : {small_model(), pairs}) {
    const auto made = tokenizer::parse(document.dump(), "tokenizer.json");
    EXPECT_EQ(made->encode("abba").value(), (ids{2, 1, 0}));
  }
}

// Anything quadratic would take minutes here.
TEST(tokenizer_test, encodes_long_runs_in_time) {
  const system_clock clock;
  for (const char* name : {"llama3", "deepseek_v2", "mixtral"}) {
    const tokenizer source = load_golden_tokenizer(name);
    for (const std::string unit : {" ", "a", "\n", "ab "}) {
      std::string text;
      while (text.size() < 200'000) text += unit;
      const auto start = clock.now();
      const auto encoded = source.encode(text);
      const auto taken = clock.now() - start;
      ASSERT_TRUE(encoded.has_value()) << name << ": " << encoded.error().why();
      EXPECT_LT(taken, std::chrono::seconds(20)) << name << " '" << unit << "'";
    }
  }
}

TEST(tokenizer_test, fails_clearly_where_a_pattern_goes_wild) {
  json document = small_model();
  document["pre_tokenizer"] = {{"type", "Split"},
                               {"pattern", {{"Regex", "(a+)+(a+)+(a+)+\\d"}}},
                               {"behavior", "Isolated"},
                               {"invert", false}};
  const auto made = tokenizer::parse(document.dump(), "tokenizer.json");
  ASSERT_TRUE(made.has_value());
  const auto encoded = made->encode(std::string(400, 'a') + "b");
  ASSERT_FALSE(encoded.has_value());
  EXPECT_EQ(encoded.error().code(), status_code::exhausted);
}

// Draws in the order of the calls.
class keyed_dice {
public:
  explicit keyed_dice(uint64_t seed)
      : key_{.seed = seed, .subsystem = random_subsystem::workload} {}
  uint64_t below(uint64_t bound) { return random_below(key_, draws_++, bound); }

private:
  random_key key_;
  uint64_t draws_ = 0;
};

TEST(tokenizer_test, survives_mutated_files) {
  const std::string original = read_golden_file(golden_tokenizers_folder + "llama3/tokenizer.json");
  keyed_dice dice(20'260);
  const system_clock clock;
  const auto deadline = clock.now() + std::chrono::seconds(2);
  int rounds = 0;
  for (; rounds < 2000 && clock.now() < deadline; ++rounds) {
    std::string mutated = original;
    for (uint64_t edits = 1 + dice.below(4); edits > 0; --edits) {
      const size_t at = dice.below(mutated.size());
      switch (dice.below(4)) {
        case 0:
          mutated[at] = static_cast<char>(dice.below(256));
          break;
        case 1:
          mutated.erase(at, dice.below(40));
          break;
        case 2:
          mutated.insert(at, mutated.substr(dice.below(mutated.size()), 20));
          break;
        default:
          mutated.resize(at);
          break;
      }
      if (mutated.empty()) mutated = "{";
    }
    try_tokenizer_bytes(mutated);
  }
  EXPECT_GT(rounds, 10);
}

// The same for the part that is mostly structure, so that more of the mutants parse.
TEST(tokenizer_test, survives_mutated_structure) {
  json document = json::parse(read_golden_file(golden_tokenizers_folder + "llama3/tokenizer.json"));
  document["model"] = small_model()["model"];
  const std::string original = document.dump();
  keyed_dice dice(7);
  for (int round = 0; round < 1000; ++round) {
    std::string mutated = original;
    const size_t at = dice.below(mutated.size());
    const size_t from = dice.below(mutated.size());
    if (dice.below(2) == 0) {
      mutated[at] = "0\"[]{},:truefalsenull-"[dice.below(22)];
    } else {
      const size_t removed = dice.below(12);
      mutated.replace(at, removed, mutated.substr(from, dice.below(12)));
    }
    try_tokenizer_bytes(mutated);
  }
}

TEST(tokenizer_test, survives_mutated_templates) {
  const std::string folder =
      std::string(TROUPE_SOURCE_DIR) + "/tests/golden/chat_templates/templates/";
  keyed_dice dice(8);
  for (const char* name : {"llama3_1", "qwen3", "mistral_v3", "deepseek_v3"}) {
    const std::string original = read_golden_file(folder + name + ".jinja");
    for (int round = 0; round < 200; ++round) {
      std::string mutated = original;
      const size_t from = dice.below(mutated.size());
      const size_t at = dice.below(mutated.size());
      const size_t removed = dice.below(8);
      mutated.replace(at, removed, mutated.substr(from, dice.below(12)));
      try_chat_template_bytes(mutated);
    }
  }
}

} // namespace
} // namespace troupe::model
