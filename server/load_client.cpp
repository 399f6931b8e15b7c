// One connection for each request, all on one thread; responses are parsed by Beast as they come.
#include "server/load_client.hpp"

#include "base/text.hpp"
#include "server/sse.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <nlohmann/json.hpp>

#include <functional>
#include <memory>
#include <utility>

namespace troupe::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using error_code = boost::system::error_code;

constexpr uint64_t answer_bytes_max = 64 << 20;
constexpr size_t event_bytes_max = 1 << 20;
constexpr size_t trouble_bytes_max = 200;

std::string head_and_body(const load_target& target, const std::string& body) {
  const std::string key =
      target.key.empty() ? "" : text("Authorization: Bearer ", target.key, "\r\n");
  return text("POST ", target.path, " HTTP/1.1\r\nHost: ", target.address, ":", target.port,
              "\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ",
              body.size(), "\r\n", key, "\r\n", body);
}

class session : public std::enable_shared_from_this<session> {
public:
  session(asio::io_context& io, const clock& time, time_point begun, load_answer& into,
          std::function<void()> ended)
      : stream_(io),
        time_(time),
        begun_(begun),
        into_(into),
        events_(into),
        ended_(std::move(ended)) {
    parser_.body_limit(answer_bytes_max);
  }

  void start(const tcp::endpoint& to, std::string bytes, duration patience) {
    bytes_ = std::move(bytes);
    into_.sent = true;
    into_.asked = now();
    stream_.expires_after(std::chrono::duration_cast<std::chrono::milliseconds>(patience));
    stream_.async_connect(to, [self = shared_from_this()](error_code error) {
      if (error) return self->end(text("connect: ", error.message()));
      self->send();
    });
  }

private:
  duration now() const { return time_.now() - begun_; }

  void send() {
    asio::async_write(stream_, asio::buffer(bytes_),
                      [self = shared_from_this()](error_code error, size_t) {
                        if (error) return self->end(text("send: ", error.message()));
                        self->receive();
                      });
  }

  void receive() {
    http::async_read_some(
        stream_, buffer_, parser_,
        [self = shared_from_this()](error_code error, size_t) { self->received(error); });
  }

  void received(error_code error) {
    if (parser_.is_header_done()) {
      into_.status = parser_.get().result_int();
      auto& body = parser_.get().body();
      if (into_.status == 200)
        events_.take(body, now());
      else
        refusal_ += body.substr(0, trouble_bytes_max);
      body.clear();
    }
    if (parser_.is_done()) {
      if (into_.status != 200) return end(text("status ", into_.status, ": ", refusal_));
      return end(into_.complete ? "" : "the stream broke off");
    }
    if (error) return end(text("receive: ", error.message()));
    receive();
  }

  void end(std::string trouble) {
    if (!into_.complete && into_.trouble.empty())
      into_.trouble = trouble.substr(0, trouble_bytes_max);
    error_code ignored;
    stream_.socket().close(ignored);
    if (const auto ended = std::exchange(ended_, nullptr)) ended();
  }

  beast::tcp_stream stream_;
  const clock& time_;
  const time_point begun_;
  load_answer& into_;
  token_events events_;
  std::function<void()> ended_;
  std::string bytes_;
  std::string refusal_;
  beast::flat_buffer buffer_;
  http::response_parser<http::string_body> parser_;
};

class load_runner {
public:
  load_runner(const clock& time, const load_target& target, tcp::endpoint to,
              const std::vector<load_request>& requests, const load_run& run)
      : time_(time),
        target_(target),
        to_(std::move(to)),
        requests_(requests),
        run_(run),
        timer_(io_),
        answers_(requests.size()),
        begun_(time.now()) {}

  std::vector<load_answer> go() {
    if (run_.at_once == 0) wait_for_next();
    for (uint32_t i = 0; i < run_.at_once; ++i) send_next();
    io_.run();
    return std::move(answers_);
  }

private:
  bool too_late(duration at) const {
    return run_.begins_within > duration::zero() && at >= run_.begins_within;
  }

