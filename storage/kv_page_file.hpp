// KV pages on a disk: one sealed file a page, which says of what it is the keys and values. A page
// is taken from a file only when model, version, salt and every token up to its end are those that
// were asked for; its name only helps to find it.
//
// The content of a file, numbers lowest byte first: 4 length of the identity, the identity; 16
// digest of the salt; 8 weight version; 4 count of tokens from the start of the sequence to the end
// of the page; 4 each; the bytes of the page, layer by layer.
// The name: chain, parent, pages before it, number, bytes and identity's checksum, in hexadecimal.
#pragma once

#include "base/status.hpp"
#include "storage/keyed_hash.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::storage {

// The beginning of a sequence, as far as a page's end. Equal beginnings under one key have equal
// hashes; the reverse is for the file's content to prove.
struct kv_chain {
  keyed_digest salt; // of the salt; who has no key learns nothing of it
  uint64_t weight_version = 0;
  uint64_t parent = 0; // hash of the chain without its last page
  uint64_t hash = 0;   // 0: no page yet
  uint32_t pages = 0;
};

kv_chain begin_chain(const hash_key& key, std::string_view salt, uint64_t weight_version);
// With one more page of tokens.
kv_chain extend_chain(const hash_key& key, const kv_chain& chain, std::span<const int32_t> tokens);

struct kv_page_name {
  uint64_t chain = 0;
  uint64_t parent = 0;
  uint32_t pages_before = 0;
  uint64_t number = 0; // later ones were written later
  uint64_t bytes = 0;  // of the file
  uint64_t identity = 0;
  friend bool operator==(const kv_page_name&, const kv_page_name&) = default;
};

std::string to_file_name(const kv_page_name& name);
// Nothing for any other file.
std::optional<kv_page_name> parse_kv_page_name(std::string_view file);

struct kv_page_facts {
  std::string_view identity; // of everything else that decides the bytes: model, kernels, layout
  kv_chain chain;
  std::span<const int32_t> tokens; // from the start of the sequence to the end of the page
};

size_t kv_page_file_bytes(const kv_page_facts& facts, size_t page_bytes);
// A file for `page_bytes` of page, which are zero until the caller puts them into page_of().
std::vector<std::byte> begin_kv_page_file(const kv_page_facts& facts, size_t page_bytes);
std::span<std::byte> page_of(std::vector<std::byte>& file, size_t page_bytes);
// When the page is in it.
void seal_kv_page_file(std::vector<std::byte>& file);

// The page in `file`. `corrupt`: not what was once written; `unsupported`: of another version of
// this format; `not_found`: whole, but the page of something else.
result<std::span<const std::byte>> open_kv_page_file(const kv_page_facts& wanted,
                                                     std::span<const std::byte> file,
                                                     size_t page_bytes);

} // namespace troupe::storage
