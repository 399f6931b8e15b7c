// Between the structs and Cap'n Proto's messages, keeping kj's exceptions in.
#include "schemas/learning_codec.hpp"

#include "base/text.hpp"
#include "schemas/learning_stream.capnp.h"
#include "schemas/wire_lists.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <kj/io.h>

#include <cstring>
#include <new>
#include <string_view>

namespace troupe::schemas {
namespace {

constexpr size_t word_bytes = sizeof(capnp::word);
constexpr int nesting_max = 8; // state, list of reservoirs, list of documents, text

status broken(std::string_view what, std::string_view why) {
  return status(status_code::corrupt, text(what, ": ", why));
}

// `fill` gets the empty message.
template <class Fill>
result<std::vector<std::byte>> encode_message(std::string_view what, size_t bytes_max, Fill fill) {
  try {
    capnp::MallocMessageBuilder message;
    fill(message);
    const size_t bytes = capnp::computeSerializedSizeInWords(message) * word_bytes;
    if (bytes > bytes_max)
      return fail(status_code::exhausted,
                  text(what, ": has ", bytes, " bytes, more than the ", bytes_max, " allowed"));
    std::vector<std::byte> out(bytes);
    kj::ArrayOutputStream stream(kj::arrayPtr(reinterpret_cast<kj::byte*>(out.data()), out.size()));
    capnp::writeMessage(stream, message);
    return out;
  } catch (const kj::Exception& error) {
    return fail(status_code::exhausted, text(what, ": ", error.getDescription().cStr()));
  } catch (const std::bad_alloc&) {
    return fail(status_code::exhausted, text(what, ": no memory to write it"));
  }
}

// `read` gets the reader of the root and what to fill.
template <class Root, class Value, class Read>
result<Value> decode_message(std::span<const std::byte> bytes, std::string_view what,
                             size_t bytes_max, Read read) {
  if (bytes.empty() || bytes.size() % word_bytes != 0 || bytes.size() > bytes_max)
    return fail(broken(what, text("a message of ", bytes.size(), " bytes")));
  try {
    // Cap'n Proto reads words where they lie, and they may not lie on their own boundary.
    auto words = kj::heapArray<capnp::word>(bytes.size() / word_bytes);
    std::memcpy(words.asBytes().begin(), bytes.data(), bytes.size());
    capnp::ReaderOptions options;
    // Pointers may refer to the same words over and over; this bounds the work they cause.
    options.traversalLimitInWords = words.size() * 2 + 64;
    options.nestingLimit = nesting_max;
    capnp::FlatArrayMessageReader reader(words, options);
    if (reader.getEnd() != words.end()) return fail(broken(what, "bytes are left over"));
    Value out;
    if (const char* problem = read(reader.getRoot<Root>(), out)) return fail(broken(what, problem));
    return out;
  } catch (const kj::Exception& error) {
    return fail(broken(what, error.getDescription().cStr()));
  } catch (const std::bad_alloc&) {
    return fail(status_code::exhausted, text(what, ": no memory to read it"));
  }
}

capnp::Text::Reader as_text(const std::string& from) {
  return {from.c_str(), from.size()};
}

capnp::Data::Reader as_data(const std::string& from) {
  return {reinterpret_cast<const kj::byte*>(from.data()), from.size()};
}

std::string from_text(capnp::Text::Reader from) {
  return {from.begin(), from.size()};
}

std::string from_data(capnp::Data::Reader from) {
  return {reinterpret_cast<const char*>(from.begin()), from.size()};
}

// A list of structs whose elements take no bytes could promise any number of them for nothing.
template <class List>
bool plausible(List list, size_t bytes) {
  return list.size() <= bytes / word_bytes;
}

// -- documents and batches

void write(const ingest_document& from, wire::IngestDocument::Builder to) {
  to.setSource(as_text(from.source));
  to.setPosition(from.position);
  to.setId(as_text(from.id));
  to.setDomain(as_text(from.domain));
  to.setText(as_data(from.text));
  to.setFault(as_text(from.fault));
  to.setErases(from.erases);
}

ingest_document read(wire::IngestDocument::Reader from) {
  return {.source = from_text(from.getSource()),
          .position = from.getPosition(),
          .id = from_text(from.getId()),
          .domain = from_text(from.getDomain()),
          .text = from_data(from.getText()),
          .fault = from_text(from.getFault()),
          .erases = from.getErases()};
}

void write(const ingest_client& from, wire::IngestClient::Builder to) {
  to.setName(as_text(from.name));
  to.setSequence(from.sequence);
  to.setMark(from.mark);
  to.setFirst(from.first);
  to.setCount(from.count);
}

ingest_client read(wire::IngestClient::Reader from) {
  return {.name = from_text(from.getName()),
          .sequence = from.getSequence(),
          .mark = from.getMark(),
          .first = from.getFirst(),
          .count = from.getCount()};
}

// Null, or the first thing that is too much.
const char* beyond(const ingest_batch& batch, const ingest_limits& limits) {
  if (batch.client.size() > limits.name_bytes_max) return "the client's name is too long";
  if (batch.documents.empty()) return "there is no document";
  if (batch.documents.size() > limits.documents_max) return "too many documents";
  for (const auto& document : batch.documents) {
    if (document.source.size() > limits.name_bytes_max) return "a source is too long";
    if (document.id.size() > limits.name_bytes_max) return "an id is too long";
    if (document.domain.size() > limits.name_bytes_max) return "a domain is too long";
  }
  return nullptr;
}

// -- the state of a stream

void write(const learning_document& from, wire::LearningDocument::Builder to) {
  to.setOffset(from.offset);
  to.setId(as_text(from.id));
  to.setDomain(as_text(from.domain));
  to.setText(as_data(from.text));
}

learning_document read(wire::LearningDocument::Reader from) {
  return {.offset = from.getOffset(),
          .id = from_text(from.getId()),
          .domain = from_text(from.getDomain()),
          .text = from_data(from.getText())};
}

void write(const learning_piece& from, wire::LearningPiece::Builder to) {
  write_numbers(from.tokens, to.initTokens(static_cast<unsigned>(from.tokens.size())));
  write_numbers(from.targets, to.initTargets(static_cast<unsigned>(from.targets.size())));
  to.setBytes(from.bytes);
}

learning_piece read(wire::LearningPiece::Reader from) {
  learning_piece out{.tokens = {}, .targets = {}, .bytes = from.getBytes()};
  read_numbers(from.getTokens(), out.tokens);
  read_numbers(from.getTargets(), out.targets);
  return out;
}

void write(const named_count& from, wire::NamedCount::Builder to) {
  to.setName(as_text(from.name));
  to.setCount(from.count);
}

named_count read(wire::NamedCount::Reader from) {
  return {.name = from_text(from.getName()), .count = from.getCount()};
}

void write(const seen_fingerprint& from, wire::SeenDocument::Builder to) {
  to.setExact(from.exact);
  to.setSimilar(from.similar);
  to.setOffset(from.offset);
}

seen_fingerprint read(wire::SeenDocument::Reader from) {
  return {.exact = from.getExact(), .similar = from.getSimilar(), .offset = from.getOffset()};
}

void write(const learning_reservoir& from, wire::LearningReservoir::Builder to);

template <class Element, class List>
void write_all(const std::vector<Element>& from, List to) {
  for (unsigned i = 0; i < to.size(); ++i) write(from[i], to[i]);
}

template <class List, class Element>
bool read_all(List from, std::vector<Element>& to, size_t bytes) {
  if (!plausible(from, bytes)) return false;
  to.reserve(from.size());
  for (const auto element : from) to.push_back(read(element));
  return true;
}

void write(const learning_reservoir& from, wire::LearningReservoir::Builder to) {
  to.setDomain(as_text(from.domain));
  to.setOffered(from.offered);
  write_all(from.slots, to.initSlots(static_cast<unsigned>(from.slots.size())));
}

void write_state(const learning_stream_state& from, wire::LearningStreamState::Builder to) {
  const auto size = [](const auto& list) { return static_cast<unsigned>(list.size()); };
  to.setSettings(as_text(from.settings));
  to.setCursor(from.cursor);
  to.setLimit(from.limit);
  to.setAccepted(from.accepted);
  to.setBatches(from.batches);
  to.setDomainDraws(from.domain_draws);
  to.setReplayDraws(from.replay_draws);
  to.setTokensDealt(from.tokens_dealt);
  to.setTokensReplayed(from.tokens_replayed);
  write_all(from.windowed, to.initWindowed(size(from.windowed)));
  write(from.open, to.initOpen());
  to.setOpenTaken(from.open_taken);
  write_all(from.pending, to.initPending(size(from.pending)));
  write_all(from.reservoirs, to.initReservoirs(size(from.reservoirs)));
  write_all(from.held_out, to.initHeldOut(size(from.held_out)));
  write_all(from.seen, to.initSeen(size(from.seen)));
  to.setSeenAdded(from.seen_added);
  write_all(from.domains, to.initDomains(size(from.domains)));
  write_all(from.rejections, to.initRejections(size(from.rejections)));
}

// Null, or what is wrong.
const char* read_reservoirs(wire::LearningStreamState::Reader from, learning_stream_state& out,
                            size_t bytes) {
  const auto list = from.getReservoirs();
  if (!plausible(list, bytes)) return "too many reservoirs";
  for (const auto each : list) {
    learning_reservoir made{
        .domain = from_text(each.getDomain()), .offered = each.getOffered(), .slots = {}};
    if (!read_all(each.getSlots(), made.slots, bytes)) return "too many slots of a reservoir";
    out.reservoirs.push_back(std::move(made));
  }
  return nullptr;
}

const char* read_state(wire::LearningStreamState::Reader from, learning_stream_state& out,
                       size_t bytes) {
  out.settings = from_text(from.getSettings());
  out.cursor = from.getCursor();
  out.limit = from.getLimit();
  out.accepted = from.getAccepted();
  out.batches = from.getBatches();
  out.domain_draws = from.getDomainDraws();
  out.replay_draws = from.getReplayDraws();
  out.tokens_dealt = from.getTokensDealt();
  out.tokens_replayed = from.getTokensReplayed();
  out.open = read(from.getOpen());
  out.open_taken = from.getOpenTaken();
  out.seen_added = from.getSeenAdded();
  const bool read = read_all(from.getWindowed(), out.windowed, bytes) &&
                    read_all(from.getPending(), out.pending, bytes) &&
                    read_all(from.getHeldOut(), out.held_out, bytes) &&
                    read_all(from.getSeen(), out.seen, bytes) &&
                    read_all(from.getDomains(), out.domains, bytes) &&
                    read_all(from.getRejections(), out.rejections, bytes);
  if (!read) return "a list is longer than the message";
  for (const auto& piece : out.pending)
    if (piece.tokens.empty() || piece.tokens.size() != piece.targets.size())
      return "a piece has not as many targets as tokens";
  return read_reservoirs(from, out, bytes);
}

constexpr std::string_view batch_name = "batch of documents";
constexpr std::string_view clients_name = "clients of ingest";
constexpr std::string_view state_name = "state of a learning stream";

} // namespace

result<std::vector<std::byte>> encode_ingest_batch(const ingest_batch& batch,
                                                   const ingest_limits& limits) {
  if (const char* problem = beyond(batch, limits))
    return fail(status_code::exhausted, text(batch_name, ": ", problem));
  return encode_message(batch_name, limits.batch_bytes_max, [&](capnp::MessageBuilder& message) {
    auto to = message.initRoot<wire::IngestBatch>();
    to.setClient(as_text(batch.client));
    to.setSequence(batch.sequence);
    to.setMark(batch.mark);
    to.setBeginsAnew(batch.begins_anew);
    write_all(batch.documents, to.initDocuments(static_cast<unsigned>(batch.documents.size())));
  });
}

result<ingest_batch> decode_ingest_batch(std::span<const std::byte> bytes,
                                         const ingest_limits& limits) {
  return decode_message<wire::IngestBatch, ingest_batch>(
      bytes, batch_name, limits.batch_bytes_max,
      [&](wire::IngestBatch::Reader from, ingest_batch& out) {
        out.client = from_text(from.getClient());
        out.sequence = from.getSequence();
        out.mark = from.getMark();
        out.begins_anew = from.getBeginsAnew();
        if (!read_all(from.getDocuments(), out.documents, bytes.size()))
          return "a list is longer than the message";
        return beyond(out, limits);
      });
}

result<std::vector<std::byte>> encode_ingest_clients(const std::vector<ingest_client>& clients,
                                                     const ingest_limits& limits) {
  if (clients.size() > limits.clients_max)
    return fail(status_code::exhausted, text(clients_name, ": too many"));
  return encode_message(clients_name, limits.batch_bytes_max, [&](capnp::MessageBuilder& message) {
    write_all(clients, message.initRoot<wire::IngestClients>().initClients(
                           static_cast<unsigned>(clients.size())));
  });
}

result<std::vector<ingest_client>> decode_ingest_clients(std::span<const std::byte> bytes,
                                                         const ingest_limits& limits) {
  return decode_message<wire::IngestClients, std::vector<ingest_client>>(
      bytes, clients_name, limits.batch_bytes_max,
      [&](wire::IngestClients::Reader from, std::vector<ingest_client>& out) -> const char* {
        if (from.getClients().size() > limits.clients_max) return "too many";
        if (!read_all(from.getClients(), out, bytes.size())) return "too many for the message";
        for (const auto& client : out)
          if (client.name.empty() || client.name.size() > limits.name_bytes_max)
            return "the name of a client";
        return nullptr;
      });
}

result<std::vector<std::byte>> encode_learning_state(const learning_stream_state& state,
                                                     const learning_state_limits& limits) {
  return encode_message(state_name, limits.bytes_max, [&](capnp::MessageBuilder& message) {
    write_state(state, message.initRoot<wire::LearningStreamState>());
  });
}

result<learning_stream_state> decode_learning_state(std::span<const std::byte> bytes,
                                                    const learning_state_limits& limits) {
  return decode_message<wire::LearningStreamState, learning_stream_state>(
      bytes, state_name, limits.bytes_max,
      [&](wire::LearningStreamState::Reader from, learning_stream_state& out) {
        return read_state(from, out, bytes.size());
      });
}

} // namespace troupe::schemas