  void wait_for_next() {
    if (next_ == requests_.size() || too_late(requests_[next_].at)) return;
    timer_.expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        requests_[next_].at - (time_.now() - begun_)));
    timer_.async_wait([this](error_code) {
      const size_t number = next_++;
      if (open_ < run_.open_max) send(number);
      wait_for_next();
    });
  }

  void send_next() {
    if (next_ == requests_.size() || too_late(time_.now() - begun_)) return;
    send(next_++);
  }

  void send(size_t number) {
    ++open_;
    std::make_shared<session>(io_, time_, begun_, answers_[number], [this] {
      --open_;
      if (run_.at_once > 0) send_next();
    })->start(to_, head_and_body(target_, requests_[number].body), run_.patience);
  }

  asio::io_context io_{1};
  const clock& time_;
  const load_target& target_;
  const tcp::endpoint to_;
  const std::vector<load_request>& requests_;
  const load_run& run_;
  asio::steady_timer timer_;
  std::vector<load_answer> answers_; // never resized: sessions write to them
  const time_point begun_;
  size_t next_ = 0;
  uint32_t open_ = 0;
};

bool brings_text(const nlohmann::json& choice) {
  const auto filled = [](const nlohmann::json& in, const char* name) {
    const auto found = in.find(name);
    return found != in.end() && found->is_string() && !found->get_ref<const std::string&>().empty();
  };
  if (!choice.is_object()) return false;
  const auto delta = choice.find("delta");
  if (delta != choice.end() && delta->is_object()) return filled(*delta, "content");
  return filled(choice, "text");
}

} // namespace

void token_events::take(std::string_view bytes, duration now) {
  rest_ += bytes;
  size_t done = 0;
  for (;;) {
    const size_t end = rest_.find('\n', done);
    if (end == std::string::npos) break;
    std::string_view line = std::string_view(rest_).substr(done, end - done);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("data:")) {
      line.remove_prefix(5);
      if (line.starts_with(' ')) line.remove_prefix(1);
      take_event(line, now);
    }
    done = end + 1;
  }
  rest_.erase(0, done);
  if (rest_.size() <= event_bytes_max) return;
  rest_.clear();
  into_.trouble = "an event is too long";
}

void token_events::take_event(std::string_view data, duration now) {
  if (data == sse_end_mark) {
    into_.complete = into_.trouble.empty();
    return;
  }
  const auto event = nlohmann::json::parse(data, nullptr, false);
  if (!event.is_object()) {
    into_.trouble = "an event is no JSON object";
    return;
  }
  if (const auto error = event.find("error"); error != event.end() && !error->is_null())
    into_.trouble = error->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)
                        .substr(0, trouble_bytes_max);
  const auto usage = event.find("usage");
  if (usage != event.end() && usage->is_object()) {
    const auto counted = usage->find("completion_tokens");
    if (counted != usage->end() && counted->is_number_unsigned())
      into_.tokens = counted->get<uint64_t>();
  }
  const auto choices = event.find("choices");
  if (choices == event.end() || !choices->is_array()) return;
  bool some = false;
  for (const auto& choice : *choices) some = some || brings_text(choice);
  if (!some) return;
  if (into_.last == duration::zero())
    into_.first = now;
  else
    into_.gaps.push_back(now - into_.last);
  into_.last = now;
  if (into_.tokens < into_.gaps.size() + 1) into_.tokens = into_.gaps.size() + 1;
}

result<std::vector<load_answer>> run_load(const clock& time, const load_target& target,
                                          const std::vector<load_request>& requests,
                                          const load_run& run) {
  error_code error;
  const auto address = asio::ip::make_address(target.address, error);
  if (error)
    return fail(status_code::invalid_argument,
                text("address '", target.address, "' is not an IP address: ", error.message()));
  return load_runner(time, target, tcp::endpoint(address, target.port), requests, run).go();
}

} // namespace troupe::server
