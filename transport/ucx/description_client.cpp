// Asks a node for its cluster's description: one handshake and one answer, on the caller's thread.
#include "base/clock.hpp"
#include "base/text.hpp"
#include "transport/session/handshake.hpp"
#include "transport/ucx/connection.hpp"
#include "transport/ucx/ucx_endpoint.hpp"

#include <poll.h>

#include <algorithm>
#include <utility>

namespace troupe::transport {
namespace {

using std::chrono::milliseconds;

constexpr size_t book_entries_asked_max = 4096;

class asker {
public:
  asker(connection control, const secret& key, time_point deadline)
      : control_(std::move(control)),
        shake_(handshake::initiate(
            {.key = key, .self = {}, .purpose = session_purpose::description, .encrypt = true})),
        deadline_(deadline) {}

  result<std::vector<std::byte>> ask() {
    if (auto reached = wait_until_connected(); !reached.ok()) return fail(std::move(reached));
    if (auto sent = control_.send(shake_.opening()); !sent.ok()) return fail(std::move(sent));
    auto reply = next_record();
    if (!reply)
      return fail(reply.error().within("no answer to the handshake (is the key the right one?)"));
    auto closing = shake_.receive(*reply);
    if (!closing) return fail(std::move(closing.error()));
    if (auto sent = control_.send(*closing); !sent.ok()) return fail(std::move(sent));
    session_keys keys = shake_.take_keys();
    control_.secure(std::move(keys.control_out), std::move(keys.control_in));
    return receive_description();
  }

  // Comes before the description.
  const std::vector<book_entry>& book() const { return book_; }

private:
  result<std::vector<std::byte>> receive_description() {
    std::vector<std::byte> out;
    for (;;) {
      auto plain = next_record();
      if (!plain) return fail(std::move(plain.error()));
      auto record = decode_control_record(*plain);
      if (!record) return fail(std::move(record.error()));
      if (const auto* known = std::get_if<book_record>(&*record);
          known != nullptr && book_.size() < book_entries_asked_max)
        book_.insert(book_.end(), known->entries.begin(), known->entries.end());
      const auto* part = std::get_if<description_record>(&*record);
      if (part == nullptr) continue;
      if (out.size() + part->part.size() + part->bytes_left > description_bytes_max)
        return fail(status_code::corrupt, "a description that is too long");
      out.insert(out.end(), part->part.begin(), part->part.end());
      if (part->bytes_left == 0) return out;
      if (part->part.empty()) return fail(status_code::corrupt, "a description that does not end");
    }
  }

  status wait_until_connected() {
    while (control_.connecting()) {
      TROUPE_RETURN_IF_ERROR(wait());
      TROUPE_RETURN_IF_ERROR(control_.on_writable());
    }
    return {};
  }

  result<std::vector<std::byte>> next_record() {
    status ended;
    for (;;) {
      auto record = control_.next();
      if (!record) return fail(std::move(record.error()));
      if (record->has_value()) return std::move(**record);
      if (!ended.ok()) return fail(std::move(ended));
      if (auto waited = wait(); !waited.ok()) return fail(std::move(waited));
      if (auto sent = control_.on_writable(); !sent.ok()) return fail(std::move(sent));
      ended = control_.on_readable();
    }
  }

  status wait() {
    const auto left = std::chrono::ceil<milliseconds>(deadline_ - clock_.now());
    pollfd entry{};
    entry.fd = control_.fd();
    entry.events = static_cast<short>(POLLIN | (control_.wants_to_write() ? POLLOUT : 0));
    if (left.count() > 0 &&
        ::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left.count(), 60'000))) >= 0 &&
        clock_.now() < deadline_)
      return {};
    return status(status_code::timed_out, "no description in time");
  }

  system_clock clock_;
  std::vector<book_entry> book_;
  connection control_;
  handshake shake_;
  time_point deadline_;
};

result<asker> make_asker(const std::string& address, const secret& key, duration timeout) {
  if (key.size() < cluster_key_bytes_min)
    return fail(status_code::invalid_argument, text("the cluster key has ", key.size(),
                                                    " bytes, fewer than ", cluster_key_bytes_min));
  const time_point deadline = system_clock().now() + timeout;
  const auto resolved = resolve(address);
  if (!resolved) return fail(resolved.error());
  auto control = connection::dial(*resolved);
  if (!control) return fail(control.error().within(address));
  return asker(std::move(*control), key, deadline);
}

} // namespace

result<std::vector<std::byte>> fetch_description(const std::string& address, const secret& key,
                                                 duration timeout) {
  auto one = make_asker(address, key, timeout);
  if (!one) return fail(std::move(one.error()));
  auto out = one->ask();
  if (!out) return fail(out.error().within(address));
  return out;
}

result<std::vector<book_entry>> fetch_address_book(const std::string& address, const secret& key,
                                                   duration timeout) {
  auto one = make_asker(address, key, timeout);
  if (!one) return fail(std::move(one.error()));
  if (const auto described = one->ask(); !described) return fail(described.error().within(address));
  return one->book();
}

} // namespace troupe::transport
