// The files that troupe learn reads: plain text, and JSONL whose lines have a field "text".
#pragma once

#include "model/tokenizer.hpp"
#include "model/training/text_pieces.hpp"
#include "storage/file_system.hpp"

#include <string>
#include <vector>

namespace troupe::cli {

// Documents in the order of the files. A text file holds documents separated by `separator`, the
// text of the model's end of sequence (empty: one document). A line of JSONL that is none fails,
// with its number.
result<std::vector<std::string>> read_documents(const storage::file_system& files,
                                                const std::vector<std::string>& paths,
                                                std::string_view separator);

// The tokens of a document that is learnt from, or judged by.
result<std::vector<int32_t>> tokens_of_document(const model::tokenizer& tokenizer,
                                                std::string_view document);

struct learning_text {
  model::text_pieces pieces;

  status add(const model::tokenizer& tokenizer, const std::string& document);
  // What a loss, summed over all tokens, means in bits per byte.
  double bits_per_byte(double nats) const;
};

// NAME=FILE, as --held-out and --gate take it.
struct named_file {
  std::string name, path;
};
result<named_file> parse_named_file(std::string_view flag, const std::string& from);
// All documents of a file, of which there must be one; pieces of `context` tokens.
result<learning_text> read_text_to_judge(const storage::file_system& files, const std::string& path,
                                         const model::tokenizer& tokenizer, uint32_t context,
                                         int32_t separator);

// "1.2346", as figures of learning are shown.
std::string shown_figure(double value);

// Every `hold_out`-th document is never trained on (0: none). Fails without a document to train on.
struct learning_data {
  learning_text training, held_out;
};
struct cutting {
  uint32_t context = 0;
  int32_t separator = 0;
  uint32_t hold_out = 0;
};
result<learning_data> cut_documents(const model::tokenizer& tokenizer,
                                    const std::vector<std::string>& documents, const cutting& how);

} // namespace troupe::cli
