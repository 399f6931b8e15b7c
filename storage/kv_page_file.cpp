// The bytes of a page's file and of its name.
#include "storage/kv_page_file.hpp"

#include "base/check.hpp"
#include "schemas/checksum.hpp"
#include "storage/sealed_file.hpp"

#include <algorithm>
#include <cstring>

namespace troupe::storage {
namespace {

constexpr file_kind page_kind = {.magic = "TRPKVPAG", .version = 1};
constexpr std::string_view suffix = ".kv";

void put_number(std::vector<std::byte>& to, size_t bytes, uint64_t value) {
  for (size_t i = 0; i < bytes; ++i) to.push_back(static_cast<std::byte>(value >> (8 * i)));
}

void put_tokens(std::vector<std::byte>& to, std::span<const int32_t> tokens) {
  for (const int32_t token : tokens) put_number(to, 4, static_cast<uint32_t>(token));
}

// Everything before the page.
std::vector<std::byte> preamble_of(const kv_page_facts& facts) {
  std::vector<std::byte> out;
  out.reserve(kv_page_file_bytes(facts, 0) - seal_bytes);
  put_number(out, 4, facts.identity.size());
  const auto identity = std::as_bytes(std::span(facts.identity));
  out.insert(out.end(), identity.begin(), identity.end());
  put_number(out, 8, facts.chain.salt.first);
  put_number(out, 8, facts.chain.salt.second);
  put_number(out, 8, facts.chain.weight_version);
  put_number(out, 4, facts.tokens.size());
  put_tokens(out, facts.tokens);
  return out;
}

void put_hex(std::string& to, uint64_t value) {
  constexpr char digits[] = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4) to += digits[value >> shift & 15];
}

std::optional<uint64_t> take_hex(std::string_view& from) {
  if (from.size() < 16) return std::nullopt;
  uint64_t out = 0;
  for (const char c : from.substr(0, 16)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return std::nullopt;
    out = out << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  from.remove_prefix(16);
  return out;
}

} // namespace

kv_chain begin_chain(const hash_key& key, std::string_view salt, uint64_t weight_version) {
  kv_chain out;
  out.salt = keyed_hash(key, std::as_bytes(std::span(salt)));
  out.weight_version = weight_version;
  return out;
}

kv_chain extend_chain(const hash_key& key, const kv_chain& chain, std::span<const int32_t> tokens) {
  std::vector<std::byte> bytes;
  bytes.reserve(32 + 4 * tokens.size());
  for (const uint64_t word :
       {chain.salt.first, chain.salt.second, chain.weight_version, chain.hash})
    put_number(bytes, 8, word);
  put_tokens(bytes, tokens);
  kv_chain out = chain;
  out.parent = chain.hash;
  out.hash = std::max<uint64_t>(1, keyed_hash(key, bytes).first);
  ++out.pages;
  return out;
}

std::string to_file_name(const kv_page_name& name) {
  std::string out;
  for (const uint64_t word : {name.chain, name.parent, uint64_t{name.pages_before}, name.number,
                              name.bytes, name.identity})
    put_hex(out, word);
  out += suffix;
  return out;
}

std::optional<kv_page_name> parse_kv_page_name(std::string_view file) {
  uint64_t words[6];
  for (auto& word : words) {
    const auto read = take_hex(file);
    if (!read) return std::nullopt;
    word = *read;
  }
  if (file != suffix || words[2] > UINT32_MAX) return std::nullopt;
  return kv_page_name{words[0], words[1], static_cast<uint32_t>(words[2]),
                      words[3], words[4], words[5]};
}

size_t kv_page_file_bytes(const kv_page_facts& facts, size_t page_bytes) {
  return seal_bytes + 4 + facts.identity.size() + 16 + 8 + 4 + 4 * facts.tokens.size() + page_bytes;
}

std::vector<std::byte> begin_kv_page_file(const kv_page_facts& facts, size_t page_bytes) {
  const auto preamble = preamble_of(facts);
  std::vector<std::byte> out(kv_page_file_bytes(facts, page_bytes));
  std::memcpy(out.data() + seal_bytes, preamble.data(), preamble.size());
  return out;
}

std::span<std::byte> page_of(std::vector<std::byte>& file, size_t page_bytes) {
  TROUPE_CHECK(file.size() >= seal_bytes + page_bytes);
  return std::span(file).last(page_bytes);
}

void seal_kv_page_file(std::vector<std::byte>& file) {
  seal_in_place(page_kind, file);
}

result<std::span<const std::byte>> open_kv_page_file(const kv_page_facts& wanted,
                                                     std::span<const std::byte> file,
                                                     size_t page_bytes) {
  const auto content = unseal(page_kind, file);
  if (!content) return fail(content.error());
  const auto preamble = preamble_of(wanted);
  if (content->size() != preamble.size() + page_bytes ||
      std::memcmp(content->data(), preamble.data(), preamble.size()) != 0)
    return fail(status_code::not_found, "is the page of something else");
  return content->last(page_bytes);
}

} // namespace troupe::storage
