// The three messages and the key schedule: the key of the cluster and an ephemeral X25519 agreement
// are mixed by HKDF, every derived key is bound to all that was said before it.
#include "transport/session/handshake.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "transport/session/byte_stream.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace troupe::transport {
namespace {

constexpr std::string_view protocol_name = "troupe transport 1";
constexpr std::array<std::byte, 4> magic = {std::byte{'T'}, std::byte{'R'}, std::byte{'P'},
                                            std::byte{'E'}};
constexpr size_t nonce_bytes = 16;
constexpr uint8_t flag_encrypt = 1;
constexpr size_t opening_bytes = 4 + 2 + 1 + 1 + public_key_bytes + nonce_bytes + digest_bytes;
constexpr size_t reply_clear_bytes = 2 + 1 + 1 + public_key_bytes + nonce_bytes;

std::span<const std::byte> text_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

void add_nonce(byte_writer& out) {
  std::array<std::byte, nonce_bytes> nonce;
  fill_random(nonce);
  out.raw(nonce);
}

std::string_view said(bool encrypt) {
  return encrypt ? "on" : "off";
}

} // namespace

struct handshake::state {
  enum class step : uint8_t { opening, await_opening, await_reply, await_closing, done, failed };

  explicit state(handshake_options given, step first)
      : options(std::move(given)),
        next(first),
        purpose(options.purpose),
        cluster_key(hkdf_extract(text_bytes("troupe cluster key"), options.key.bytes())) {
    options.key = {};
  }

  handshake_options options;
  step next;
  session_purpose purpose;
  secret cluster_key;               // of the cluster's key
  secret handshake_key;             // and of the ephemeral ones
  std::optional<ephemeral_key> own; // made when we ask, or the asker has the cluster's key
  digest transcript{};              // of all that was said so far
  std::vector<std::byte> opening;
  hello peer;
  std::optional<session_keys> keys;

  digest opening_mac(std::span<const std::byte> said) const {
    return hmac(hkdf_expand(cluster_key, "opening", {}).bytes(), said);
  }

  std::vector<std::byte> make_opening() {
    own.emplace();
    byte_writer out;
    out.raw(magic);
    out.u16(protocol_version);
    out.u8(static_cast<uint8_t>(purpose));
    out.u8(options.encrypt ? flag_encrypt : 0);
    out.raw(own->public_bytes());
    add_nonce(out);
    out.raw(opening_mac(out.bytes()));
    opening = out.take();
    TROUPE_CHECK(opening.size() == opening_bytes);
    next = step::await_reply;
    return opening;
  }

  result<std::vector<std::byte>> answer_opening(std::span<const std::byte> message) {
    if (message.size() != opening_bytes)
      return fail(status_code::corrupt, text("an opening of ", message.size(), " bytes"));
    const auto claims = message.first(opening_bytes - digest_bytes);
    if (!equal_in_constant_time(opening_mac(claims), message.last(digest_bytes)))
      return fail(status_code::corrupt, "an opening that was not made with our key");
    byte_reader in(claims);
    const auto said_magic = in.raw(magic.size());
    if (!std::equal(magic.begin(), magic.end(), said_magic.begin()))
      return fail(status_code::corrupt, "an opening of another protocol");
    const uint16_t version = in.u16();
    const uint8_t wanted = in.u8(), flags = in.u8();
    const auto ephemeral = in.raw(public_key_bytes);
    if (wanted > static_cast<uint8_t>(session_purpose::description))
      return fail(status_code::unsupported, text("an opening for purpose ", wanted));
    purpose = static_cast<session_purpose>(wanted);
    if (auto agreed = check_terms(version, flags); !agreed.ok()) return fail(std::move(agreed));
    opening.assign(message.begin(), message.end());
    return make_reply(ephemeral);
  }

  status check_terms(uint16_t version, uint8_t flags) const {
    if (version != protocol_version)
      return status(status_code::unsupported, text("the peer speaks protocol version ", version,
                                                   ", this node ", protocol_version));
    const bool encrypt = (flags & flag_encrypt) != 0;
    // Somebody who only asks for the description sends no frames: no need to agree about them.
    if (purpose == session_purpose::peer && encrypt != options.encrypt)
      return status(status_code::unsupported,
                    text("encryption is ", said(encrypt), " at the peer and ",
                         said(options.encrypt), " at this node"));
    return {};
  }

  result<std::vector<std::byte>> make_reply(std::span<const std::byte> ephemeral) {
    own.emplace();
    auto shared = own->agree(ephemeral);
    if (!shared) return fail(std::move(shared.error()));
    byte_writer out;
    out.u16(protocol_version);
    out.u8(options.encrypt ? flag_encrypt : 0);
    out.u8(0);
    out.raw(own->public_bytes());
    add_nonce(out);
    begin_transcript(*shared, out.bytes());
    seal_hello(out, "responder hello");
    next = step::await_closing;
    return out.take();
  }

