// troupe ingest: puts files into a log of documents to learn from.
#pragma once

#include "cli/command.hpp"
#include "cli/settings.hpp"

namespace troupe::cli {

struct ingest_settings {
  std::vector<std::string> files;
  std::string into;
  std::string domain;
  std::string separator;
  bool follow = false;
  byte_size ingest_bytes = {uint64_t{1} << 30};
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    visit(
        {.name = "files",
         .value = "FILE",
         .help = "what to take in: text files, files that end in .jsonl or .ndjson with an object "
                 "a line, or folders of such files",
         .positional = true},
        files);
    visit({.name = "into", .value = "DIR", .help = "folder of the log; made when missing"}, into);
    visit({.name = "default-domain",
           .value = "NAME",
           .help = "domain of documents that name none",
           .unset = "their language"},
          domain);
    visit({.name = "separator",
           .value = "TEXT",
           .help = "what stands between the documents of a text file",
           .unset = "a file is one document"},
          separator);
    visit({.name = "follow", .help = "wait for more at the end of the data"}, follow);
    visit({.name = "ingest-bytes",
           .value = "BYTES",
           .help = "room for the log; when it is full of what nobody has learnt from yet, nothing "
                   "more is taken in",
           .range = {1048576, 1125899906842624}},
          ingest_bytes);
    common.for_each_field(visit);
  }
};

std::unique_ptr<command> make_ingest();

} // namespace troupe::cli
