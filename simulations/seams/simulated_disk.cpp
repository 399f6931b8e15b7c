// Calls go to the image after the faults have had their say; jobs wait in the world's heap.
#include "simulations/seams/simulated_disk.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "simulations/kernel/draws.hpp"
#include "simulations/seams/disk_image.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <utility>

namespace troupe::simulations {
namespace {

constexpr size_t jobs_max = 1024;
constexpr duration first_look = std::chrono::microseconds(100); // at a disk that is stalled …
constexpr duration last_look = std::chrono::milliseconds(10);   // … ever more seldom

enum class change_of : uint8_t { whole, end };

} // namespace

struct simulated_disk::parts {
  parts(world& w, uint32_t machine) : in(w), where(w.at(machine)) {}

  std::array<uint32_t, 4> drawn(uint32_t entity, uint64_t n) const {
    return random_block({in.seed(), random_subsystem::faults, entity + where.index()}, n);
  }
  // Whether a process may go on; counts the call.
  bool call(uint64_t process);
  std::optional<status> refuse_write(const std::string& name, std::span<const std::byte> content,
                                     change_of what);

  world& in;
  machine& where;
  disk_quality quality;
  disk_image image;
  uint64_t calls = 0, writes = 0, faults_drawn = 0, latencies_drawn = 0, crashes = 0, damages = 0;
  uint64_t dead_process = 0; // whose disk is already gone
  uint64_t die_at = 0;       // 0: never
  std::function<void()> on_death;
};

bool simulated_disk::parts::call(uint64_t process) {
  if (!where.up() || where.incarnation() != process || dead_process == process) return false;
  if (++calls != die_at) return true;
  dead_process = process;
  die_at = 0;
  if (on_death) in.schedule(in.now(), "disk death", std::exchange(on_death, nullptr));
  return false;
}

// As with a real disk, a write that fails leaves some of its bytes, and of what it was to replace
// nothing.
std::optional<status> simulated_disk::parts::refuse_write(const std::string& name,
                                                          std::span<const std::byte> content,
                                                          change_of what) {
  const auto bits = drawn(draw_entity::disk, faults_drawn++);
  const bool failed = strikes(bits[0], quality.write_error_ppm);
  if (!failed && !quality.full) return std::nullopt;
  const auto some = content.first(quality.full ? 0 : below(bits[1], content.size() + 1));
  if (what == change_of::whole)
    image.write(name, some);
  else if (!some.empty())
    image.append(name, some);
  if (quality.full) return status(status_code::exhausted, text(name, ": no space on the disk"));
  return status(status_code::unavailable, text(name, ": the disk failed to write"));
}

namespace {

status gone() {
  return {status_code::unavailable, "this process has no disk any more"};
}

status missing(const std::string& name) {
  return {status_code::not_found, text(name, ": there is no such file")};
}

class process_disk final : public storage::disk {
public:
  explicit process_disk(simulated_disk::parts& shared)
      : shared_(shared), process_(shared.where.incarnation()) {}

  result<std::vector<std::byte>> read(const std::string& name) override {
    if (!alive()) return fail(gone());
    const auto* found = shared_.image.find(name);
    if (found == nullptr) return fail(missing(name));
    const auto bits = shared_.drawn(draw_entity::disk, shared_.faults_drawn++);
    if (strikes(bits[0], shared_.quality.read_error_ppm))
      return fail(status_code::unavailable, text(name, ": the disk failed to read"));
    return *found;
  }

  status write(const std::string& name, std::span<const std::byte> bytes) override {
    if (!alive()) return gone();
    ++shared_.writes;
    if (auto refused = shared_.refuse_write(name, bytes, change_of::whole)) return *refused;
    shared_.image.write(name, bytes);
    return {};
  }

  status append(const std::string& name, std::span<const std::byte> bytes) override {
    if (!alive()) return gone();
    ++shared_.writes;
    if (auto refused = shared_.refuse_write(name, bytes, change_of::end)) return *refused;
    shared_.image.append(name, bytes);
    return {};
  }

  status sync(const std::string& name) override {
    if (!alive()) return gone();
    if (shared_.image.find(name) == nullptr) return missing(name);
    if (!shared_.quality.sync_lies) shared_.image.sync(name);
    return {};
  }

  status rename(const std::string& from, const std::string& to) override {
    if (!alive()) return gone();
    ++shared_.writes;
    return shared_.image.rename(from, to) ? status() : missing(from);
  }

  status remove(const std::string& name) override {
    if (!alive()) return gone();
    ++shared_.writes;
    return shared_.image.remove(name) ? status() : missing(name);
  }

  status sync_directory() override {
    if (!alive()) return gone();
    if (!shared_.quality.sync_directory_lies) shared_.image.sync_directory();
    return {};
  }

  result<std::vector<std::string>> list() override {
    if (!alive()) return fail(gone());
    return shared_.image.names();
  }

private:
  bool alive() { return shared_.call(process_); }

