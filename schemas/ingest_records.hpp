// Documents on their way from a source to the log of ingest. Plain structs; their bytes are made in
// learning_codec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe::schemas {

struct ingest_document {
  std::string source;    // a file, "http"; for a person who looks for where something came from
  uint64_t position = 0; // there: the byte, or the line of a request's body, at which it begins
  std::string id;        // the sender's name for it; may be empty
  std::string domain;    // may be empty
  std::string text;
  std::string fault;   // not empty: what came could not be read, `text` is how it came
  bool erases = false; // asks to forget the documents of this id; there is no text

  friend bool operator==(const ingest_document&, const ingest_document&) = default;
};

// What is kept together or not at all. A client numbers its batches upwards: one whose number is
// not higher than the last is a repetition.
struct ingest_batch {
  std::string client;       // empty: nobody will ask whether it was kept
  uint64_t sequence = 0;    // of a followed file: the byte behind what was taken
  uint64_t mark = 0;        // the client's own; kept beside the sequence
  bool begins_anew = false; // the client counts from here, however high it was before
  std::vector<ingest_document> documents;

  friend bool operator==(const ingest_batch&, const ingest_batch&) = default;
};

// The last batch of a client.
struct ingest_client {
  std::string name;
  uint64_t sequence = 0;
  uint64_t mark = 0;
  uint64_t first = 0; // offset of its first document
  uint32_t count = 0; // of documents

  friend bool operator==(const ingest_client&, const ingest_client&) = default;
};

struct ingest_limits {
  size_t batch_bytes_max = size_t{64} << 20; // encoded
  size_t documents_max = 1 << 16;            // of a batch
  size_t name_bytes_max = 1024;              // of a client, source, id, domain
  size_t clients_max = 4096;
};

} // namespace troupe::schemas
