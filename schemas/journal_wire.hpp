// Field by field between journal_messages.hpp and journal.capnp. Templates over the generated
// builders and readers, which only the codec's source knows.
#pragma once

#include "schemas/frame_limits.hpp"
#include "schemas/journal_messages.hpp"
#include "schemas/wire_lists.hpp"

#include <cstring>

namespace troupe::schemas {

template <class Builder>
void write(const journal_entry& from, Builder to) {
  to.setNumber(from.number);
  if (from.bytes.empty()) return;
  auto bytes = to.initBytes(static_cast<unsigned>(from.bytes.size()));
  std::memcpy(bytes.begin(), from.bytes.data(), from.bytes.size());
}

template <class Reader>
void read(Reader from, journal_entry& to, const frame_limits& limits, wire_budget& budget) {
  to.number = from.getNumber();
  const auto bytes = from.getBytes();
  if (!budget.allows(bytes.size(), limits.journal_entry_bytes_max, "bytes of a journal's entry"))
    return;
  to.bytes.resize(bytes.size());
  if (bytes.size() > 0) std::memcpy(to.bytes.data(), bytes.begin(), bytes.size());
}

template <class Builder>
void write(const journal_answer& from, Builder to) {
  to.setNumber(from.number);
  to.setKept(from.kept);
}

template <class Reader>
void read(Reader from, journal_answer& to, const frame_limits&, wire_budget&) {
  to.number = from.getNumber();
  to.kept = from.getKept();
}

} // namespace troupe::schemas