  simulated_disk::parts& shared_;
  uint64_t process_;
};

// Jobs are owned by the event that will run the first of them, so that a crash drops them.
class process_worker final : public storage::io_worker {
public:
  explicit process_worker(simulated_disk::parts& shared)
      : shared_(shared), process_(shared.where.incarnation()) {}

  ~process_worker() override {
    if (const auto queue = queue_.lock()) queue->is_open = false;
  }

  status submit(job work, completion done) override {
    if (!shared_.where.up() || shared_.where.incarnation() != process_) return gone();
    auto queue = queue_.lock();
    if (queue && queue->jobs.size() >= jobs_max)
      return {status_code::exhausted, "too many jobs wait for the simulated disk"};
    if (!queue) {
      queue = std::make_shared<job_queue>(shared_);
      queue_ = queue;
    }
    queue->jobs.push_back({std::move(work), std::move(done)});
    if (queue->jobs.size() == 1 && !queue->running) run_later(queue);
    return {};
  }

private:
  struct waiting_job {
    job work;
    completion done;
  };
  struct job_queue {
    explicit job_queue(simulated_disk::parts& disk) : shared(disk) {}
    simulated_disk::parts& shared;
    std::deque<waiting_job> jobs;
    bool running = false;
    bool is_open = true; // false: the worker is gone, and its jobs with it
  };

  static void run_later(const std::shared_ptr<job_queue>& queue) {
    auto& shared = queue->shared;
    const auto bits = shared.drawn(draw_entity::disk_latency, shared.latencies_drawn++);
    shared.where.after(exponential(bits[0], shared.quality.latency_mean), "disk",
                       [queue] { run_front(queue, first_look); });
  }

  static void run_front(const std::shared_ptr<job_queue>& queue, duration next_look) {
    if (!queue->is_open) return;
    if (queue->shared.quality.stalled) {
      const duration later = std::min(next_look * 2, last_look);
      queue->shared.where.poll_after(next_look, [queue, later] { run_front(queue, later); });
      return;
    }
    const waiting_job front = std::move(queue->jobs.front());
    queue->jobs.pop_front();
    const uint64_t process = queue->shared.where.incarnation();
    queue->running = true;
    const status s = front.work();
    // A process that has died in the middle of its job learns nothing of it.
    if (queue->shared.dead_process != process) front.done(s);
    queue->running = false;
    const auto& where = queue->shared.where;
    const bool alive = where.up() && where.incarnation() == process; // a completion may end it
    if (alive && !queue->jobs.empty()) run_later(queue);
  }

  simulated_disk::parts& shared_;
  uint64_t process_;
  std::weak_ptr<job_queue> queue_;
};

} // namespace

simulated_disk::simulated_disk(world& w, uint32_t machine)
    : parts_(std::make_unique<parts>(w, machine)) {}

simulated_disk::~simulated_disk() = default;

std::unique_ptr<storage::disk> simulated_disk::open() {
  TROUPE_CHECK(parts_->where.up());
  return std::make_unique<process_disk>(*parts_);
}

std::unique_ptr<storage::io_worker> simulated_disk::worker() {
  TROUPE_CHECK(parts_->where.up());
  return std::make_unique<process_worker>(*parts_);
}

disk_quality& simulated_disk::quality() {
  return parts_->quality;
}

void simulated_disk::crash(crash_fate fate) {
  auto& p = *parts_;
  const uint64_t number = p.crashes++;
  p.dead_process = p.where.incarnation();
  p.image.crash(fate, [&p, number](uint64_t n) {
    return p.drawn(draw_entity::disk_crash, number << 32 | n);
  });
}

void simulated_disk::wipe() {
  parts_->image = disk_image();
}

std::string simulated_disk::rot() {
  auto& p = *parts_;
  std::vector<std::string> holding;
  for (const auto& name : p.image.names())
    if (!p.image.find(name)->empty()) holding.push_back(name);
  const auto bits = p.drawn(draw_entity::disk_damage, p.damages++);
  if (holding.empty()) return {};
  const auto& name = holding[below(bits[0], holding.size())];
  p.image.flip_bit(name, below(bits[1], uint64_t{p.image.find(name)->size()} * 8));
  return name;
}

std::string simulated_disk::misdirect() {
  auto& p = *parts_;
  const auto names = p.image.names();
  const auto bits = p.drawn(draw_entity::disk_damage, p.damages++);
  if (names.size() < 2) return {};
  const size_t first = below(bits[0], names.size());
  const size_t second = (first + 1 + below(bits[1], names.size() - 1)) % names.size();
  p.image.swap(names[first], names[second]);
  return text(names[first], ' ', names[second]);
}

bool simulated_disk::empty() const {
  return parts_->image.names().empty();
}
uint64_t simulated_disk::writes() const {
  return parts_->writes;
}
uint64_t simulated_disk::calls() const {
  return parts_->calls;
}

void simulated_disk::die_at_call(uint64_t call, std::function<void()> what) {
  TROUPE_CHECK(call > parts_->calls);
  parts_->die_at = call;
  parts_->on_death = std::move(what);
}

} // namespace troupe::simulations
