// What the commands that serve over HTTP have in common: keys, options of the server, and waiting
// for the signal to stop.
#pragma once

#include "cli/program.hpp"
#include "cli/serve.hpp"
#include "server/http_server.hpp"

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::model {
struct generation_defaults;
} // namespace troupe::model

namespace troupe::cli {

// The first signal, for the main thread to wait for; the second ends the process at once.
class stop_request {
public:
  bool hear(int signal) {
    const std::lock_guard lock(mutex_);
    if (signal_ != 0) return false;
    signal_ = signal;
    changed_.notify_all();
    return true;
  }
  bool heard() {
    const std::lock_guard lock(mutex_);
    return signal_ != 0;
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return signal_ != 0; });
  }
  // Ends a pause() early: something may have changed. Any thread.
  void nudge() {
    const std::lock_guard lock(mutex_);
    nudged_ = true;
    changed_.notify_all();
  }
  // Lets time pass, until a nudge or until the first signal comes.
  void pause(duration at_most) {
    std::unique_lock lock(mutex_);
    const bool before = signal_ != 0;
    changed_.wait_for(lock, at_most, [&] { return nudged_ || (!before && signal_ != 0); });
    nudged_ = false;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int signal_ = 0;
  bool nudged_ = false;
};

// The keys that clients must have one of; none when everybody may ask. Fails when the address is
// none, or open to other machines without a key. `flag`: which one says the address.
result<std::vector<std::string>> api_keys_of(program& context, const serve_settings& settings,
                                             std::string_view flag = "--host");

// The keys of those who may send documents to learn from; with --ingest there must be one. Fails as
// above.
result<std::vector<std::string>> ingest_keys_of(program& context, const serve_settings& settings);

server::sampling_defaults sampling_defaults_of(const model::generation_defaults& from);
server::server_options server_options_of(const serve_settings& settings,
                                         std::vector<std::string> keys, std::string name);

} // namespace troupe::cli
