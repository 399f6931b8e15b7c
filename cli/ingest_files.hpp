// From files to the log of documents: each byte of a file is taken once, however often it is looked
// at, across restarts, while the file grows and when it is renamed. The log itself remembers how
// far a file was read: a file is a client whose numbers are bytes.
#pragma once

#include "base/status.hpp"
#include "storage/ingest_log.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace troupe::cli {

struct ingest_file_options {
  std::string domain;    // of documents that name none
  std::string separator; // between the documents of a text file; empty: a file is one
};

struct ingest_file_figures {
  uint64_t documents = 0;
  uint64_t unreadable = 0; // of those: lines that hold none; the learner sets them aside
  uint64_t bytes = 0;
  uint64_t begun_anew = 0; // files that were shortened or written anew
};

// Blocks while reading and writing; one thread at a time.
class ingest_files {
public:
  // `say` hears what a person should know. The log outlives this.
  ingest_files(storage::ingest_log& log, ingest_file_options options,
               std::function<void(const std::string&)> say)
      : log_(log), options_(std::move(options)), say_(std::move(say)) {}

  // Takes what was added to the file since it was last looked at; files that end in .jsonl or
  // .ndjson have an object a line. `whole`: nothing more will be added; else a last line without
  // an end waits for it, and a text without a separator until it stops growing.
  // `exhausted`: the log is full; the same call goes on when there is room.
  status take(const std::string& path, bool whole);

  const ingest_file_figures& figures() const { return figures_; }

private:
  struct progress;
  status take_from(progress& at, bool whole);
  status keep(progress& at, schemas::ingest_batch batch, std::string_view taken);

  storage::ingest_log& log_;
  const ingest_file_options options_;
  const std::function<void(const std::string&)> say_;
  std::map<std::string, uint64_t> sizes_; // by client, as last seen while waiting
  std::set<std::string> begun_anew_;      // clients of which nothing was taken since
  ingest_file_figures figures_;
};

// What a JSONL file is called.
bool holds_lines(std::string_view path);

} // namespace troupe::cli
