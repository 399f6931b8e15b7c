// The bytes of control records: one byte of kind, then the fields.
#include "transport/session/control_record.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "transport/session/byte_stream.hpp"
#include "transport/session/hello.hpp"

#include <utility>

namespace troupe::transport {
namespace {

enum class record_kind : uint8_t { verdict = 1, heartbeat, book, description, farewell, data_path };

void write(byte_writer& out, const verdict_record& from) {
  out.u8(static_cast<uint8_t>(record_kind::verdict));
  out.u8(static_cast<uint8_t>(from.verdict));
}
void write(byte_writer& out, const heartbeat_record& from) {
  out.u8(static_cast<uint8_t>(record_kind::heartbeat));
  out.u64(from.frames_taken);
}
void write(byte_writer& out, const book_record& from) {
  TROUPE_CHECK(from.entries.size() <= book_entries_max);
  out.u8(static_cast<uint8_t>(record_kind::book));
  out.u16(static_cast<uint16_t>(from.entries.size()));
  for (const auto& entry : from.entries) {
    out.sized(entry.identity.name);
    out.u64(entry.identity.incarnation);
    out.sized(entry.address);
  }
}
void write(byte_writer& out, const description_record& from) {
  TROUPE_CHECK(from.part.size() <= description_part_bytes_max);
  out.u8(static_cast<uint8_t>(record_kind::description));
  out.u64(from.bytes_left);
  out.raw(from.part);
}
void write(byte_writer& out, const data_path_record& from) {
  out.u8(static_cast<uint8_t>(record_kind::data_path));
  out.sized(from.worker_address);
}
void write(byte_writer& out, const farewell_record&) {
  out.u8(static_cast<uint8_t>(record_kind::farewell));
}

result<control_record> read_verdict(byte_reader& in) {
  const uint8_t verdict = in.u8();
  if (verdict > static_cast<uint8_t>(session_verdict::own_name))
    return fail(status_code::corrupt, text("a verdict numbered ", verdict));
  return verdict_record{static_cast<session_verdict>(verdict)};
}

result<control_record> read_book(byte_reader& in) {
  const uint16_t count = in.u16();
  if (count > book_entries_max)
    return fail(status_code::corrupt, text("an address book of ", count, " entries"));
  book_record out;
  for (uint16_t i = 0; i < count && in.good(); ++i) {
    book_entry entry;
    entry.identity.name = in.sized_text();
    entry.identity.incarnation = in.u64();
    entry.address = in.sized_text();
    if (in.good() && (!valid_name(entry.identity.name) || !valid_address(entry.address)))
      return fail(status_code::corrupt, "an address book with a name or an address that is none");
    out.entries.push_back(std::move(entry));
  }
  return out;
}

result<control_record> read_description(byte_reader& in) {
  description_record out;
  out.bytes_left = in.u64();
  const auto part = in.raw(in.rest().size());
  if (part.size() > description_part_bytes_max || out.bytes_left > description_bytes_max)
    return fail(status_code::corrupt, "a description that is too long");
  out.part.assign(part.begin(), part.end());
  return out;
}

result<control_record> read_data_path(byte_reader& in) {
  const auto address = in.sized();
  if (address.size() > worker_address_bytes_max)
    return fail(status_code::corrupt, text("a worker address of ", address.size(), " bytes"));
  return data_path_record{{address.begin(), address.end()}};
}

result<control_record> read(byte_reader& in) {
  const uint8_t kind = in.u8();
  switch (static_cast<record_kind>(kind)) {
    case record_kind::verdict:
      return read_verdict(in);
    case record_kind::heartbeat:
      return heartbeat_record{in.u64()};
    case record_kind::book:
      return read_book(in);
    case record_kind::description:
      return read_description(in);
    case record_kind::data_path:
      return read_data_path(in);
    case record_kind::farewell:
      return farewell_record{};
  }
  return fail(status_code::corrupt, text("a control record of kind ", kind));
}

} // namespace

std::string_view to_string(session_verdict verdict) {
  switch (verdict) {
    case session_verdict::accepted:
      return "accepted";
    case session_verdict::stale:
      return "stale";
    case session_verdict::duplicate:
      return "duplicate";
    case session_verdict::own_name:
      return "own_name";
  }
  return "unknown";
}

std::vector<std::byte> encode(const control_record& from) {
  byte_writer out;
  std::visit([&out](const auto& record) { write(out, record); }, from);
  return out.take();
}

result<control_record> decode_control_record(std::span<const std::byte> bytes) {
  byte_reader in(bytes);
  auto out = read(in);
  if (out && !in.at_end())
    return fail(status_code::corrupt, "a control record of the wrong length");
  return out;
}

} // namespace troupe::transport
