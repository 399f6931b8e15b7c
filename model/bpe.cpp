// Byte-pair encoding, with the order of merges of the tokenizers package.
#include "model/bpe.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "model/json_text.hpp"
#include "model/tokenizer_unicode.hpp"

#include <algorithm>
#include <bit>

namespace troupe::model {
namespace {

// A vocabulary of a billion sparse ids would only take memory.
constexpr uint64_t id_limit = uint64_t{1} << 24;
constexpr size_t indexed_letters = 0x3000;

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// For a heap with the least rank, then the leftmost position, on top.
bool comes_later(const bpe_scratch::candidate& a, const bpe_scratch::candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

} // namespace

void merge_table::reserve(size_t count) {
  slots_.assign(std::bit_ceil(count * 2 + 8), slot{});
  mask_ = slots_.size() - 1;
}

size_t merge_table::slot_of(uint64_t key) const {
  uint64_t mixed = key * 0x9E3779B97F4A7C15u;
  size_t at = static_cast<size_t>(mixed ^ (mixed >> 32)) & mask_;
  while (slots_[at].key != key && slots_[at].key != empty_key) at = (at + 1) & mask_;
  return at;
}

void merge_table::put(int32_t left, int32_t right, merge value) {
  const uint64_t key = pair_key(left, right);
  slots_[slot_of(key)] = {key, value};
}

const merge_table::merge* merge_table::find(int32_t left, int32_t right) const {
  const slot& found = slots_[slot_of(pair_key(left, right))];
  return found.key == empty_key ? nullptr : &found.value;
}

result<bpe> bpe::parse(const json_field& section) {
  bpe out;
  TROUPE_TAKE(const auto dropout, [&]() -> result<double> {
    const json_field field = section.member("dropout");
    if (field.is_null()) return 0.0;
    if (!field.value().is_number()) return field.fails("must be a number or null");
    return field.value().get<double>();
  }());
  if (dropout != 0) {
    return section.member("dropout").fails("random merging is not supported",
                                           status_code::unsupported);
  }
  TROUPE_TAKE(out.unknown_token_, section.optional_string("unk_token"));
  TROUPE_TAKE(const auto prefix, section.optional_string("continuing_subword_prefix"));
  TROUPE_TAKE(const auto suffix, section.optional_string("end_of_word_suffix"));
  out.word_prefix_ = prefix.value_or("");
  out.word_suffix_ = suffix.value_or("");
  TROUPE_TAKE(out.fuses_unknown_, section.boolean("fuse_unk", false));
  TROUPE_TAKE(out.byte_fallback_, section.boolean("byte_fallback", false));
  TROUPE_TAKE(out.ignores_merges_, section.boolean("ignore_merges", false));
  if (status failed = out.parse_vocabulary(section); !failed.ok()) return fail(std::move(failed));
  if (status failed = out.parse_merges(section); !failed.ok()) return fail(std::move(failed));
  out.index_letters();
  return out;
}

status bpe::parse_vocabulary(const json_field& section) {
  const auto vocabulary = section.object("vocab");
  if (!vocabulary) return vocabulary.error();
  ids_.reserve(vocabulary->value().size());
  for (const auto& [token, id] : vocabulary->value().items()) {
    const auto fails = [&, &token = token](std::string_view why) {
      return status(status_code::corrupt, text(vocabulary->where(), "['", token, "']: ", why));
    };
    if (!id.is_number_unsigned()) return fails("the id must be a whole number from 0");
    const auto number = id.get<uint64_t>();
    if (number >= id_limit) return fails(text("the id ", number, " is beyond ", id_limit - 1));
    if (number >= texts_.size()) texts_.resize(number + 1, nullptr);
    if (texts_[number] != nullptr) {
      return fails(text("the id ", number, " is also that of '", *texts_[number], "'"));
    }
    texts_[number] = &ids_.emplace(token, static_cast<int32_t>(number)).first->first;
  }
  return {};
}

status bpe::parse_merges(const json_field& section) {
  const auto list = section.array("merges");
  if (!list) return list.error();
  const auto& merges = list->value();
  merges_.reserve(merges.size());
  for (uint32_t rank = 0; rank < merges.size(); ++rank) {
    const auto& merge = merges[rank];
    const json_field at = list->element(rank);
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      TROUPE_RETURN_IF_ERROR(put_merge(at, rank, merge[0].get_ref<const std::string&>(),
                                       merge[1].get_ref<const std::string&>()));
      continue;
    }
    if (!merge.is_string()) return at.fails("must be 'left right' or ['left', 'right']").value();
    const std::string_view both = merge.get_ref<const std::string&>();
    const size_t space = both.find(' ');
    if (space == std::string_view::npos || both.find(' ', space + 1) != std::string_view::npos) {
      return at.fails(text("'", both, "' is not two tokens with one space between")).value();
    }
    TROUPE_RETURN_IF_ERROR(put_merge(at, rank, both.substr(0, space), both.substr(space + 1)));
  }
  return {};
}

status bpe::put_merge(const json_field& at, uint32_t rank, std::string_view left,
                      std::string_view right) {
  if (right.size() < word_prefix_.size()) {
    return at.fails(text("'", right, "' lacks the prefix '", word_prefix_, "'")).value();
  }
  const std::string joined = text(left, right.substr(word_prefix_.size()));
  std::optional<int32_t> ids[3];
  const std::string_view tokens[3] = {left, right, joined};
  for (size_t i = 0; i < 3; ++i) {
    ids[i] = id_of(tokens[i]);
    if (!ids[i])
      return at.fails(text("the token '", tokens[i], "' is not in the vocabulary")).value();
  }
  merges_.put(*ids[0], *ids[1], {rank, *ids[2]});
  return {};
}

void bpe::index_letters() {
  letter_ids_.assign(indexed_letters, -1);
  std::string letter;
  for (size_t point = 0; point < indexed_letters; ++point) {
    letter.clear();
    append_utf8(letter, static_cast<char32_t>(point));
    letter_ids_[point] = id_of(letter).value_or(-1);
  }
  byte_ids_.assign(256, -1);
  constexpr char digits[] = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = id_of(text("<0x", digits[byte >> 4], digits[byte & 15], ">")).value_or(-1);
  }
}

