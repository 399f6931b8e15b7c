// Saves and restores pages; a disk in trouble is left alone for a while and costs no answer.
#include "actors/kv_archive.hpp"

#include "actors/metrics_board.hpp"
#include "actors/model_bundle.hpp"
#include "actors/stage_memory.hpp"
#include "base/check.hpp"
#include "base/log.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "compute/numerics_version.hpp"
#include "schemas/checksum.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace troupe::actors {
namespace {

constexpr uint64_t under_way_max = uint64_t{64} << 20; // bytes copied and not yet written
constexpr uint32_t saves_under_way_max = 256;          // so that the worker's queue keeps room
constexpr uint32_t refusals_between_tries = 256;

// One page of every layer, in order; `move` gets each layer's part.
template <class Move>
void for_each_part(const std::vector<stage_memory*>& memories, uint32_t page, Move move) {
  for (const auto* memory : memories) {
    for (const auto& layer : memory->pages) {
      const size_t bytes = layer.bytes() / memory->page_count;
      move(layer.data() + page * bytes, bytes);
    }
  }
}

dataflow::archived_page to_archived(const storage::kv_page_name& name) {
  return {name.chain, name.parent, name.pages_before, name.number, name.bytes, name.identity};
}
storage::kv_page_name to_name(const dataflow::archived_page& page) {
  return {page.chain, page.parent, page.pages_before, page.number, page.bytes, page.identity};
}

} // namespace

std::string kv_identity_of(const model_bundle& bundle, uint32_t page_tokens) {
  std::string out = text("numerics ", compute::numerics_version, " model ", bundle.fingerprint,
                         " of ", bundle.weights_changed_at, " page ", page_tokens, " layers");
  for (const auto& layer : bundle.description->layers) {
    const auto shape = model::kv_shape_of(layer.attention, page_tokens);
    out += text(' ', shape.heads, 'x', shape.key_dim, '+', shape.value_in_key ? 0 : shape.value_dim,
                ':', compute::kv_page_bytes(shape));
  }
  return out;
}

kv_archive::kv_archive(const kv_archive_parts& parts)
    : parts_(parts),
      store_(*parts.disk),
      identity_(kv_identity_of(*parts.bundle, parts.page_tokens)),
      identity_checksum_(schemas::checksum_of(std::as_bytes(std::span(identity_)))),
      page_bytes_(kv_bytes_per_page(*parts.bundle->description, parts.page_tokens)),
      index_(parts.bytes_max) {}

result<std::unique_ptr<kv_archive>> kv_archive::open(const kv_archive_parts& parts) {
  std::unique_ptr<kv_archive> out(new kv_archive(parts)); // private constructor
  if (auto loaded = out->load(); !loaded.ok()) return fail(std::move(loaded));
  return out;
}

// Pages of other models stay: their turn to go comes as they are not used.
status kv_archive::load() {
  const auto found = store_.open({entropy_seed(), entropy_seed()});
  if (!found) return found.error();
  key_ = found->key;
  std::vector<dataflow::archived_page> removed;
  for (const auto& name : found->pages) {
    const bool twice = name.chain == 0 || index_.find(name.chain) != nullptr;
    if (twice || !index_.add(to_archived(name), removed)) removed.push_back(to_archived(name));
    if (name.identity != identity_checksum_) count(parts_.board->archive.pages_foreign);
  }
  for (const auto& page : removed) (void)store_.remove(to_name(page));
  count(parts_.board->archive.pages_evicted, removed.size());
  count(parts_.board->archive.pages_unreadable, found->unreadable);
  set(parts_.board->archive.bytes_max, index_.bytes_max());
  report();
  return {};
}

storage::kv_chain kv_archive::begin(std::string_view salt, uint64_t weight_version) const {
  return storage::begin_chain(key_, text(identity_, '\n', salt), weight_version);
}

storage::kv_chain kv_archive::extend(const storage::kv_chain& chain,
                                     std::span<const int32_t> tokens) const {
  return storage::extend_chain(key_, chain, tokens);
}

bool kv_archive::has(const storage::kv_chain& chain) {
  if (index_.find(chain.hash) == nullptr) return false;
  index_.touch(chain.hash);
  return true;
}

kv_archive::saving kv_archive::begin_save(const storage::kv_chain& chain,
                                          std::span<const int32_t> tokens, uint32_t page,
                                          saved_handler done) {
  if (stopped_ && !tries_again()) return saving::refused;
  const storage::kv_page_facts facts{identity_, chain, tokens};
  const uint64_t bytes = storage::kv_page_file_bytes(facts, page_bytes_);
  const uint64_t under_way = bytes_under_way_.load(std::memory_order_relaxed);
  if (under_way > 0 && under_way + bytes > under_way_max) return saving::later;
  if (saves_under_way_.load(std::memory_order_relaxed) >= saves_under_way_max) return saving::later;
  const dataflow::archived_page made{chain.hash,           chain.parent, chain.pages - 1,
                                     index_.next_number(), bytes,        identity_checksum_};
  std::vector<dataflow::archived_page> removed;
  const bool fits = index_.add(made, removed);
  remove_files(removed);
  if (!fits) return saving::refused;
  bytes_under_way_.fetch_add(bytes, std::memory_order_relaxed);
  saves_under_way_.fetch_add(1, std::memory_order_relaxed);
  // Shared by the job that fills it and the one that writes it.
  auto file =
      std::make_shared<std::vector<std::byte>>(storage::begin_kv_page_file(facts, page_bytes_));
  auto over = [this, made, done = std::move(done)](const status& how) {
    bytes_under_way_.fetch_sub(made.bytes, std::memory_order_relaxed);
    saves_under_way_.fetch_sub(1, std::memory_order_relaxed);
    done({made, how.code()});
  };
  auto write = [this, file, made] {
    storage::seal_kv_page_file(*file);
    const auto how = store_.write(to_name(made), *file);
    if (!how.ok()) log::debug(text("KV page not written: ", how.why()));
    return how;
  };
  auto copy = [this, file, page](compute::kernels&) {
    std::byte* to = storage::page_of(*file, page_bytes_).data();
    for_each_part(parts_.memories, page, [&to](const std::byte* part, size_t size) {
      std::memcpy(to, part, size);
      to += size;
    });
  };
  auto copied = [this, write = std::move(write), over](const status& how) {
    const auto sent = how.ok() ? parts_.worker->submit(write, over) : how;
    if (!sent.ok()) over(sent);
  };
  if (const auto sent = parts_.executor->submit(std::move(copy), std::move(copied)); !sent.ok())
    over(sent);
  report();
  return saving::begun;
}

