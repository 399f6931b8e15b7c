// The few cryptographic operations that sessions are made of, over OpenSSL's EVP interface: HMAC
// and HKDF with SHA-256, X25519, AES-256-GCM, and the machine's entropy.
#pragma once

#include "base/status.hpp"
#include "transport/session/secret.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace troupe::transport {

inline constexpr size_t digest_bytes = 32;
inline constexpr size_t public_key_bytes = 32;
inline constexpr size_t aead_key_bytes = 32;
inline constexpr size_t aead_nonce_bytes = 12;
inline constexpr size_t aead_tag_bytes = 16;

using digest = std::array<std::byte, digest_bytes>;

// Ends the process when the machine has no entropy: nothing safe can be done then.
void fill_random(std::span<std::byte> out);
uint64_t random_number();

digest sha256(std::initializer_list<std::span<const std::byte>> parts);
digest hmac(std::span<const std::byte> key, std::span<const std::byte> data);
bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b);

// RFC 5869. `bytes` is at most one digest, all that is needed here.
secret hkdf_extract(std::span<const std::byte> salt, std::span<const std::byte> material);
secret hkdf_expand(const secret& key, std::string_view label, std::span<const std::byte> context,
                   size_t bytes = digest_bytes);

// One side's half of a key agreement that is used once and forgotten.
class ephemeral_key {
public:
  ephemeral_key();
  ~ephemeral_key();
  ephemeral_key(ephemeral_key&& other) noexcept;
  ephemeral_key& operator=(ephemeral_key&& other) noexcept;

  const std::array<std::byte, public_key_bytes>& public_bytes() const { return public_bytes_; }
  // corrupt: the other's key is no point of large order
  result<secret> agree(std::span<const std::byte> other_public) const;

private:
  struct pair;
  std::unique_ptr<pair> pair_;
  std::array<std::byte, public_key_bytes> public_bytes_{};
};

// AES-256-GCM of one direction of one session. The nonce is the fixed part of the key with the
// sequence number added, so a number must never be sealed twice. Any thread, several at a time.
class aead_key {
public:
  // Both parts are derived: context binds them to the session, label to their use.
  aead_key(const secret& session_key, std::string_view label, std::span<const std::byte> context);
  ~aead_key();
  aead_key(aead_key&& other) noexcept;
  aead_key& operator=(aead_key&& other) noexcept;

  // Writes first, second and the tag to out, which has room for them and overlaps neither.
  void seal(uint64_t sequence, std::span<const std::byte> associated,
            std::span<const std::byte> first, std::span<const std::byte> second,
            std::byte* out) const;
  // Writes the plain bytes, sealed.size() - aead_tag_bytes of them, to out, which may be
  // sealed.data(). False: not sealed by this key under this number with this associated data; what
  // out holds then means nothing.
  bool open(uint64_t sequence, std::span<const std::byte> associated,
            std::span<const std::byte> sealed, std::byte* out) const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace troupe::transport
