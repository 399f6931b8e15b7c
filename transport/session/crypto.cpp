// OpenSSL behind the operations of crypto.hpp. What OpenSSL can only fail for lack of memory or a
// broken installation is a check, not a status.
#include "transport/session/crypto.hpp"

#include "base/check.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>
#include <utility>

namespace troupe::transport {
namespace {

const unsigned char* raw(const std::byte* at) {
  return reinterpret_cast<const unsigned char*>(at);
}
unsigned char* raw(std::byte* at) {
  return reinterpret_cast<unsigned char*>(at);
}

struct key_deleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct key_context_deleter {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
struct digest_context_deleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
struct cipher_context_deleter {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using key_handle = std::unique_ptr<EVP_PKEY, key_deleter>;
using key_context = std::unique_ptr<EVP_PKEY_CTX, key_context_deleter>;
using digest_context = std::unique_ptr<EVP_MD_CTX, digest_context_deleter>;
using cipher_context = std::unique_ptr<EVP_CIPHER_CTX, cipher_context_deleter>;

// EVP counts in int.
constexpr size_t piece_bytes_max = size_t{1} << 30;

} // namespace

void fill_random(std::span<std::byte> out) {
  TROUPE_CHECK(out.size() <= std::numeric_limits<int>::max());
  TROUPE_CHECK(RAND_bytes(raw(out.data()), static_cast<int>(out.size())) == 1);
}

uint64_t random_number() {
  std::array<std::byte, sizeof(uint64_t)> bytes;
  fill_random(bytes);
  uint64_t out = 0;
  std::memcpy(&out, bytes.data(), sizeof out);
  return out;
}

digest sha256(std::initializer_list<std::span<const std::byte>> parts) {
  digest out{};
  const digest_context context(EVP_MD_CTX_new());
  TROUPE_CHECK(context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  for (const auto part : parts)
    TROUPE_CHECK(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1);
  TROUPE_CHECK(EVP_DigestFinal_ex(context.get(), raw(out.data()), nullptr) == 1);
  return out;
}

digest hmac(std::span<const std::byte> key, std::span<const std::byte> data) {
  static constexpr unsigned char no_key = 0; // a null pointer would mean "the key of before"
  digest out{};
  unsigned written = 0;
  TROUPE_CHECK(HMAC(EVP_sha256(), key.empty() ? &no_key : raw(key.data()),
                    static_cast<int>(key.size()), raw(data.data()), data.size(), raw(out.data()),
                    &written) != nullptr &&
               written == digest_bytes);
  return out;
}

bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

secret hkdf_extract(std::span<const std::byte> salt, std::span<const std::byte> material) {
  digest made = hmac(salt, material);
  secret out{std::span<const std::byte>(made)};
  OPENSSL_cleanse(made.data(), made.size());
  return out;
}

secret hkdf_expand(const secret& key, std::string_view label, std::span<const std::byte> context,
                   size_t bytes) {
  TROUPE_CHECK(bytes <= digest_bytes);
  std::vector<std::byte> info;
  info.reserve(label.size() + context.size() + 1);
  const auto label_bytes = std::as_bytes(std::span(label));
  info.insert(info.end(), label_bytes.begin(), label_bytes.end());
  info.insert(info.end(), context.begin(), context.end());
  info.push_back(std::byte{1});
  digest made = hmac(key.bytes(), info);
  secret out{std::span<const std::byte>(made).first(bytes)};
  OPENSSL_cleanse(made.data(), made.size());
  return out;
}

struct ephemeral_key::pair {
  key_handle handle;
};

ephemeral_key::ephemeral_key() : pair_(std::make_unique<pair>()) {
  const key_context context(EVP_PKEY_CTX_new_id(EVP_PKEY_X25519, nullptr));
  EVP_PKEY* made = nullptr;
  TROUPE_CHECK(context && EVP_PKEY_keygen_init(context.get()) == 1 &&
               EVP_PKEY_keygen(context.get(), &made) == 1);
  pair_->handle.reset(made);
  size_t bytes = public_bytes_.size();
  TROUPE_CHECK(EVP_PKEY_get_raw_public_key(made, raw(public_bytes_.data()), &bytes) == 1 &&
               bytes == public_key_bytes);
}

ephemeral_key::~ephemeral_key() = default;
ephemeral_key::ephemeral_key(ephemeral_key&& other) noexcept = default;
ephemeral_key& ephemeral_key::operator=(ephemeral_key&& other) noexcept = default;

result<secret> ephemeral_key::agree(std::span<const std::byte> other_public) const {
  TROUPE_CHECK(other_public.size() == public_key_bytes);
  const key_handle other(EVP_PKEY_new_raw_public_key(
      EVP_PKEY_X25519, nullptr, raw(other_public.data()), other_public.size()));
  const key_context context(EVP_PKEY_CTX_new(pair_->handle.get(), nullptr));
  TROUPE_CHECK(other && context && EVP_PKEY_derive_init(context.get()) == 1);
  std::array<std::byte, digest_bytes> shared{};
  size_t bytes = shared.size();
  // OpenSSL refuses a point of small order here: the agreed number would be zero.
  if (EVP_PKEY_derive_set_peer(context.get(), other.get()) != 1 ||
      EVP_PKEY_derive(context.get(), raw(shared.data()), &bytes) != 1 || bytes != shared.size())
    return fail(status_code::corrupt, "a public key that agrees on nothing");
  secret out{std::span<const std::byte>(shared)};
  OPENSSL_cleanse(shared.data(), shared.size());
  return out;
}

// Contexts keep the expanded key, so a frame pays for its nonce only; idle ones wait here for the
// next caller. EVP_CIPHER_CTX_free wipes them.
struct aead_key::state {
  secret key, nonce;
  mutable std::mutex mutex;
  mutable std::vector<cipher_context> idle_sealers, idle_openers;

  cipher_context take(bool sealing) const {
    {
      std::lock_guard lock(mutex);
      auto& idle = sealing ? idle_sealers : idle_openers;
      if (!idle.empty()) {
        cipher_context out = std::move(idle.back());
        idle.pop_back();
        return out;
      }
    }
    cipher_context out(EVP_CIPHER_CTX_new());
    TROUPE_CHECK(out != nullptr &&
                 EVP_CipherInit_ex(out.get(), EVP_aes_256_gcm(), nullptr, raw(key.bytes().data()),
                                   nullptr, sealing ? 1 : 0) == 1);
    return out;
  }

  void give_back(cipher_context context, bool sealing) const {
    std::lock_guard lock(mutex);
    (sealing ? idle_sealers : idle_openers).push_back(std::move(context));
  }

  void start(EVP_CIPHER_CTX* context, uint64_t sequence,
             std::span<const std::byte> associated) const {
    std::array<unsigned char, aead_nonce_bytes> number;
    std::memcpy(number.data(), nonce.bytes().data(), number.size());
    for (size_t i = 0; i < sizeof sequence; ++i)
      number[number.size() - 1 - i] ^= static_cast<unsigned char>(sequence >> (8 * i));
    TROUPE_CHECK(EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, number.data(), -1) == 1);
    int written = 0;
    TROUPE_CHECK(EVP_CipherUpdate(context, nullptr, &written, raw(associated.data()),
                                  static_cast<int>(associated.size())) == 1);
  }

  static std::byte* add(EVP_CIPHER_CTX* context, std::span<const std::byte> in, std::byte* out) {
    while (!in.empty()) {
      const auto piece = in.first(std::min(in.size(), piece_bytes_max));
      int written = 0;
      TROUPE_CHECK(EVP_CipherUpdate(context, raw(out), &written, raw(piece.data()),
                                    static_cast<int>(piece.size())) == 1);
      out += written;
      in = in.subspan(piece.size());
    }
    return out;
  }
};

aead_key::aead_key(const secret& session_key, std::string_view label,
                   std::span<const std::byte> context)
    : state_(std::make_unique<state>()) {
  state_->key = hkdf_expand(session_key, std::string(label) + " key", context, aead_key_bytes);
  state_->nonce =
      hkdf_expand(session_key, std::string(label) + " nonce", context, aead_nonce_bytes);
}

aead_key::~aead_key() = default;
aead_key::aead_key(aead_key&& other) noexcept = default;
aead_key& aead_key::operator=(aead_key&& other) noexcept = default;

void aead_key::seal(uint64_t sequence, std::span<const std::byte> associated,
                    std::span<const std::byte> first, std::span<const std::byte> second,
                    std::byte* out) const {
  cipher_context context = state_->take(true);
  state_->start(context.get(), sequence, associated);
  out = state::add(context.get(), first, out);
  out = state::add(context.get(), second, out);
  int written = 0;
  TROUPE_CHECK(EVP_CipherFinal_ex(context.get(), raw(out), &written) == 1 && written == 0);
  TROUPE_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, aead_tag_bytes, out) == 1);
  state_->give_back(std::move(context), true);
}

bool aead_key::open(uint64_t sequence, std::span<const std::byte> associated,
                    std::span<const std::byte> sealed, std::byte* out) const {
  if (sealed.size() < aead_tag_bytes) return false;
  std::array<std::byte, aead_tag_bytes> tag;
  std::memcpy(tag.data(), sealed.data() + sealed.size() - tag.size(), tag.size());
  cipher_context context = state_->take(false);
  state_->start(context.get(), sequence, associated);
  out = state::add(context.get(), sealed.first(sealed.size() - tag.size()), out);
  TROUPE_CHECK(
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, aead_tag_bytes, tag.data()) == 1);
  std::array<std::byte, aead_tag_bytes> rest; // GCM leaves nothing for the end
  int written = 0;
  const bool authentic = EVP_CipherFinal_ex(context.get(), raw(rest.data()), &written) == 1;
  state_->give_back(std::move(context), false);
  return authentic;
}

} // namespace troupe::transport
