// Texts to learn from: both kinds of file, separators, lines that are none, and what is held out.
#include "cli/learn_data.hpp"

#include "model/synthetic_checkpoint.hpp"
#include "storage/memory_file_system.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace troupe::cli {
namespace {

using texts = std::vector<std::string>;

class learn_data : public testing::Test {
protected:
  void put(const std::string& path, const std::string& content) { files.put(path, content); }
  texts read(const texts& paths, std::string_view separator = "<end>") {
    return read_documents(files, paths, separator).value();
  }

  storage::memory_file_system files;
  model::tokenizer tokenizer =
      model::tokenizer::parse(model::synthetic_tokenizer_json(300), "tokenizer.json").value();
};

TEST_F(learn_data, cuts_text_at_separators) {
  put("/a.txt", "one\ntwo\n<end>\n\nthree<end>\n<end>\r\nfour");
  EXPECT_EQ(read({"/a.txt"}), (texts{"one\ntwo", "three", "four"}));
  EXPECT_EQ(read({"/a.txt"}, "").size(), 1u);
}

TEST_F(learn_data, reads_a_document_from_every_line_of_jsonl) {
  put("/a.jsonl", "{\"text\": \"one\\ntwo\"}\r\n\n{\"id\": 7, \"text\": \"three\"}");
  put("/b.txt", "four");
  EXPECT_EQ(read({"/a.jsonl", "/b.txt"}), (texts{"one\ntwo", "three", "four"}));
}

TEST_F(learn_data, names_the_line_that_is_no_document) {
  for (const char* const line : {"{\"text\": 3}", "[1]", "{\"text\": \"a\"", "{}", "word"}) {
    put("/a.jsonl", std::string("{\"text\": \"fine\"}\n") + line);
    const auto got = read_documents(files, {"/a.jsonl"}, "");
    ASSERT_FALSE(got.has_value()) << line;
    EXPECT_NE(got.error().why().find("/a.jsonl:2"), std::string::npos) << got.error().why();
  }
}

TEST_F(learn_data, names_a_file_that_is_not_there) {
  EXPECT_FALSE(read_documents(files, {"/none.txt"}, "").has_value());
}

TEST_F(learn_data, holds_out_every_nth_document) {
  const auto cut = cut_documents(tokenizer, {"aa", "bb", "cccc", "dd"},
                                 {.context = 2, .separator = 299, .hold_out = 3})
                       .value();
  EXPECT_EQ(cut.training.pieces.bytes(), 6u);
  EXPECT_EQ(cut.training.pieces.tokens(), 9u); // each letter and an end each
  EXPECT_EQ(cut.held_out.pieces.bytes(), 4u);
  EXPECT_EQ(cut.held_out.pieces.count(), 3u);
  EXPECT_DOUBLE_EQ(cut.held_out.bits_per_byte(8 * std::log(2.0)), 2);
}

TEST_F(learn_data, needs_a_document_to_learn_from) {
  const cutting how{.context = 2, .separator = 299, .hold_out = 1};
  EXPECT_FALSE(cut_documents(tokenizer, {"aa"}, how).has_value());
  EXPECT_FALSE(cut_documents(tokenizer, {}, how).has_value());
}

TEST_F(learn_data, takes_special_tokens_in_texts_for_letters) {
  const auto cut = cut_documents(tokenizer, {"a<|endoftext|>b"},
                                 {.context = 100, .separator = 299, .hold_out = 0})
                       .value();
  const auto targets = cut.training.pieces.at(0).targets;
  EXPECT_EQ(std::count(targets.begin(), targets.end(), 299), 1);
}

} // namespace
} // namespace troupe::cli
