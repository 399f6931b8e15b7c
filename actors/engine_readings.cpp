// Reads the node's board and the model's parts.
#include "actors/engine_readings.hpp"

#include "actors/metrics_board.hpp"
#include "actors/model_bundle.hpp"
#include "actors/node_supervisor.hpp"

#include <chrono>

namespace troupe::actors {
namespace {

constexpr duration step_deadline = std::chrono::seconds(120);

} // namespace

engine_metrics engine_readings::metrics() {
  return resources().board->read();
}

bool engine_readings::healthy() {
  const auto& board = *resources().board;
  if (board.failed.load(std::memory_order_relaxed)) return false;
  const uint64_t started = board.step_started_ns.load(std::memory_order_relaxed);
  if (started == 0) return true;
  const auto now = static_cast<uint64_t>(resources().time->now().time_since_epoch().count());
  return now < started + static_cast<uint64_t>(step_deadline.count());
}

uint64_t engine_readings::streams_open() {
  return resources().board->streams_open.load(std::memory_order_relaxed);
}

const model::tokenizer& engine_readings::tokenizer() const {
  return *resources().bundle->tokenizer;
}
const model::chat_template* engine_readings::chat_template() const {
  return resources().bundle->chat_template.get();
}
const model::description& engine_readings::description() const {
  return *resources().bundle->description;
}
const model::generation_defaults& engine_readings::generation_defaults() const {
  return *resources().bundle->generation_defaults;
}
uint32_t engine_readings::positions_max() const {
  return resources().positions_max;
}

std::string engine_readings::fingerprint() const {
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "fp_";
  for (int shift = 60; shift >= 0; shift -= 4)
    out += digits[resources().bundle->fingerprint >> shift & 15];
  return out;
}

} // namespace troupe::actors
