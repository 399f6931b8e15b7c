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

// Pieces and how many bytes of text are in them.
struct learning_text {
  model::text_pieces pieces;
  uint64_t bytes = 0;

  // What a loss, summed over all tokens, means in bits per byte.
  double bits_per_byte(double nats) const;
};

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
