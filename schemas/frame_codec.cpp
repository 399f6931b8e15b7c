// Between the structs and Cap'n Proto's messages, keeping kj's exceptions in.
#include "schemas/frame_codec.hpp"

#include "base/text.hpp"
#include "schemas/cluster.capnp.h"
#include "schemas/cluster_wire.hpp"
#include "schemas/frame.capnp.h"
#include "schemas/journal.capnp.h"
#include "schemas/journal_wire.hpp"
#include "schemas/pipeline.capnp.h"
#include "schemas/pipeline_wire.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <kj/io.h>

#include <array>
#include <cstring>
#include <new>

namespace troupe::schemas {
namespace {

constexpr size_t word_bytes = sizeof(capnp::word);
static_assert(word_bytes == 8);
constexpr size_t checksum_bytes = 8;
constexpr int nesting_max = 8; // frame, body, state, placement, list, list

// Most messages fit, and then nothing is allocated but the result. Part of the format only in so
// far as equal headers must have equal bytes.
using scratch_words = std::array<capnp::word, 256>;

status broken(const char* what, std::string why) {
  return status(status_code::corrupt, text(what, ": ", why));
}

void put_checksum(std::vector<std::byte>& frame) {
  const uint64_t sum = checksum_of(std::span(frame).subspan(checksum_bytes));
  for (size_t i = 0; i < checksum_bytes; ++i) frame[i] = static_cast<std::byte>(sum >> (8 * i));
}

uint64_t stated_checksum(std::span<const std::byte> frame) {
  uint64_t sum = 0;
  for (size_t i = 0; i < checksum_bytes; ++i) sum |= std::to_integer<uint64_t>(frame[i]) << (8 * i);
  return sum;
}

struct encode_options {
  const char* what;    // for messages
  size_t prefix_bytes; // left free in front
  size_t bytes_max;    // prefix included
};

// `fill` gets the empty message.
template <class Fill>
result<std::vector<std::byte>> encode_message(const encode_options& options, Fill fill) {
  try {
    scratch_words scratch;
    std::memset(static_cast<void*>(scratch.data()), 0, sizeof scratch);
    capnp::MallocMessageBuilder message(kj::arrayPtr(scratch.data(), scratch.size()));
    fill(message);
    const size_t bytes =
        options.prefix_bytes + capnp::computeSerializedSizeInWords(message) * word_bytes;
    if (bytes > options.bytes_max)
      return fail(broken(options.what, text("has ", bytes, " bytes, more than the ",
                                            options.bytes_max, " allowed")));
    std::vector<std::byte> out(bytes);
    kj::ArrayOutputStream stream(
        kj::arrayPtr(reinterpret_cast<kj::byte*>(out.data()) + options.prefix_bytes,
                     bytes - options.prefix_bytes));
    capnp::writeMessage(stream, message);
    return out;
  } catch (const kj::Exception& error) {
    return fail(broken(options.what, error.getDescription().cStr()));
  } catch (const std::bad_alloc&) {
    return fail(status_code::exhausted, text(options.what, ": no memory to write it"));
  }
}

template <class Root, class Read>
auto decode_words(kj::ArrayPtr<const capnp::word> words, const char* what, Read read_root)
    -> decltype(read_root(std::declval<typename Root::Reader>())) {
  capnp::ReaderOptions options;
  // Pointers may refer to the same words over and over; this bounds the work they cause.
  options.traversalLimitInWords = words.size() * 2 + 64;
  options.nestingLimit = nesting_max;
  capnp::FlatArrayMessageReader reader(words, options);
  if (reader.getEnd() != words.end()) return fail(broken(what, "bytes are left over"));
  return read_root(reader.getRoot<Root>());
}

// `read_root` gets the reader of the root and answers with a result.
template <class Root, class Read>
auto decode_message(std::span<const std::byte> bytes, const char* what, Read read_root)
    -> decltype(read_root(std::declval<typename Root::Reader>())) {
  if (bytes.empty() || bytes.size() % word_bytes != 0)
    return fail(broken(what, text("a message of ", bytes.size(), " bytes")));
  const size_t size = bytes.size() / word_bytes;
  try {
    // Cap'n Proto reads words where they lie, so they must lie on their own boundary.
    if (reinterpret_cast<uintptr_t>(bytes.data()) % word_bytes == 0) {
      const auto* words = reinterpret_cast<const capnp::word*>(bytes.data());
      return decode_words<Root>(kj::arrayPtr(words, size), what, read_root);
    }
    auto words = kj::heapArray<capnp::word>(size);
    std::memcpy(words.asBytes().begin(), bytes.data(), bytes.size());
    return decode_words<Root>(words.asPtr(), what, read_root);
  } catch (const kj::Exception& error) {
    return fail(broken(what, error.getDescription().cStr()));
  } catch (const std::bad_alloc&) {
    return fail(status_code::exhausted, text(what, ": no memory to read it"));
  }
}

// -- frames

constexpr const char* frame_name = "frame header";
using wire_header = wire::FrameHeader;

struct body_writer {
  wire_header::Body::Builder to;

