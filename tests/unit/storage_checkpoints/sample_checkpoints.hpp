// States of an imaginary run that differ in some parts, and a machine with a disk to keep them on.
#pragma once

#include "simulations/seams/simulated_disk.hpp"
#include "storage/checkpoint_store.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace troupe::storage::tests {

// So small that a few hundred bytes have every kind of chunk.
inline constexpr chunk_sizes small_chunks{.piece_bytes = 64, .alone_bytes = 32, .pool_bytes = 48};

struct sample_state {
  uint64_t step = 0;
  std::map<std::string, std::vector<std::byte>> parts;

  std::vector<checkpoint_part> views() const {
    std::vector<checkpoint_part> out;
    for (const auto& [name, bytes] : parts) out.push_back({name, bytes});
    return out;
  }
  checkpoint_info info() const {
    return {.step = step, .state_hash = step * 7 + 1, .score = {}, .settings = {{"seed", "1"}}};
  }
  friend bool operator==(const sample_state&, const sample_state&) = default;
};

inline std::vector<std::byte> pattern(size_t size, uint64_t salt) {
  std::vector<std::byte> out(size);
  for (size_t i = 0; i < size; ++i)
    out[i] = static_cast<std::byte>((i * 37 + salt * 101 + i * i * salt) >> 1);
  return out;
}

// "moving" and "steps" differ from step to step, everything else is the same.
inline sample_state sample(uint64_t step) {
  return {.step = step,
          .parts = {{"empty", {}},
                    {"frozen", pattern(150, 1)},
                    {"little a", pattern(5, 2)},
                    {"little b", pattern(30, 3)},
                    {"little c", pattern(30, 4)},
                    {"moving", pattern(170, 1000 + step)},
                    {"steps", pattern(8, 2000 + step)}}};
}

inline sample_state state_of(const loaded_checkpoint& loaded) {
  sample_state out{.step = loaded.manifest.step, .parts = {}};
  for (const auto& part : loaded.parts())
    out.parts[part.name].assign(part.bytes.begin(), part.bytes.end());
  return out;
}

// One process after another on one machine, each with a disk that may be its last.
class checkpoint_machine {
public:
  explicit checkpoint_machine(uint64_t seed = 1)
      : world_({.seed = seed, .machines = 1, .strategy = {}}), kept_(world_, 0) {
    boot();
  }

  disk& folder() { return *folder_; }
  checkpoint_store store() { return checkpoint_store(*folder_, small_chunks); }
  simulations::disk_quality& quality() { return kept_.quality(); }
  uint64_t calls() const { return kept_.calls(); }

  // From the n-th call on, counted from now, nothing works any more.
  void die_at(uint64_t call) {
    kept_.die_at_call(kept_.calls() + call, [this] { died_ = true; });
  }
  // Whether the process died; the next one finds what `fate` left.
  bool restart(simulations::crash_fate fate) {
    while (world_.step(time_point::max())) {
    }
    kept_.die_at_call(UINT64_MAX, [] {}); // not needed any more
    world_.at(0).crash();
    kept_.crash(fate);
    boot();
    return std::exchange(died_, false);
  }

private:
  void boot() {
    world_.at(0).boot();
    folder_ = kept_.open();
  }

  simulations::world world_;
  simulations::simulated_disk kept_;
  std::unique_ptr<disk> folder_;
  bool died_ = false;
};

inline constexpr simulations::crash_fate all_fates[] = {
    simulations::crash_fate::keep_all, simulations::crash_fate::drop_unsynced,
    simulations::crash_fate::tear, simulations::crash_fate::reorder};

} // namespace troupe::storage::tests
