// troupe learn from a log of ingest: its settings, and everything a stream of batches needs, put
// together.
#pragma once

#include "cli/engine_setup.hpp"
#include "cli/quarantine.hpp"
#include "dataflow/ingest/learning_stream.hpp"
#include "model/tokenizer.hpp"
#include "storage/ingest_reader.hpp"
#include "storage/posix_disk.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::cli {

struct learn_stream_settings {
  std::string ingest; // empty: there is no log
  bool follow = false;
  bool restart_data = false;
  double replay = 0.1;
  uint32_t replay_documents = 1024;
  bool replay_by_domain = false;
  std::vector<std::string> domain_weights;
  double domain_temperature = 1;
  std::string curriculum = "none";
  uint32_t window = 64;
  std::vector<std::string> languages;
  bool quality = false;
  std::vector<std::string> quality_off;
  std::string blocklist;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit({.name = "ingest",
           .value = "DIR",
           .help = "folder of a log of documents to learn from",
           .unset = "none"},
          ingest);
    visit({.name = "follow", .help = "wait for more at the end of the data"}, follow);
    visit({.name = "restart-data",
           .help = "begin the log anew, not where the model that is gone on with stopped"},
          restart_data);
    visit({.name = "replay",
           .value = "SHARE",
           .help = "share of the tokens of a step that are learnt from again",
           .range = {0, 0.9}},
          replay);
    visit({.name = "replay-documents",
           .value = "COUNT",
           .help = "documents that are kept to be learnt from again",
           .range = {0, 1 << 20}},
          replay_documents);
    visit({.name = "replay-by-domain", .help = "keep as many of each domain, not of all together"},
          replay_by_domain);
    visit({.name = "domain-weights",
           .value = "NAME=WEIGHT",
           .help = "how often a domain comes against the others; may be repeated",
           .unset = "1 for each"},
          domain_weights);
    visit(
        {.name = "domain-temperature",
         .value = "POWER",
         .help = "domains come as often as the number of their documents to this power: 1 as they "
                 "come, 0 alike",
         .range = {0, 2}},
        domain_temperature);
    visit({.name = "curriculum",
           .value = "ORDER",
           .help = "what comes first of the documents that wait",
           .choices = "none|length|difficulty"},
          curriculum);
    visit({.name = "data-window",
           .value = "COUNT",
           .help = "documents of the log among which the next is chosen",
           .range = {1, 65536}},
          window);
    visit({.name = "languages",
           .value = "CODE",
           .help = "learn from these alone, such as en, de, cyrillic, unknown; may be repeated",
           .unset = "all"},
          languages);
    visit({.name = "quality", .help = "refuse documents that break Gopher's rules of quality"},
          quality);
    visit({.name = "quality-off",
           .value = "DOMAIN",
           .help = "domain that does without these rules, as code must; may be repeated",
           .unset = "none"},
          quality_off);
    visit({.name = "blocklist",
           .value = "FILE",
           .help = "phrases, one a line; documents with one are not learnt from",
           .unset = "none"},
          blocklist);
  }
};

// "name=weight" each, in millionths.
result<std::map<std::string, uint64_t, std::less<>>> parse_domain_weights(
    const std::vector<std::string>& from);

// What the rest of the command says.
struct learn_stream_frame {
  uint32_t context = 0;
  uint32_t step_tokens = 0;
  int32_t separator = 0;
  uint64_t seed = 0;
  uint32_t hold_out = 0;
};

// A stream with the log it reads and the quarantine it fills. The folder of the learner is locked:
// one run learns from a log at a time.
class learning_from_log final : public model::step_source {
public:
  // The tokenizer must outlive it. Begins with the first document of the log.
  static setup_result<std::unique_ptr<learning_from_log>> open(
      program& context, const learn_stream_settings& settings, const learn_stream_frame& frame,
      const model::tokenizer& tokenizer);

  // Of the stream; after restore() the quarantine goes on as well.
  result<std::optional<model::step_batch>> next() override { return stream_->next(); }
  std::vector<std::byte> state() const override { return stream_->state(); }
  status restore(std::span<const std::byte> state) override;

  // The offset of the first document that the stream has not looked at.
  uint64_t cursor() const { return stream_->cursor(); }
  const std::vector<schemas::learning_document>& held_out() const { return stream_->held_out(); }
  // What became of the documents so far, for a person.
  std::string account() const;

  // To be called when a state of the stream is on the disk whose cursor this was: the log need not
  // keep what lies before. Sets right what the quarantine must not lose either.
  status commit(uint64_t cursor);

private:
  struct open_folders {
    std::unique_ptr<storage::posix_disk> log;
    std::unique_ptr<storage::posix_disk> learner;
  };
  explicit learning_from_log(open_folders folders)
      : folders_(std::move(folders)), reader_(*folders_.log), quarantine_(*folders_.learner) {}

  open_folders folders_;
  storage::ingest_reader reader_;
  quarantine quarantine_;
  std::unique_ptr<dataflow::learning_stream> stream_;
};

// The state of a stream beside the model it has taught, so that the next run goes on behind it.
inline constexpr const char* learn_stream_state_name = "data.state";
inline constexpr const char* data_of_a_log = "log"; // what a checkpoint says of its data
status write_stream_state(storage::disk& model, std::span<const std::byte> state);
// `not_found` where there is none.
result<std::vector<std::byte>> read_stream_state(const std::string& model_directory);

} // namespace troupe::cli
