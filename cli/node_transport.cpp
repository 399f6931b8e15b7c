// The only place of the program that names UCX.
#include "cli/node_transport.hpp"

#include "base/text.hpp"
#include "transport/ucx/ucx_endpoint.hpp"

#include <condition_variable>
#include <mutex>
#include <span>
#include <utility>

namespace troupe::cli {
namespace {

constexpr duration seed_patience = std::chrono::seconds(30);
constexpr duration seed_pause = std::chrono::milliseconds(200);

// A wait that nothing ends early; for a program that has nothing else to do yet.
void pass_time(duration how_long) {
  std::mutex mutex;
  std::condition_variable nobody;
  std::unique_lock lock(mutex);
  nobody.wait_for(lock, how_long, [] { return false; });
}

std::vector<std::byte> as_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

} // namespace

result<std::unique_ptr<transport::endpoint>> open_node_endpoint(
    const node_plan& plan, uint64_t incarnation, const transport::secret& key,
    transport::endpoint_listener& listener) {
  transport::ucx_options options;
  options.self = {plan.name, incarnation};
  options.listen = plan.listen;
  options.advertise = plan.advertise;
  for (const auto& [name, address] : plan.peers) options.peers.push_back({name, address});
  options.key = key;
  options.encrypt = plan.encrypt;
  options.description = as_bytes(render_cluster_file(plan.cluster));
  auto made = transport::open_ucx_endpoint(std::move(options), listener);
  if (!made) return fail(std::move(made.error()));
  return std::move(*made);
}

result<std::string> fetch_cluster_text(const clock& time, const std::string& seed,
                                       const transport::secret& key) {
  const auto deadline = time.now() + seed_patience;
  for (;;) {
    const auto bytes = transport::fetch_description(seed, key);
    if (bytes) return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    if (bytes.error().code() == status_code::invalid_argument || time.now() >= deadline)
      return fail(bytes.error().within(text("--join ", seed)));
    pass_time(seed_pause);
  }
}

result<std::vector<std::string>> fetch_names(const std::string& seed,
                                             const transport::secret& key) {
  const auto book = transport::fetch_address_book(seed, key);
  if (!book) return fail(book.error().within(text("--join ", seed)));
  std::vector<std::string> out;
  for (const auto& entry : *book) out.push_back(entry.identity.name);
  return out;
}

} // namespace troupe::cli