  void operator()(std::monostate) { to.setNothing(); }
  void operator()(const node_report& from) { write(from, to.initNodeReport()); }
  void operator()(const register_prepare& from) { write(from, to.initRegisterPrepare()); }
  void operator()(const register_promise& from) { write(from, to.initRegisterPromise()); }
  void operator()(const register_accept& from) { write(from, to.initRegisterAccept()); }
  void operator()(const register_accepted& from) { write(from, to.initRegisterAccepted()); }
  void operator()(const register_recover& from) { write(from, to.initRegisterRecover()); }
  void operator()(const register_recovered& from) { write(from, to.initRegisterRecovered()); }
  void operator()(const state_update& from) { write(from, to.initStateUpdate()); }
  void operator()(const stage_forward& from) { write(from, to.initStageForward()); }
  void operator()(const stage_done& from) { write(from, to.initStageDone()); }
  void operator()(const shard_forward& from) { write(from, to.initShardForward()); }
  void operator()(const shard_done& from) { write(from, to.initShardDone()); }
  void operator()(const step_failure& from) { write(from, to.initStepFailure()); }
  void operator()(const submission& from) { write(from, to.initSubmission()); }
  void operator()(const choice_end& from) { write(from, to.initChoiceEnd()); }
  void operator()(const emission& from) { write(from, to.initEmission()); }
  void operator()(const request_failure& from) { write(from, to.initRequestFailure()); }
  void operator()(const journal_entry& from) { write(from, to.initJournalEntry()); }
  void operator()(const journal_answer& from) { write(from, to.initJournalAnswer()); }
};

void write_header(const frame_header& from, wire_header::Builder to) {
  to.setProtocolVersion(frame_protocol_version);
  to.setSource(from.source);
  to.setSourceIncarnation(from.source_incarnation);
  to.setTarget(from.target);
  to.setTargetIncarnation(from.target_incarnation);
  to.setEpoch(from.epoch);
  to.setLinkNumber(from.link_number);
  to.setLinkAck(from.link_ack);
  to.setRows(from.rows);
  to.setColumns(from.columns);
  to.setPayloadChecksum(from.payload_checksum);
  std::visit(body_writer{to.getBody()}, from.body);
}

struct body_reader {
  frame_body& to;
  const frame_limits& limits;
  wire_budget& budget;

