// Active messages over UCX, in single-thread mode. Rendezvous is chosen by us; eager zero-copy is
// switched off because UCX 1.13 can abort when a peer dies in the middle of it.
#include "transport/ucx/ucx_worker.hpp"

#include "base/check.hpp"
#include "base/text.hpp"
#include "transport/ucx/port_guard.hpp"

#include <ucp/api/ucp.h>

#include <cstring>
#include <list>
#include <utility>

namespace troupe::transport {
namespace {

constexpr unsigned frame_message = 1; // id of our active message

status failed(std::string_view what, ucs_status_t why) {
  return status(status_code::unavailable,
                text("UCX cannot ", what, ": ", std::string_view(ucs_status_string(why))));
}

struct config_deleter {
  void operator()(ucp_config_t* config) const { ucp_config_release(config); }
};

} // namespace

// --- The library
// ----------------------------------------------------------------------------------

struct ucx_context::state {
  ucp_context_h handle = nullptr;

  ~state() {
    if (handle != nullptr) ucp_cleanup(handle);
  }
};

ucx_context::ucx_context(std::unique_ptr<state> state) : state_(std::move(state)) {}
ucx_context::~ucx_context() = default;

result<std::unique_ptr<ucx_context>> ucx_context::open(const ucx_worker_options& options) {
  ucp_config_t* read = nullptr;
  if (const auto why = ucp_config_read(nullptr, nullptr, &read); why != UCS_OK)
    return fail(failed("read its settings", why));
  const std::unique_ptr<ucp_config_t, config_deleter> config(read);
  const std::pair<const char*, std::string> settings[] = {
      {"TLS", options.transports},
      {"NET_DEVICES", options.devices.empty() ? "all" : options.devices},
      {"ZCOPY_THRESH", "inf"},
      {"PROTO_ENABLE", "n"}, // the code of UCX 1.13 behind it is not finished
  };
  for (const auto& [name, value] : settings)
    if (const auto why = ucp_config_modify(config.get(), name, value.c_str()); why != UCS_OK)
      return fail(failed(text("set ", std::string_view(name), " to ", value), why));

  ucp_params_t params{};
  params.field_mask = UCP_PARAM_FIELD_FEATURES;
  params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
  auto made = std::make_unique<state>();
  if (const auto why = ucp_init(&params, config.get(), &made->handle); why != UCS_OK)
    return fail(failed(text("start with transports ", options.transports, " on ",
                            options.devices.empty() ? "all devices" : options.devices),
                       why));
  return std::unique_ptr<ucx_context>(new ucx_context(std::move(made)));
}

// --- A worker
// -------------------------------------------------------------------------------------

struct ucx_worker::state {
  // A frame that UCX holds, either way.
  struct operation {
    state* owner;
    std::list<operation>::iterator self;
    uint64_t sequence = 0;
    encoded_head head{};
    frame_buffer body;
  };

  state(uint64_t given, buffer_pool& buffers, ucx_worker_listener& events)
      : tag(given), pool(buffers), listener(events) {}
  ~state() {
    if (worker != nullptr) ucp_worker_destroy(worker);
  }

  status open(ucp_context_h context);
  ucs_status_t take_message(std::span<const std::byte> head, void* data, size_t bytes,
                            const ucp_am_recv_param_t& how);
  void cannot_fetch(ucs_status_t why);
  void finish_send(operation& done, bool taken);

  uint64_t tag;
  buffer_pool& pool;
  ucx_worker_listener& listener;
  ucp_worker_h worker = nullptr;
  ucp_ep_h link = nullptr;
  bool heard = false;  // a frame of the peer: nothing of its wire-up is to come any more
  bool failed = false; // the link
  bool closed = false; // by us: nobody wants to hear anything any more
  size_t closing = 0;  // requests to close that have not ended
  int event_fd = -1;
  port_guard ports;
  std::vector<std::byte> address;
  std::list<operation> operations; // destroyed after the worker: UCX reads and writes the bodies
};

// The callbacks that UCX takes.
struct ucx_worker_callbacks {
  using state = ucx_worker::state;

