// KV pages of one process on its disk: what is saved, what can be had back, and how bytes get from
// the memories of the stages to files and from files to them. All stages are in this process.
//
// Copying is a job of the executor, so it comes between steps, never into one; files are the io
// worker's. Whoever calls begin_save() before the step that may give the page to somebody else is
// sent off, and place() before a step may read it, has the right bytes: jobs run in order.
#pragma once

#include "base/status.hpp"
#include "compute/executor.hpp"
#include "dataflow/kv_archive_index.hpp"
#include "storage/disk.hpp"
#include "storage/io_worker.hpp"
#include "storage/kv_page_file.hpp"
#include "storage/kv_page_store.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::model {
struct description;
} // namespace troupe::model

namespace troupe::actors {

class metrics_board;
struct model_bundle;
struct stage_memory;

// Everything pointed to outlives the archive and every job that it gave away.
struct kv_archive_parts {
  storage::disk* disk = nullptr;
  storage::io_worker* worker = nullptr;
  uint64_t bytes_max = 0;
  compute::executor* executor = nullptr;
  const model_bundle* bundle = nullptr;
  std::vector<stage_memory*> memories; // of all stages, in order
  uint32_t page_tokens = 0;
  metrics_board* board = nullptr;
};

// What decides the bytes of a page beside its tokens, salt and weight version.
std::string kv_identity_of(const model_bundle& bundle, uint32_t page_tokens);

class kv_archive {
public:
  // Looks at what an earlier process left. Fails when the disk does.
  static result<std::unique_ptr<kv_archive>> open(const kv_archive_parts& parts);

  // -- one caller at a time: the KV-cache manager

  storage::kv_chain begin(std::string_view salt, uint64_t weight_version) const;
  storage::kv_chain extend(const storage::kv_chain& chain, std::span<const int32_t> tokens) const;
  // Whether the chain's last page is on the disk, or on its way there; counts as a use.
  bool has(const storage::kv_chain& chain);

  enum class saving : uint8_t {
    begun,  // `done` will be called on the worker's thread: hand what it says to saved()
    later,  // the disk is behind
    refused // the disk has had trouble, or no room beside the beginning of this chain
  };
  struct saved_page {
    dataflow::archived_page page;
    status_code code = status_code::ok;
  };
  using saved_handler = std::function<void(const saved_page&)>;
  // `tokens`: all of the sequence to the end of the chain's last page, which is number `page`.
  saving begin_save(const storage::kv_chain& chain, std::span<const int32_t> tokens, uint32_t page,
                    saved_handler done);
  void saved(const saved_page& what);

  struct wanted_page {
    storage::kv_chain chain;
    uint32_t tokens_count = 0; // of the sequence, to the end of the page
  };
  struct read_result {
    std::vector<std::vector<std::byte>> files; // of the first wanted pages, whole and theirs
    status_code why = status_code::ok;         // why there are not more
    dataflow::archived_page failed;            // the one of which there is none
  };
  // Reads pages from the first on until one cannot be had. `tokens`: of the sequence. `done` is
  // called on the worker's thread: hand why and failed to noted().
  status read(std::vector<wanted_page> wanted, std::shared_ptr<const std::vector<int32_t>> tokens,
              std::function<void(std::shared_ptr<const read_result>)> done);
  void noted(const read_result& read);
  // Puts page n of `read` into page pages[n]; `done` on the thread that computed.
  status place(std::shared_ptr<const read_result> read, std::vector<uint32_t> pages,
               std::function<void(status_code)> done);

  // Of one page over all layers.
  uint64_t page_bytes() const { return page_bytes_; }

private:
  explicit kv_archive(const kv_archive_parts& parts);
  status load();
  bool has_just(const dataflow::archived_page& page) const;
  void forget(const dataflow::archived_page& page);
  void remove_files(const std::vector<dataflow::archived_page>& pages);
  void remove_file(const dataflow::archived_page& page);
  bool tries_again();
  void report() const;

  kv_archive_parts parts_;
  storage::kv_page_store store_; // on the worker's thread alone once open
  std::string identity_;
  uint64_t identity_checksum_ = 0;
  uint64_t page_bytes_ = 0;
  storage::hash_key key_;
  dataflow::kv_archive_index index_;
  std::atomic<uint64_t> bytes_under_way_{0};
  std::atomic<uint32_t> saves_under_way_{0};
  bool stopped_ = false; // by the disk; tried again now and then
  uint32_t refused_ = 0; // since then
};

} // namespace troupe::actors
