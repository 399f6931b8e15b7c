// Tokenizers from GGUF files against the tokenizer.json that the same lists came from, and lists
// that do not fit each other.
#include "model/gguf/gguf_tokenizer.hpp"

#include "model/chat_template.hpp"
#include "model/tokenizer.hpp"
#include "tests/support/gguf_writer.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <iterator>

namespace troupe::model {
namespace {

using nlohmann::json;
using test_support::gguf_writer;
using ids = std::vector<int32_t>;

json read_json(const std::string& path) {
  std::ifstream in(std::string(TROUPE_SOURCE_DIR) + "/" + path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return json::parse(in);
}

// The lists that the converter makes of a tokenizer.json.
gguf_writer lists_of(const json& tokenizer, const std::string& pre) {
  std::map<int32_t, std::string> tokens;
  std::map<int32_t, int32_t> types;
  for (const auto& [token, id] : tokenizer["model"]["vocab"].items()) tokens[id] = token;
  for (const auto& added : tokenizer["added_tokens"]) {
    tokens[added["id"]] = added["content"];
    types[added["id"]] = added["special"].get<bool>() ? 3 : 4;
  }
  gguf_writer out;
  std::vector<std::string> words, merges;
  std::vector<int32_t> kinds;
  for (const auto& [id, token] : tokens) {
    while (words.size() < static_cast<size_t>(id)) { // a hole
      words.push_back("[PAD" + std::to_string(words.size()) + "]");
      kinds.push_back(5);
    }
    words.push_back(token);
    kinds.push_back(types.count(id) != 0 ? types[id] : 1);
  }
  for (const auto& merge : tokenizer["model"]["merges"])
    merges.push_back(merge.is_string()
                         ? merge.get<std::string>()
                         : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  out.put_word("tokenizer.ggml.model", "gpt2");
  out.put_word("tokenizer.ggml.pre", pre);
  out.put_words("tokenizer.ggml.tokens", words);
  out.put_i32s("tokenizer.ggml.token_type", kinds);
  out.put_words("tokenizer.ggml.merges", merges);
  return out;
}

result<tokenizer> tokenizer_of(const gguf_writer& lists) {
  const auto bytes = lists.bytes();
  const auto file = gguf_file::parse("m.gguf", std::as_bytes(std::span(bytes)));
  if (!file) return fail(file.error());
  const auto made = gguf_tokenizer_json(*file);
  if (!made) return fail(made.error());
  const auto config = gguf_tokenizer_config_json(*file);
  if (!config) return fail(config.error());
  return tokenizer::parse(*made, "tokenizer.json", *config, "tokenizer_config.json");
}

struct family {
  const char* folder;
  const char* pre;
  int begin = -1; // the token that begins a text
};

class gguf_tokenizer_test : public testing::TestWithParam<family> {};

TEST_P(gguf_tokenizer_test, gives_the_tokens_of_the_same_tokenizer_json) {
  const std::string folder = std::string("tests/golden/tokenizers/") + GetParam().folder;
  auto lists = lists_of(read_json(folder + "/tokenizer.json"), GetParam().pre);
  lists.put_bool("tokenizer.ggml.add_bos_token", GetParam().begin >= 0);
  if (GetParam().begin >= 0)
    lists.put_u32("tokenizer.ggml.bos_token_id", static_cast<uint64_t>(GetParam().begin));
  const auto made = tokenizer_of(lists);
  ASSERT_TRUE(made.has_value()) << made.error().why();
  const json golden = read_json(folder + "/golden.json");
  const json texts = read_json("tests/golden/tokenizers/strings.json");
  EXPECT_EQ(made->vocab_size(), golden["vocab_size"].get<size_t>());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    const json& wanted = golden["cases"][i];
    const ids plain = wanted[0].get<ids>();
    const ids special = wanted[1].is_null() ? plain : wanted[1].get<ids>();
    EXPECT_EQ(made->encode(text, {.add_special_tokens = false}).value(), plain) << text;
    EXPECT_EQ(made->encode(text).value(), special) << text;
    const auto decoded = wanted[2].is_null() ? text : wanted[2].get<std::string>();
    EXPECT_EQ(made->decode(special, false), decoded) << text;
    const auto skipped = wanted[3].is_null() ? decoded : wanted[3].get<std::string>();
    EXPECT_EQ(made->decode(special, true), skipped) << text;
  }
  for (const auto& wanted : golden["decodes"])
    EXPECT_EQ(made->decode(wanted[0].get<ids>(), false), wanted[1].get<std::string>());
}

INSTANTIATE_TEST_SUITE_P(families, gguf_tokenizer_test,
                         testing::Values(family{"gpt2", "gpt-2"}, family{"qwen2", "qwen2"},
                                         family{"qwen3", "qwen2"}, family{"olmoe", "olmo"},
                                         family{"o200k", "gpt-4o"},
                                         family{"deepseek_v2", "deepseek-llm", 0},
                                         family{"deepseek_v3", "deepseek-v3", 0}),
                         [](const auto& info) { return std::string(info.param.folder); });

void expect_same_tokens(const tokenizer& made, const tokenizer& wanted) {
  EXPECT_EQ(made.vocab_size(), wanted.vocab_size());
  for (const auto& text : read_json("tests/golden/tokenizers/strings.json")) {
    const auto got = made.encode(text.get<std::string>()).value();
    EXPECT_EQ(got, wanted.encode(text.get<std::string>()).value()) << text;
    EXPECT_EQ(made.decode(got, false), wanted.decode(got, false));
  }
}

TEST(gguf_tokenizer, of_the_built_in_model_gives_its_tokens) {
  const json source = read_json("models/tales/tokenizer.json");
  expect_same_tokens(tokenizer_of(lists_of(source, "dbrx")).value(),
                     tokenizer::parse(source.dump(), "tokenizer.json").value());
}

// The golden has a token whose id another one has too; no list of tokens can say that.
TEST(gguf_tokenizer, of_llama_3_gives_the_tokens_of_the_same_tokenizer_json) {
  json source = read_json("tests/golden/tokenizers/llama3/tokenizer.json");
  for (const auto& [token, id] : source["model"]["vocab"].items()) {
    if (id.get<int>() < 1000) continue;
    source["model"]["vocab"].erase(token);
    break;
  }
  auto lists = lists_of(source, "llama-bpe");
  lists.put_u32("tokenizer.ggml.bos_token_id", 1000); // which begins a text without a flag
  expect_same_tokens(tokenizer_of(lists).value(),
                     tokenizer::parse(source.dump(), "tokenizer.json").value());
}

gguf_writer small_lists(const std::string& model = "gpt2") {
  gguf_writer out;
  out.put_word("tokenizer.ggml.model", model);
  out.put_words("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a", "b", "ab", "<|x|>"});
  out.put_i32s("tokenizer.ggml.token_type", {2, 3, 3, 1, 1, 1, 4});
  out.put_f32s("tokenizer.ggml.scores", {0, 0, 0, -1, -2, -3, 0});
  out.put_words("tokenizer.ggml.merges", {"a b"});
  out.put_word("tokenizer.chat_template", "{{ messages[0].content }}");
  return out;
}

TEST(gguf_tokenizer, frames_texts_as_the_flags_say) {
  auto lists = small_lists();
  EXPECT_EQ(tokenizer_of(lists)->encode("ab").value(), (ids{5}));
  lists.put_u32("tokenizer.ggml.bos_token_id", 1);
  lists.put_u32("tokenizer.ggml.eos_token_id", 2);
  lists.put_bool("tokenizer.ggml.add_bos_token", true);
  lists.put_bool("tokenizer.ggml.add_eos_token", true);
  const auto made = tokenizer_of(lists);
  ASSERT_TRUE(made.has_value()) << made.error().why();
  EXPECT_EQ(made->encode("ab<|x|>a").value(), (ids{1, 5, 6, 3, 2}));
  EXPECT_EQ(made->encode("ab", {.add_special_tokens = false}).value(), (ids{5}));
  EXPECT_EQ(made->bos_token(), "<s>");
  EXPECT_EQ(made->eos_id(), 2);
  EXPECT_TRUE(made->is_special(2));
  EXPECT_FALSE(made->is_special(6));
}

TEST(gguf_tokenizer, of_sentence_pieces_begins_texts_unless_told_otherwise) {
  auto lists = small_lists("llama");
  lists.put_bool("tokenizer.ggml.add_space_prefix", false);
  EXPECT_EQ(tokenizer_of(lists)->encode("aab").value(), (ids{1, 3, 5}));
  lists.put_bool("tokenizer.ggml.add_bos_token", false);
  EXPECT_EQ(tokenizer_of(lists)->encode("aab").value(), (ids{3, 5}));
}

TEST(gguf_tokenizer, leaves_out_what_only_fills_the_table) {
  auto lists = small_lists();
  lists.drop("tokenizer.ggml.tokens");
  lists.drop("tokenizer.ggml.token_type");
  lists.put_words("tokenizer.ggml.tokens",
                  {"<unk>", "<s>", "</s>", "a", "b", "ab", "<|x|>", "[PAD7]", "[PAD8]"});
  lists.put_i32s("tokenizer.ggml.token_type", {2, 3, 3, 1, 1, 1, 4, 5, 5});
  const auto made = tokenizer_of(lists);
  ASSERT_TRUE(made.has_value()) << made.error().why();
  EXPECT_EQ(made->vocab_size(), 7u);
  EXPECT_EQ(made->id_of("<|x|>"), 6);
}

TEST(gguf_tokenizer, hands_over_the_chat_template) {
  const auto bytes = small_lists().bytes();
  const auto file = gguf_file::parse("m.gguf", std::as_bytes(std::span(bytes))).value();
  const auto found = find_chat_template("", gguf_tokenizer_config_json(file).value());
  ASSERT_TRUE(found.has_value()) << found.error().why();
  EXPECT_EQ(found->source, "{{ messages[0].content }}");
}

TEST(gguf_tokenizer, refuses_lists_that_do_not_fit) {
  struct wrong {
    const char* named;
    std::function<void(gguf_writer&)> make;
    status_code code = status_code::corrupt;
  };
  const auto replace = [](auto& lists, const std::string& key, const auto& put) {
    lists.drop(key);
    put(lists, key);
  };
  const std::string tokens = "tokenizer.ggml.tokens", types = "tokenizer.ggml.token_type";
  const wrong cases[] = {
      {"'tokenizer.ggml.model' is 'bert'",
       [&](auto& l) {
         replace(l, "tokenizer.ggml.model", [](auto& w, auto& k) { w.put_word(k, "bert"); });
       },
       status_code::unsupported},
      {"'tokenizer.ggml.model' is missing", [](auto& l) { l.drop("tokenizer.ggml.model"); }},
      {"'tokenizer.ggml.pre' is 'mars'", [](auto& l) { l.put_word("tokenizer.ggml.pre", "mars"); },
       status_code::unsupported},
      {"'tokenizer.ggml.tokens' is missing", [&](auto& l) { l.drop(tokens); }},
      {"'tokenizer.ggml.tokens' has 0 entries",
       [&](auto& l) { replace(l, tokens, [](auto& w, auto& k) { w.put_words(k, {}); }); }},
      {"has 7 entries for 2 tokens",
       [&](auto& l) { replace(l, tokens, [](auto& w, auto& k) {
                        w.put_words(k, {"a", "b"});
                      }); }},
      {"same text at index 0 and 3",
       [&](auto& l) {
         replace(l, tokens, [](auto& w, auto& k) {
           w.put_words(k, {"a", "b", "c", "a", "d", "e", "f"});
         });
       }},
      {"not UTF-8 at index 1",
       [&](auto& l) {
         replace(l, tokens, [](auto& w, auto& k) {
           w.put_words(k, {"a", "\xff", "c", "x", "d", "e", "f"});
         });
       }},
      {"is an array of string where an array of whole numbers",
       [&](auto& l) { replace(l, types, [](auto& w, auto& k) { w.put_words(k, {"a"}); }); }},
      {"'tokenizer.ggml.merges' is missing", [](auto& l) { l.drop("tokenizer.ggml.merges"); }},
      {"'add_bos_token' is set", [](auto& l) { l.put_bool("tokenizer.ggml.add_bos_token", true); }},
      {"is not UTF-8",
       [&](auto& l) {
         replace(l, "tokenizer.chat_template", [](auto& w, auto& k) { w.put_word(k, "\xc3"); });
       }},
      {"is u32 where a string is needed",
       [&](auto& l) {
         replace(l, "tokenizer.chat_template", [](auto& w, auto& k) { w.put_u32(k, 1); });
       }},
  };
  for (const auto& each : cases) {
    auto lists = small_lists();
    each.make(lists);
    const auto made = tokenizer_of(lists);
    ASSERT_FALSE(made.has_value()) << each.named;
    EXPECT_EQ(made.error().code(), each.code) << made.error().why();
    std::string named = each.named;
    if (named == "'add_bos_token' is set") named = "add_bos_token' is set, but there is no token";
    EXPECT_NE(made.error().why().find(named), std::string::npos)
        << made.error().why() << " lacks " << named;
  }
  auto scoreless = small_lists("llama");
  scoreless.drop("tokenizer.ggml.scores");
  EXPECT_NE(
      tokenizer_of(scoreless).error().why().find("'tokenizer.ggml.scores' has 0 entries for 7"),
      std::string::npos);
}

} // namespace
} // namespace troupe::model