  static ucs_status_t message(void* owner, const void* head, size_t head_bytes, void* data,
                              size_t bytes, const ucp_am_recv_param_t* how) {
    return static_cast<state*>(owner)->take_message(
        {static_cast<const std::byte*>(head), head_bytes}, data, bytes, *how);
  }
  static void sent(void* request, ucs_status_t why, void* which) {
    auto& done = *static_cast<state::operation*>(which);
    done.owner->finish_send(done, why == UCS_OK);
    ucp_request_free(request);
  }
  static void fetched(void* request, ucs_status_t why, size_t, void* which) {
    auto& done = *static_cast<state::operation*>(which);
    state& owner = *done.owner;
    const encoded_head head = done.head;
    frame_buffer body = std::move(done.body);
    owner.operations.erase(done.self);
    ucp_request_free(request);
    if (owner.closed) return;
    if (why != UCS_OK) return owner.cannot_fetch(why);
    owner.listener.frame_fetched(owner.tag, head, std::move(body));
  }
  static void link_failed(void* which, ucp_ep_h, ucs_status_t why) {
    auto& owner = *static_cast<state*>(which);
    if (std::exchange(owner.failed, true) || owner.closed) return;
    owner.listener.link_failed(owner.tag, std::string(ucs_status_string(why)));
  }
  static void closed(void* request, ucs_status_t, void* which) {
    ucp_request_free(request);
    --static_cast<state*>(which)->closing;
  }
};

status ucx_worker::state::open(ucp_context_h context) {
  ucp_worker_params_t params{};
  params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  params.thread_mode = UCS_THREAD_MODE_SINGLE;
  const auto ports_before = listening_ports();
  if (const auto why = ucp_worker_create(context, &params, &worker); why != UCS_OK)
    return transport::failed("make a worker", why);
  ucp_am_handler_param_t handler{};
  handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB |
                       UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.id = frame_message;
  handler.cb = ucx_worker_callbacks::message;
  handler.arg = this;
  if (const auto why = ucp_worker_set_am_recv_handler(worker, &handler); why != UCS_OK)
    return transport::failed("receive", why);
  if (const auto why = ucp_worker_get_efd(worker, &event_fd); why != UCS_OK)
    return transport::failed("say when there is work", why);
  ucp_address_t* own = nullptr;
  size_t bytes = 0;
  if (const auto why = ucp_worker_get_address(worker, &own, &bytes); why != UCS_OK)
    return transport::failed("name its address", why);
  address.resize(bytes);
  std::memcpy(address.data(), own, bytes);
  ucp_worker_release_address(worker, own);
  ports = port_guard(ports_before, address);
  return {};
}

ucs_status_t ucx_worker::state::take_message(std::span<const std::byte> head, void* data,
                                             size_t bytes, const ucp_am_recv_param_t& how) {
  heard = true;
  if ((how.recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0) {
    if (!closed) listener.frame_arrived(tag, head, {static_cast<const std::byte*>(data), bytes});
    return UCS_OK;
  }
  if (closed || head.size() != frame_head_bytes || !listener.frame_offered(tag, head, bytes))
    return UCS_ERR_REJECTED; // the sender's request ends with it
  const auto at = operations.emplace(operations.end());
  at->owner = this;
  at->self = at;
  std::memcpy(at->head.data(), head.data(), head.size());
  at->body = pool.take(bytes);
  ucp_request_param_t params{};
  params.op_attr_mask =
      UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FLAG_NO_IMM_CMPL;
  params.user_data = &*at;
  params.cb.recv_am = ucx_worker_callbacks::fetched;
  const auto request = ucp_am_recv_data_nbx(worker, data, at->body.data(), bytes, &params);
  if (UCS_PTR_IS_ERR(request)) {
    operations.erase(at);
    cannot_fetch(UCS_PTR_STATUS(request));
  }
  return UCS_INPROGRESS; // what was offered is UCX's to release
}

// The frames behind it would wait for it for ever.
void ucx_worker::state::cannot_fetch(ucs_status_t why) {
  listener.link_failed(tag, text("a frame cannot be fetched: ", ucs_status_string(why)));
}

void ucx_worker::state::finish_send(operation& done, bool taken) {
  const uint64_t sequence = done.sequence;
  operations.erase(done.self);
  if (!closed) listener.frame_sent(tag, sequence, taken);
}

ucx_worker::ucx_worker(std::unique_ptr<state> state) : state_(std::move(state)) {}
ucx_worker::~ucx_worker() = default;

result<std::unique_ptr<ucx_worker>> ucx_worker::open(ucx_context& context, uint64_t tag,
                                                     buffer_pool& pool,
                                                     ucx_worker_listener& listener) {
  auto made = std::make_unique<state>(tag, pool, listener);
  if (auto opened = made->open(context.state_->handle); !opened.ok())
    return fail(std::move(opened));
  return std::unique_ptr<ucx_worker>(new ucx_worker(std::move(made)));
}

const std::vector<std::byte>& ucx_worker::address() const {
  return state_->address;
}

status ucx_worker::connect(std::span<const std::byte> address) {
  TROUPE_CHECK(state_->link == nullptr);
  // UCX reads the address with the alignment of malloc.
  const std::vector<std::byte> aligned(address.begin(), address.end());
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER;
  params.address = reinterpret_cast<const ucp_address_t*>(aligned.data());
  params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  params.err_handler = {ucx_worker_callbacks::link_failed, state_.get()};
  if (const auto why = ucp_ep_create(state_->worker, &params, &state_->link); why != UCS_OK) {
    state_->link = nullptr;
    return failed("connect", why);
  }
  return {};
}

bool ucx_worker::shut_ports() const {
  return state_->ports.shut();
}

void ucx_worker::close() {
  if (std::exchange(state_->closed, true) || state_->link == nullptr) return;
  ucp_request_param_t params{};
  params.op_attr_mask =
      UCP_OP_ATTR_FIELD_FLAGS | UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
  params.flags = UCP_EP_CLOSE_FLAG_FORCE;
  params.cb.send = ucx_worker_callbacks::closed;
  params.user_data = state_.get();
  ++state_->closing;
  const auto request = ucp_ep_close_nbx(state_->link, &params);
  if (!UCS_PTR_IS_PTR(request)) --state_->closing;
}

void ucx_worker::send(uint64_t sequence, const encoded_head& head, frame_buffer body, bool large) {
  const auto at = state_->operations.emplace(state_->operations.end());
  at->owner = state_.get();
  at->self = at;
  at->sequence = sequence;
  at->head = head;
  at->body = std::move(body);
  if (state_->link == nullptr || state_->failed || state_->closed) {
    state_->finish_send(*at, false);
    return;
  }
  ucp_request_param_t params{};
  params.op_attr_mask =
      UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_FLAGS;
  params.flags = large ? UCP_AM_SEND_FLAG_RNDV : UCP_AM_SEND_FLAG_EAGER;
  params.cb.send = ucx_worker_callbacks::sent;
  params.user_data = &*at;
  const auto request = ucp_am_send_nbx(state_->link, frame_message, at->head.data(),
                                       at->head.size(), at->body.data(), at->body.size(), &params);
  if (!UCS_PTR_IS_PTR(request)) state_->finish_send(*at, request == nullptr);
}

// UCX 1.13 aborts the process when an endpoint goes whose answer to the peer's wire-up waits for a
// connection (ucp_request_send_state_ff, "got REP message"). It waits only when the request finds
// no link of ours that has connected. So no request is read before we connect, and none after we
// have closed: it stays in its socket.
unsigned ucx_worker::progress() {
  if (!may_progress()) return 0;
  return ucp_worker_progress(state_->worker);
}

int ucx_worker::event_fd() const {
  return state_->event_fd;
}

bool ucx_worker::arm() {
  if (!may_progress()) return true;
  return ucp_worker_arm(state_->worker) == UCS_OK;
}

bool ucx_worker::may_progress() const {
  return state_->link != nullptr && (!state_->closed || state_->heard);
}

size_t ucx_worker::operations() const {
  if (!may_progress()) return 0; // they end with the worker
  return state_->operations.size() + state_->closing;
}

} // namespace troupe::transport