  // False for a kind of body that a later program has added.
  bool read_from(wire_header::Body::Reader from) {
    switch (from.which()) {
      case wire_header::Body::NOTHING:
        return true;
      case wire_header::Body::NODE_REPORT:
        return take<node_report>(from.getNodeReport());
      case wire_header::Body::REGISTER_PREPARE:
        return take<register_prepare>(from.getRegisterPrepare());
      case wire_header::Body::REGISTER_PROMISE:
        return take<register_promise>(from.getRegisterPromise());
      case wire_header::Body::REGISTER_ACCEPT:
        return take<register_accept>(from.getRegisterAccept());
      case wire_header::Body::REGISTER_ACCEPTED:
        return take<register_accepted>(from.getRegisterAccepted());
      case wire_header::Body::REGISTER_RECOVER:
        return take<register_recover>(from.getRegisterRecover());
      case wire_header::Body::REGISTER_RECOVERED:
        return take<register_recovered>(from.getRegisterRecovered());
      case wire_header::Body::STATE_UPDATE:
        return take<state_update>(from.getStateUpdate());
      case wire_header::Body::STAGE_FORWARD:
        return take<stage_forward>(from.getStageForward());
      case wire_header::Body::STAGE_DONE:
        return take<stage_done>(from.getStageDone());
      case wire_header::Body::SHARD_FORWARD:
        return take<shard_forward>(from.getShardForward());
      case wire_header::Body::SHARD_DONE:
        return take<shard_done>(from.getShardDone());
      case wire_header::Body::STEP_FAILURE:
        return take<step_failure>(from.getStepFailure());
      case wire_header::Body::SUBMISSION:
        return take<submission>(from.getSubmission());
      case wire_header::Body::CHOICE_END:
        return take<choice_end>(from.getChoiceEnd());
      case wire_header::Body::EMISSION:
        return take<emission>(from.getEmission());
      case wire_header::Body::REQUEST_FAILURE:
        return take<request_failure>(from.getRequestFailure());
      case wire_header::Body::JOURNAL_ENTRY:
        return take<journal_entry>(from.getJournalEntry());
      case wire_header::Body::JOURNAL_ANSWER:
        return take<journal_answer>(from.getJournalAnswer());
    }
    return false;
  }

private:
  template <class Message, class Reader>
  bool take(Reader from) {
    read(from, to.emplace<Message>(), limits, budget);
    return true;
  }
};

result<frame_header> read_header(wire_header::Reader from, const frame_limits& limits) {
  if (const uint32_t version = from.getProtocolVersion(); version != frame_protocol_version)
    return fail(status_code::unsupported, text(frame_name, ": protocol version ", version,
                                               ", this program speaks ", frame_protocol_version));
  frame_header out;
  out.source = from.getSource();
  out.source_incarnation = from.getSourceIncarnation();
  out.target = from.getTarget();
  out.target_incarnation = from.getTargetIncarnation();
  out.epoch = from.getEpoch();
  out.link_number = from.getLinkNumber();
  out.link_ack = from.getLinkAck();
  out.rows = from.getRows();
  out.columns = from.getColumns();
  out.payload_checksum = from.getPayloadChecksum();
  wire_budget budget;
  const auto body = from.getBody();
  if (!body_reader{out.body, limits, budget}.read_from(body))
    return fail(status_code::unsupported,
                text(frame_name, ": a body of kind ", static_cast<unsigned>(body.which()),
                     ", which this program does not know"));
  if (budget.problem() != nullptr)
    return fail(broken(frame_name, text("too many ", budget.problem())));
  if (auto valid = validate(out, limits); !valid.ok()) return fail(std::move(valid));
  return out;
}

constexpr const char* acceptor_name = "state of a voter";
constexpr const char* state_name = "state of a cluster";

// -- what is kept somewhere as a message of its own

template <class Wire, class State>
result<std::vector<std::byte>> encode_kept(const State& state, const char* name,
                                           const frame_limits& limits) {
  if (auto valid = validate(state, limits); !valid.ok()) return fail(std::move(valid));
  return encode_message(
      {.what = name, .prefix_bytes = 0, .bytes_max = limits.header_bytes_max},
      [&state](capnp::MessageBuilder& message) { write(state, message.initRoot<Wire>()); });
}

template <class Wire, class State>
result<State> decode_kept(std::span<const std::byte> bytes, const char* name,
                          const frame_limits& limits) {
  if (bytes.size() > limits.header_bytes_max)
    return fail(broken(name, text("has ", bytes.size(), " bytes")));
  return decode_message<Wire>(bytes, name,
                              [name, &limits](typename Wire::Reader root) -> result<State> {
                                State out;
                                wire_budget budget;
                                read(root, out, limits, budget);
                                if (budget.problem() != nullptr)
                                  return fail(broken(name, text("too many ", budget.problem())));
                                if (auto valid = validate(out, limits); !valid.ok())
                                  return fail(std::move(valid));
                                return out;
                              });
}

} // namespace

result<std::vector<std::byte>> encode_frame(const frame_header& header,
                                            const frame_limits& limits) {
  if (auto valid = validate(header, limits); !valid.ok()) return fail(std::move(valid));
  auto out = encode_message(
      {.what = frame_name, .prefix_bytes = checksum_bytes, .bytes_max = limits.header_bytes_max},
      [&header](capnp::MessageBuilder& message) {
        write_header(header, message.initRoot<wire_header>());
      });
  if (out) put_checksum(*out);
  return out;
}

result<frame_header> decode_frame(std::span<const std::byte> bytes, const frame_limits& limits) {
  if (bytes.size() <= checksum_bytes || bytes.size() > limits.header_bytes_max)
    return fail(broken(frame_name, text("has ", bytes.size(), " bytes, expected up to ",
                                        limits.header_bytes_max)));
  const auto message = bytes.subspan(checksum_bytes);
  if (stated_checksum(bytes) != checksum_of(message))
    return fail(broken(frame_name, "the checksum does not match"));
  return decode_message<wire_header>(message, frame_name, [&limits](wire_header::Reader root) {
    return read_header(root, limits);
  });
}

result<std::vector<std::byte>> encode_acceptor_state(const acceptor_state& state,
                                                     const frame_limits& limits) {
  return encode_kept<wire::AcceptorState>(state, acceptor_name, limits);
}

result<acceptor_state> decode_acceptor_state(std::span<const std::byte> bytes,
                                             const frame_limits& limits) {
  return decode_kept<wire::AcceptorState, acceptor_state>(bytes, acceptor_name, limits);
}

result<std::vector<std::byte>> encode_cluster_state(const cluster_state& state,
                                                    const frame_limits& limits) {
  return encode_kept<wire::ClusterState>(state, state_name, limits);
}

result<cluster_state> decode_cluster_state(std::span<const std::byte> bytes,
                                           const frame_limits& limits) {
  return decode_kept<wire::ClusterState, cluster_state>(bytes, state_name, limits);
}

} // namespace troupe::schemas