std::optional<int32_t> bpe::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* bpe::text_of(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < texts_.size() ? texts_[static_cast<size_t>(id)]
                                                            : nullptr;
}

std::optional<int32_t> bpe::letter_id(std::string_view letter, bool is_first, bool is_last) const {
  const bool has_prefix = !is_first && !word_prefix_.empty();
  const bool has_suffix = is_last && !word_suffix_.empty();
  if (has_prefix || has_suffix) {
    return id_of(text(has_prefix ? word_prefix_ : "", letter, has_suffix ? word_suffix_ : ""));
  }
  size_t at = 0;
  const char32_t point = next_code_point(letter, at);
  if (point >= indexed_letters) return id_of(letter);
  const int32_t id = letter_ids_[point];
  return id < 0 ? std::nullopt : std::optional(id);
}

bool bpe::add_bytes(std::string_view letter, std::vector<bpe_scratch::symbol>& symbols) const {
  const auto id = [&](char byte) { return byte_ids_[static_cast<uint8_t>(byte)]; };
  if (std::any_of(letter.begin(), letter.end(), [&](char byte) { return id(byte) < 0; }))
    return false;
  for (const char byte : letter) symbols.push_back({id(byte), 0, 0, true});
  return true;
}

// Letters in the vocabulary become symbols, others bytes, others the unknown token. An unknown
// token that waits to be fused is written late, behind bytes that follow it: so the reference does
// it.
status bpe::split_to_symbols(std::string_view piece,
                             std::vector<bpe_scratch::symbol>& symbols) const {
  int32_t unknown = -1; // seen, not yet written
  for (size_t at = 0; at < piece.size();) {
    const size_t begin = at;
    next_code_point(piece, at);
    const std::string_view letter = piece.substr(begin, at - begin);
    const bool is_first = begin == 0;
    const bool is_last = at == piece.size();
    if (const auto id = letter_id(letter, is_first, is_last)) {
      if (unknown >= 0) symbols.push_back({unknown, 0, 0, true});
      unknown = -1;
      symbols.push_back({*id, 0, 0, true});
      continue;
    }
    if (byte_fallback_) {
      const std::string whole =
          text(is_first ? "" : word_prefix_, letter, is_last ? word_suffix_ : "");
      if (add_bytes(whole, symbols)) continue;
    }
    if (!unknown_token_) continue;
    if (unknown >= 0 && fuses_unknown_) continue;
    if (unknown >= 0) symbols.push_back({unknown, 0, 0, true});
    unknown = id_of(*unknown_token_).value_or(-1);
    if (unknown < 0) {
      return {status_code::corrupt,
              text("the unknown token '", *unknown_token_, "' is not in the vocabulary")};
    }
  }
  if (unknown >= 0) symbols.push_back({unknown, 0, 0, true});
  return {};
}

void bpe::merge_symbols(bpe_scratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  const auto count = static_cast<int32_t>(symbols.size());
  heap.clear();
  const auto candidate_at = [&](int32_t position) {
    const auto& left = symbols[static_cast<size_t>(position)];
    if (left.next < 0) return false;
    const auto* merge = merges_.find(left.id, symbols[static_cast<size_t>(left.next)].id);
    if (merge == nullptr) return false;
    heap.push_back({merge->rank, static_cast<uint32_t>(position), merge->id});
    return true;
  };
  for (int32_t i = 0; i < count; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < count ? i + 1 : -1;
  }
  for (int32_t i = 0; i + 1 < count; ++i) candidate_at(i);
  std::make_heap(heap.begin(), heap.end(), comes_later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), comes_later);
    const bpe_scratch::candidate best = heap.back();
    heap.pop_back();
    auto& left = symbols[best.position];
    if (!left.alive || left.next < 0) continue;
    auto& right = symbols[static_cast<size_t>(left.next)];
    // The neighbours may have changed since; it is the merged id that must still be the same.
    const auto* merge = merges_.find(left.id, right.id);
    if (merge == nullptr || merge->id != best.id) continue;
    left.id = best.id;
    left.next = right.next;
    right.alive = false;
    if (left.next >= 0) {
      symbols[static_cast<size_t>(left.next)].previous = static_cast<int32_t>(best.position);
    }
    if (left.previous >= 0 && candidate_at(left.previous)) {
      std::push_heap(heap.begin(), heap.end(), comes_later);
    }
    if (candidate_at(static_cast<int32_t>(best.position))) {
      std::push_heap(heap.begin(), heap.end(), comes_later);
    }
  }
}

status bpe::encode(std::string_view piece, bpe_scratch& scratch, std::vector<int32_t>& out) const {
  if (piece.empty()) return {};
  if (ignores_merges_) {
    if (const auto id = id_of(piece)) {
      out.push_back(*id);
      return {};
    }
  }
  if (piece.size() >= size_t{1} << 30)
    return {status_code::exhausted, "a piece of a gigabyte or more"};
  scratch.symbols.clear();
  TROUPE_RETURN_IF_ERROR(split_to_symbols(piece, scratch.symbols));
  if (scratch.symbols.size() > 1) merge_symbols(scratch);
  for (const auto& symbol : scratch.symbols) {
    if (symbol.alive) out.push_back(symbol.id);
  }
  return {};
}

} // namespace troupe::model
