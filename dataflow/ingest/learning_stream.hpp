// From the log of ingest to the batches of a training run: every document of the log is cleaned,
// mixed with its neighbours, cut and learnt from once, and again when it is replayed. The n-th
// batch depends on the log, the settings and the seed alone; nothing waits for a clock. So a run
// that is restored from any step goes on with the very batches it would have had.
#pragma once

#include "base/status.hpp"
#include "dataflow/ingest/cleaner.hpp"
#include "dataflow/ingest/mixing_rules.hpp"
#include "dataflow/ingest/replay_reservoir.hpp"
#include "model/training/step_source.hpp"
#include "schemas/ingest_records.hpp"
#include "schemas/learning_stream_state.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::dataflow {

struct learning_stream_settings {
  uint32_t context = 256;      // longest piece of a document
  uint32_t step_tokens = 4096; // of a batch, at least
  int32_t separator = 0;       // learnt at the end of every document
  uint64_t seed = 1;
  uint32_t replay_share = 100; // of the tokens of a batch, in thousandths; below 1000
  reservoir_settings replay = {};
  mixing_settings mixing = {};
  uint32_t hold_out = 0; // every n-th accepted document is not learnt from but kept to measure
  uint32_t held_out_max = 256; // then all are learnt from; so are long ones
  bool follows = false;        // waits for more at the end of the log; else the rest is learnt from

  std::string summary() const;
};

// A document that was not learnt from.
struct rejected_document {
  uint64_t offset = 0;
  const schemas::ingest_document& document;
  const rejection& why;
};

// What the stream needs of the world.
struct learning_stream_parts {
  // The document at the offset; none: it has not come yet.
  std::function<result<std::optional<schemas::ingest_document>>(uint64_t offset)> read;
  // The offset behind the last document there is now.
  std::function<result<uint64_t>()> end;
  std::function<result<std::vector<int32_t>>(std::string_view text)> tokenise;
  // Keeps it where a person can look. Called in the order of the offsets; after a restore the same
  // offset may come again.
  std::function<status(const rejected_document& rejected)> quarantine;
};

struct learning_stream_figures {
  uint64_t cursor = 0; // documents looked at
  uint64_t accepted = 0;
  uint64_t waiting = 0;
  uint64_t replayable = 0;
  uint64_t held_out = 0;
  std::map<std::string, uint64_t, std::less<>> domains;    // accepted
  std::map<std::string, uint64_t, std::less<>> rejections; // by reason
};

class learning_stream final : public model::step_source {
public:
  learning_stream(const learning_stream_settings& settings, cleaner clean,
                  learning_stream_parts parts);

  // A batch is made when the window is full, or at the end of the log where the stream does not
  // follow: then what the end was is part of the state.
  result<std::optional<model::step_batch>> next() override;
  std::vector<std::byte> state() const override;
  status restore(std::span<const std::byte> state) override;

  // Documents before this are in the state or done with: the log need not keep them once a
  // checkpoint does.
  uint64_t cursor() const { return now_.cursor; }
  const std::vector<schemas::learning_document>& held_out() const { return now_.held_out; }
  learning_stream_figures figures() const;

private:
  using piece = schemas::learning_piece;
  // The document of which a part was dealt.
  struct open_document {
    schemas::learning_document document;
    std::vector<int32_t> tokens; // between two separators
    uint64_t taken = 0;          // pieces
  };

  std::string settings_summary() const;
  result<bool> fill_window();
  status look_at(schemas::ingest_document document, uint64_t offset);
  status reject(const schemas::ingest_document& document, uint64_t offset, const rejection& why);
  void forget(std::string_view id);
  bool at_end() const; // everything up to the limit is dealt
  result<bool> deal_new();
  status deal_replayed(bool& dealt);
  std::vector<int32_t> between_separators(std::vector<int32_t> tokens) const;
  piece cut(const std::vector<int32_t>& tokens, uint64_t index, uint64_t text_bytes) const;
  uint64_t pieces_of(const std::vector<int32_t>& tokens) const;

  const learning_stream_settings settings_;
  const learning_stream_parts parts_;
  cleaner clean_;
  replay_reservoir replay_;
  // Numbers of the state; its lists but `held_out` and `pending` are kept in the members below.
  schemas::learning_stream_state now_;
  std::vector<waiting_document> window_;
  std::optional<open_document> open_;
  std::map<std::string, uint64_t, std::less<>> domains_;
  std::map<std::string, uint64_t, std::less<>> rejections_;
  uint64_t pending_tokens_ = 0;
  bool begins_ = true;            // a run, which may follow one that learnt all there was
  std::vector<piece> handed_out_; // what the last batch points to
};

} // namespace troupe::dataflow
