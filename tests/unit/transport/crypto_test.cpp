// The operations of crypto.hpp against published vectors, and what must fail.
#include "transport/session/crypto.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace troupe::transport {
namespace {

std::vector<std::byte> from_hex(std::string_view digits) {
  const auto bytes = secret::from_hex(digits).value();
  return {bytes.bytes().begin(), bytes.bytes().end()};
}

// RFC 5869, test case 1; its 42 bytes are more than one digest, of which ours is the beginning.
TEST(crypto_test, derives_keys_as_rfc_5869_does) {
  const std::vector<std::byte> material(22, std::byte{0x0b});
  const auto extracted = hkdf_extract(from_hex("000102030405060708090a0b0c"), material);
  EXPECT_EQ(extracted.hex(), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  EXPECT_EQ(hkdf_expand(extracted, "", from_hex("f0f1f2f3f4f5f6f7f8f9")).hex(),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

// RFC 4231, test case 2.
TEST(crypto_test, authenticates_as_rfc_4231_does) {
  const std::string key = "Jefe", data = "what do ya want for nothing?";
  const auto mac = hmac(std::as_bytes(std::span(key)), std::as_bytes(std::span(data)));
  EXPECT_EQ(secret(std::span<const std::byte>(mac)).hex(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(crypto_test, two_ephemeral_keys_agree_and_a_third_does_not) {
  const ephemeral_key a, b, c;
  const auto ab = a.agree(b.public_bytes()).value(), ba = b.agree(a.public_bytes()).value();
  EXPECT_EQ(ab.hex(), ba.hex());
  EXPECT_NE(ab.hex(), a.agree(c.public_bytes()).value().hex());
}

TEST(crypto_test, refuses_a_public_key_of_small_order) {
  const ephemeral_key own;
  std::array<std::byte, public_key_bytes> zero{}, one{};
  one[0] = std::byte{1};
  EXPECT_EQ(own.agree(zero).error().code(), status_code::corrupt);
  EXPECT_EQ(own.agree(one).error().code(), status_code::corrupt);
}

TEST(crypto_test, seals_and_opens_any_length_in_place) {
  const auto key = secret::random();
  const aead_key sealer(key, "test", {}), opener(key, "test", {});
  for (const size_t bytes : {0, 1, 15, 16, 17, 4096, 100'003}) {
    std::vector<std::byte> plain(bytes), other(bytes / 3),
        sealed(bytes + bytes / 3 + aead_tag_bytes);
    fill_random(plain);
    fill_random(other);
    sealer.seal(bytes, other, plain, other, sealed.data());
    ASSERT_TRUE(opener.open(bytes, other, sealed, sealed.data()));
    EXPECT_TRUE(std::equal(plain.begin(), plain.end(), sealed.begin()));
    EXPECT_TRUE(
        std::equal(other.begin(), other.end(), sealed.begin() + static_cast<ptrdiff_t>(bytes)));
  }
}

TEST(crypto_test, opens_nothing_that_was_changed) {
  const auto key = secret::random();
  const aead_key sealer(key, "test", {}), other_label(key, "tent", {});
  const std::vector<std::byte> plain(100, std::byte{7}), head(24, std::byte{1});
  std::vector<std::byte> sealed(plain.size() + aead_tag_bytes), out(plain.size());
  sealer.seal(5, head, plain, {}, sealed.data());
  ASSERT_TRUE(sealer.open(5, head, sealed, out.data()));
  EXPECT_FALSE(sealer.open(6, head, sealed, out.data()));
  EXPECT_FALSE(sealer.open(5, {}, sealed, out.data()));
  EXPECT_FALSE(other_label.open(5, head, sealed, out.data()));
  EXPECT_FALSE(sealer.open(5, head, std::span(sealed).first(sealed.size() - 1), out.data()));
  EXPECT_FALSE(sealer.open(5, head, std::span(sealed).first(3), out.data()));
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto damaged = sealed;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    ASSERT_FALSE(sealer.open(5, head, damaged, out.data())) << bit;
  }
}

TEST(crypto_test, random_numbers_differ) {
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random_number());
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(secret_test, goes_through_hexadecimal_digits_and_back) {
  const auto key = secret::random();
  ASSERT_EQ(key.size(), cluster_key_bytes_min);
  EXPECT_EQ(secret::from_hex(" " + key.hex() + "\n").value().hex(), key.hex());
}

TEST(secret_test, a_bad_text_is_refused_and_not_repeated) {
  for (const char* text : {"", "abc", "zz", "0g", "12 34"}) {
    const auto got = secret::from_hex(text);
    ASSERT_FALSE(got.has_value()) << text;
    EXPECT_EQ(got.error().code(), status_code::invalid_argument);
    const std::string given = *text == '\0' ? "nothing" : text;
    EXPECT_EQ(got.error().why().find(given), std::string::npos);
  }
}

TEST(secret_test, moving_leaves_nothing_behind) {
  auto key = secret::random();
  const auto copy = key;
  const auto moved = std::move(key);
  EXPECT_EQ(moved.hex(), copy.hex());
  EXPECT_TRUE(key.empty()); // NOLINT: that is what is tested
}

} // namespace
} // namespace troupe::transport