  result<std::vector<std::byte>> answer_reply(std::span<const std::byte> message) {
    if (message.size() < reply_clear_bytes + aead_tag_bytes)
      return fail(status_code::corrupt, text("a reply of ", message.size(), " bytes"));
    const auto clear = message.first(reply_clear_bytes);
    byte_reader in(clear);
    const uint16_t version = in.u16();
    const uint8_t flags = in.u8();
    in.u8();
    auto shared = own->agree(in.raw(public_key_bytes));
    if (!shared) return fail(std::move(shared.error()));
    begin_transcript(*shared, clear);
    if (auto opened = open_hello(message.subspan(reply_clear_bytes), "responder hello");
        !opened.ok())
      return fail(std::move(opened));
    if (auto agreed = check_terms(version, flags); !agreed.ok()) return fail(std::move(agreed));
    byte_writer out;
    seal_hello(out, "initiator hello");
    finish("initiator", "responder");
    return out.take();
  }

  result<std::vector<std::byte>> answer_closing(std::span<const std::byte> message) {
    if (auto opened = open_hello(message, "initiator hello"); !opened.ok())
      return fail(std::move(opened));
    finish("responder", "initiator");
    return std::vector<std::byte>();
  }

  void begin_transcript(const secret& shared, std::span<const std::byte> reply_clear) {
    handshake_key = hkdf_extract(cluster_key.bytes(), shared.bytes());
    transcript = sha256({text_bytes(protocol_name), opening, reply_clear});
  }

  void seal_hello(byte_writer& out, std::string_view label) {
    const auto plain = encode(options.self);
    std::vector<std::byte> sealed(plain.size() + aead_tag_bytes);
    aead_key(handshake_key, label, transcript).seal(0, transcript, plain, {}, sealed.data());
    transcript = sha256({transcript, sealed});
    out.raw(sealed);
  }

  status open_hello(std::span<const std::byte> sealed, std::string_view label) {
    if (sealed.size() < aead_tag_bytes)
      return status(status_code::corrupt, text("a sealed hello of ", sealed.size(), " bytes"));
    std::vector<std::byte> plain(sealed.size() - aead_tag_bytes);
    if (!aead_key(handshake_key, label, transcript).open(0, transcript, sealed, plain.data()))
      return status(status_code::corrupt, "a hello that was not sealed with our key");
    auto decoded = decode_hello(plain);
    if (!decoded) return std::move(decoded.error());
    if (decoded->identity.name.empty() && purpose == session_purpose::peer)
      return status(status_code::corrupt, "a peer without a name");
    peer = std::move(*decoded);
    transcript = sha256({transcript, sealed});
    return {};
  }

  void finish(std::string_view own_side, std::string_view other_side) {
    const auto key = [this](std::string_view side, std::string_view use) {
      return aead_key(handshake_key, text(side, " ", use), transcript);
    };
    keys.emplace(session_keys{key(own_side, "control"), key(other_side, "control"),
                              key(own_side, "frames"), key(other_side, "frames")});
    handshake_key = {};
    cluster_key = {};
    next = step::done;
  }
};

handshake::handshake(std::unique_ptr<state> state) : state_(std::move(state)) {}
handshake::~handshake() = default;
handshake::handshake(handshake&&) noexcept = default;
handshake& handshake::operator=(handshake&&) noexcept = default;

handshake handshake::initiate(handshake_options options) {
  return handshake(std::make_unique<state>(std::move(options), state::step::opening));
}

handshake handshake::respond(handshake_options options) {
  return handshake(std::make_unique<state>(std::move(options), state::step::await_opening));
}

std::vector<std::byte> handshake::opening() {
  TROUPE_CHECK(state_->next == state::step::opening);
  return state_->make_opening();
}

result<std::vector<std::byte>> handshake::receive(std::span<const std::byte> message) {
  const auto answer = [&]() -> result<std::vector<std::byte>> {
    if (message.size() > handshake_message_bytes_max)
      return fail(status_code::corrupt, text("a handshake message of ", message.size(), " bytes"));
    switch (state_->next) {
      case state::step::await_opening:
        return state_->answer_opening(message);
      case state::step::await_reply:
        return state_->answer_reply(message);
      case state::step::await_closing:
        return state_->answer_closing(message);
      default:
        return fail(status_code::corrupt, "a handshake message out of turn");
    }
  };
  auto out = answer();
  if (!out && state_->next != state::step::done) state_->next = state::step::failed;
  return out;
}

bool handshake::done() const {
  return state_->next == state::step::done;
}

const hello& handshake::peer() const {
  TROUPE_CHECK(done());
  return state_->peer;
}

session_purpose handshake::purpose() const {
  return state_->purpose;
}

session_keys handshake::take_keys() {
  TROUPE_CHECK(state_->keys.has_value());
  session_keys out = std::move(*state_->keys);
  state_->keys.reset();
  return out;
}

} // namespace troupe::transport
