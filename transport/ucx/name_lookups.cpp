// A thread for each name.
#include "transport/ucx/name_lookups.hpp"

#include <mutex>
#include <thread>
#include <utility>

namespace troupe::transport {

struct name_lookups::box {
  std::mutex mutex;
  std::vector<answer> answers;
  size_t running = 0;
  file_handle wake;
};

std::shared_ptr<name_lookups::box> name_lookups::make_box() {
  return std::make_shared<box>();
}

void name_lookups::ring_at(file_handle wake) {
  box_->wake = std::move(wake);
}

bool name_lookups::ask(uint64_t session, const std::string& address) {
  {
    std::lock_guard lock(box_->mutex);
    if (box_->running >= running_max) return false;
    ++box_->running;
  }
  std::thread([box = box_, session, address] {
    auto found = resolve(address);
    std::lock_guard lock(box->mutex);
    --box->running;
    box->answers.push_back({session, std::move(found)});
    ring(box->wake.fd());
  }).detach();
  return true;
}

std::vector<name_lookups::answer> name_lookups::take() {
  std::vector<answer> out;
  std::lock_guard lock(box_->mutex);
  out.swap(box_->answers);
  return out;
}

} // namespace troupe::transport