void kv_archive::saved(const saved_page& what) {
  auto& counters = parts_.board->archive;
  const auto code = what.code;
  if (code == status_code::ok) {
    count(counters.pages_written);
    count(counters.bytes_written, what.page.bytes);
    // It went to make room while it was being written, after which nobody would look for it.
    if (!has_just(what.page)) remove_file(what.page);
    if (std::exchange(stopped_, false)) log::info("KV pages are written to the disk again");
  } else {
    forget(what.page);
    count(counters.write_failures);
    refused_ = 0;
    if (!std::exchange(stopped_, true))
      log::warn(text("KV pages are not written to the disk any more: ",
                     code == status_code::exhausted ? "it is full or too slow" : "it refuses them",
                     "; answers are not affected, and it is tried again"));
  }
  report();
}

status kv_archive::read(std::vector<wanted_page> wanted,
                        std::shared_ptr<const std::vector<int32_t>> tokens,
                        std::function<void(std::shared_ptr<const read_result>)> done) {
  std::vector<storage::kv_page_name> names;
  for (const auto& each : wanted) {
    const auto* page = index_.find(each.chain.hash);
    TROUPE_CHECK(page != nullptr);
    names.push_back(to_name(*page));
  }
  auto out = std::make_shared<read_result>(); // shared by the job and its completion
  auto work = [this, out, names = std::move(names), wanted = std::move(wanted),
               tokens = std::move(tokens)]() -> status {
    for (size_t n = 0; n < names.size(); ++n) {
      const storage::kv_page_facts facts{identity_, wanted[n].chain,
                                         std::span(*tokens).first(wanted[n].tokens_count)};
      auto file = store_.read(names[n]);
      auto why = file ? status() : file.error();
      if (file)
        if (const auto page = storage::open_kv_page_file(facts, *file, page_bytes_); !page)
          why = page.error();
      if (!why.ok()) {
        if (why.code() == status_code::corrupt)
          log::warn(text("KV page on the disk dropped: ", why.why()));
        (void)store_.remove(names[n]);
        out->why = why.code();
        out->failed = to_archived(names[n]);
        break;
      }
      out->files.push_back(std::move(*file));
    }
    return {};
  };
  return parts_.worker->submit(std::move(work),
                               [out, done = std::move(done)](const status&) { done(out); });
}

void kv_archive::noted(const read_result& read) {
  if (read.why == status_code::ok) return;
  forget(read.failed);
  if (read.why == status_code::corrupt || read.why == status_code::unsupported)
    count(parts_.board->archive.pages_unreadable);
  report();
}

status kv_archive::place(std::shared_ptr<const read_result> read, std::vector<uint32_t> pages,
                         std::function<void(status_code)> done) {
  TROUPE_CHECK(pages.size() <= read->files.size());
  count(parts_.board->archive.pages_restored, pages.size());
  auto copy = [this, read = std::move(read), pages = std::move(pages)](compute::kernels&) {
    for (size_t n = 0; n < pages.size(); ++n) {
      const std::byte* from = std::span(read->files[n]).last(page_bytes_).data();
      for_each_part(parts_.memories, pages[n], [&from](std::byte* part, size_t size) {
        std::memcpy(part, from, size);
        from += size;
      });
    }
  };
  return parts_.executor->submit(std::move(copy),
                                 [done = std::move(done)](const status& how) { done(how.code()); });
}

// Not another one with the same tokens, saved since.
bool kv_archive::has_just(const dataflow::archived_page& page) const {
  const auto* known = index_.find(page.chain);
  return known != nullptr && known->number == page.number;
}

void kv_archive::forget(const dataflow::archived_page& page) {
  if (has_just(page)) index_.remove(page.chain);
}

void kv_archive::remove_files(const std::vector<dataflow::archived_page>& pages) {
  for (const auto& page : pages) remove_file(page);
  count(parts_.board->archive.pages_evicted, pages.size());
}

// One that the worker does not accept is found by the next process.
void kv_archive::remove_file(const dataflow::archived_page& page) {
  (void)parts_.worker->submit([this, name = to_name(page)] { return store_.remove(name); },
                              [](const status&) {});
}

bool kv_archive::tries_again() {
  return ++refused_ % refusals_between_tries == 0;
}

void kv_archive::report() const {
  auto& counters = parts_.board->archive;
  set(counters.pages, index_.pages());
  set(counters.bytes, index_.bytes());
  set(counters.stopped, stopped_);
}

} // namespace troupe::actors
