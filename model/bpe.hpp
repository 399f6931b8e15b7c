// Byte-pair encoding: a vocabulary and ranked merges.
#pragma once

#include "base/status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace troupe::model {

class json_field;

// Hash that lets a map of strings be asked with a string_view.
struct string_hash {
  using is_transparent = void;
  size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
};
template <class T>
using string_map = std::unordered_map<std::string, T, string_hash, std::equal_to<>>;

// Pairs of ids to their merge. Open addressing: a lookup per symbol is the inner loop of encoding.
class merge_table {
public:
  struct merge {
    uint32_t rank;
    int32_t id;
  };
  void reserve(size_t count);
  // A pair met again takes the later merge.
  void put(int32_t left, int32_t right, merge value);
  const merge* find(int32_t left, int32_t right) const;

private:
  struct slot {
    uint64_t key = empty_key;
    merge value{};
  };
  static constexpr uint64_t empty_key = ~uint64_t{0};
  size_t slot_of(uint64_t key) const;

  std::vector<slot> slots_;
  size_t mask_ = 0;
};

// Working memory of bpe::encode; one per thread at a time.
struct bpe_scratch {
  struct symbol {
    int32_t id;
    int32_t previous;
    int32_t next;
    bool alive;
  };
  struct candidate {
    uint32_t rank;
    uint32_t position;
    int32_t id;
  };
  std::vector<symbol> symbols;
  std::vector<candidate> heap;
};

// The `model` section of tokenizer.json. Immutable.
class bpe {
public:
  static result<bpe> parse(const json_field& section);
  bpe() = default;
  bpe(bpe&&) = default; // not copied: texts_ points into ids_
  bpe& operator=(bpe&&) = default;

  // Appends the ids of one piece. O(n log n). The piece must be valid UTF-8.
  status encode(std::string_view piece, bpe_scratch& scratch, std::vector<int32_t>& out) const;

  size_t size() const { return ids_.size(); }
  std::optional<int32_t> id_of(std::string_view token) const;
  // Null when no token has the id.
  const std::string* text_of(int32_t id) const;
  int32_t id_max() const { return static_cast<int32_t>(texts_.size()) - 1; }
  const std::optional<std::string>& unknown_token() const { return unknown_token_; }

private:
  status parse_vocabulary(const json_field& section);
  status parse_merges(const json_field& section);
  status put_merge(const json_field& at, uint32_t rank, std::string_view left,
                   std::string_view right);
  void index_letters();
  std::optional<int32_t> letter_id(std::string_view letter, bool is_first, bool is_last) const;
  status split_to_symbols(std::string_view piece, std::vector<bpe_scratch::symbol>& symbols) const;
  bool add_bytes(std::string_view letter, std::vector<bpe_scratch::symbol>& symbols) const;
  void merge_symbols(bpe_scratch& scratch) const;

  string_map<int32_t> ids_;
  std::vector<const std::string*> texts_; // by id; the strings are the keys of ids_
  merge_table merges_;
  std::vector<int32_t> letter_ids_; // by code point, for the first few thousand
  std::vector<int32_t> byte_ids_;   // of <0x00> … <0xFF>, -1 where missing
  std::optional<std::string> unknown_token_;
  std::string word_prefix_; // continuing_subword_prefix
  std::string word_suffix_; // end_of_word_suffix
  bool fuses_unknown_ = false;
  bool byte_fallback_ = false;
  bool ignores_merges_ = false;
};

} // namespace troupe::model
