// Between the manifest and its message of Cap'n Proto, keeping kj's exceptions in.
#include "schemas/checkpoint_codec.hpp"

#include "base/text.hpp"
#include "schemas/checkpoint.capnp.h"
#include "schemas/wire_lists.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <kj/io.h>

#include <cmath>
#include <cstring>
#include <new>
#include <string_view>
#include <unordered_set>

namespace troupe::schemas {
namespace {

constexpr size_t word_bytes = sizeof(capnp::word);
constexpr int nesting_max = 4; // manifest, list, its struct, text

status broken(std::string why) {
  return {status_code::corrupt, std::move(why)};
}

void write_manifest(const checkpoint_manifest& from, wire::CheckpointManifest::Builder to) {
  to.setStep(from.step);
  to.setStateHash(from.state_hash);
  to.setHasScore(from.score.has_value());
  to.setScore(from.score.value_or(0));
  write_structs(
      from.settings, [&](unsigned size) { return to.initSettings(size); },
      [](const checkpoint_setting& one, auto wire) {
        write_text(one.name, [&](unsigned size) { return wire.initName(size); });
        write_text(one.value, [&](unsigned size) { return wire.initValue(size); });
      });
  write_structs(
      from.parts, [&](unsigned size) { return to.initParts(size); },
      [](const checkpoint_part_size& one, auto wire) {
        write_text(one.name, [&](unsigned size) { return wire.initName(size); });
        wire.setBytes(one.bytes);
      });
  write_structs(
      from.chunks, [&](unsigned size) { return to.initChunks(size); },
      [](const checkpoint_chunk& one, auto wire) {
        wire.setHashHigh(one.hash.high);
        wire.setHashLow(one.hash.low);
        wire.setBytes(one.bytes);
      });
}

result<checkpoint_manifest> read_manifest(wire::CheckpointManifest::Reader from,
                                          const checkpoint_limits& limits) {
  checkpoint_manifest out;
  out.step = from.getStep();
  out.state_hash = from.getStateHash();
  if (from.getHasScore()) out.score = from.getScore();
  // Lists first: a few bytes can promise a very long one.
  const auto settings = from.getSettings();
  const auto parts = from.getParts();
  const auto chunks = from.getChunks();
  wire_budget budget;
  if (!budget.allows(settings.size(), limits.settings_max, "settings") ||
      !budget.allows(parts.size(), limits.parts_max, "parts") ||
      !budget.allows(chunks.size(), limits.chunks_max, "chunks"))
    return fail(broken(text("too many ", budget.problem())));
  read_structs(settings, out.settings, [](auto wire, checkpoint_setting& one) {
    read_text(wire.getName(), one.name);
    read_text(wire.getValue(), one.value);
  });
  read_structs(parts, out.parts, [](auto wire, checkpoint_part_size& one) {
    read_text(wire.getName(), one.name);
    one.bytes = wire.getBytes();
  });
  read_structs(chunks, out.chunks, [](auto wire, checkpoint_chunk& one) {
    one.hash = {.high = wire.getHashHigh(), .low = wire.getHashLow()};
    one.bytes = wire.getBytes();
  });
  if (auto valid = validate(out, limits); !valid.ok()) return fail(std::move(valid));
  return out;
}

template <class List>
status check_names(const List& list, const char* what, const checkpoint_limits& limits) {
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string& name = list[i].name;
    if (name.empty() || name.size() > limits.name_bytes_max)
      return broken(text(what, " ", i + 1, " has a name of ", name.size(), " bytes"));
    if (!names.insert(name).second)
      return broken(text(what, " ", i + 1, ", ", name, ", is there twice"));
  }
  return {};
}

} // namespace

status validate(const checkpoint_manifest& manifest, const checkpoint_limits& limits) {
  if (manifest.settings.size() > limits.settings_max || manifest.parts.size() > limits.parts_max ||
      manifest.chunks.size() > limits.chunks_max)
    return broken("too many settings, parts or chunks");
  if (manifest.score && !std::isfinite(*manifest.score)) return broken("its score is no number");
  TROUPE_RETURN_IF_ERROR(check_names(manifest.settings, "setting", limits));
  TROUPE_RETURN_IF_ERROR(check_names(manifest.parts, "part", limits));
  for (const auto& setting : manifest.settings)
    if (setting.value.size() > limits.value_bytes_max)
      return broken(text("setting ", setting.name, " has ", setting.value.size(), " bytes"));
  uint64_t stated = 0, held = 0;
  for (const auto& part : manifest.parts) {
    if (part.bytes > limits.bytes_max - stated)
      return broken(text("part ", part.name, " makes it larger than ", limits.bytes_max, " bytes"));
    stated += part.bytes;
  }
  for (size_t i = 0; i < manifest.chunks.size(); ++i) {
    const uint64_t bytes = manifest.chunks[i].bytes;
    if (bytes == 0 || bytes > limits.chunk_bytes_max)
      return broken(text("chunk ", i + 1, " has ", bytes, " bytes"));
    held += bytes; // cannot overflow: both factors are bounded
  }
  if (stated != held) return broken(text("its parts have ", stated, " bytes, its chunks ", held));
  return {};
}

result<std::vector<std::byte>> encode_checkpoint_manifest(const checkpoint_manifest& manifest,
                                                          const checkpoint_limits& limits) {
  if (auto valid = validate(manifest, limits); !valid.ok()) return fail(std::move(valid));
  try {
    capnp::MallocMessageBuilder message;
    write_manifest(manifest, message.initRoot<wire::CheckpointManifest>());
    const size_t bytes = capnp::computeSerializedSizeInWords(message) * word_bytes;
    if (bytes > limits.manifest_bytes_max)
      return fail(broken(
          text("has ", bytes, " bytes, more than the ", limits.manifest_bytes_max, " allowed")));
    std::vector<std::byte> out(bytes);
    kj::ArrayOutputStream stream(kj::arrayPtr(reinterpret_cast<kj::byte*>(out.data()), out.size()));
    capnp::writeMessage(stream, message);
    return out;
  } catch (const kj::Exception& error) {
    return fail(broken(error.getDescription().cStr()));
  } catch (const std::bad_alloc&) {
    return fail(status_code::exhausted, "no memory to write a manifest");
  }
}

result<checkpoint_manifest> decode_checkpoint_manifest(std::span<const std::byte> bytes,
                                                       const checkpoint_limits& limits) {
  if (bytes.empty() || bytes.size() % word_bytes != 0 || bytes.size() > limits.manifest_bytes_max)
    return fail(broken(text("a message of ", bytes.size(), " bytes")));
  try {
    // Cap'n Proto reads words where they lie, and a file's need not lie on their boundary.
    auto words = kj::heapArray<capnp::word>(bytes.size() / word_bytes);
    std::memcpy(words.asBytes().begin(), bytes.data(), bytes.size());
    capnp::ReaderOptions options;
    // Pointers may refer to the same words over and over; this bounds the work they cause.
    options.traversalLimitInWords = words.size() * 2 + 64;
    options.nestingLimit = nesting_max;
    capnp::FlatArrayMessageReader reader(words, options);
    if (reader.getEnd() != words.end()) return fail(broken("bytes are left over"));
    return read_manifest(reader.getRoot<wire::CheckpointManifest>(), limits);
  } catch (const kj::Exception& error) {
    return fail(broken(error.getDescription().cStr()));
  } catch (const std::bad_alloc&) {
    return fail(status_code::exhausted, "no memory to read a manifest");
  }
}

} // namespace troupe::schemas
