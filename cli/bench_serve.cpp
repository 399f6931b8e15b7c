// Asks which model there is, measures the capacity, then sends requests at each rate.
#include "cli/bench_serve.hpp"

#include "base/text.hpp"
#include "cli/http_get.hpp"
#include "cli/private_file.hpp"
#include "cli/http_setup.hpp"
#include "cli/program.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <optional>

namespace troupe::cli {
namespace {

constexpr size_t key_file_bytes_max = 4096;
constexpr uint32_t warm_up_requests = 2;
constexpr double closed_rate = 1000; // a second: more requests than anybody answers

class bench_serve_run {
public:
  bench_serve_run(program& context, const bench_serve_settings& settings, host_port server,
                  std::string key)
      : context_(context), settings_(settings), server_(std::move(server)), key_(std::move(key)) {
    if (server_.host == "localhost") server_.host = "127.0.0.1";
  }

  status find_model() {
    model_ = settings_.served_model;
    if (!model_.empty()) return {};
    const auto answer =
        http_get(context_.clock, {.server = server_, .path = "/v1/models", .key = key_});
    if (!answer) return answer.error();
    if (answer->status != 200)
      return status(status_code::unavailable,
                    text(to_string(server_), ": /v1/models answers ", answer->status));
    const auto body = nlohmann::json::parse(answer->body, nullptr, false);
    const auto data = body.is_object() ? body.find("data") : body.end();
    if (!body.is_object() || data == body.end() || !data->is_array() || data->empty() ||
        !data->front().is_object() || !data->front().contains("id") ||
        !data->front()["id"].is_string())
      return status(status_code::corrupt, text(to_string(server_), ": /v1/models lists no model"));
    model_ = data->front()["id"].get<std::string>();
    return {};
  }

  status run(const std::vector<double>& rates, const std::vector<double>& loads) {
    if (auto s = warm_up(); !s.ok()) return s;
    if (!rates.empty()) {
      for (const double rate : rates)
        if (auto s = measure(rate, 0); !s.ok()) return s;
      return {};
    }
    if (auto s = measure(0, 0); !s.ok()) return s;
    const double capacity = rows_.front().complete_per_s;
    if (capacity <= 0)
      return status(status_code::unavailable,
                    text("no answer came to its end within ", settings_.window, " s"));
    for (const double load : loads)
      if (auto s = measure(capacity * load / 100, static_cast<uint32_t>(std::lround(load)));
          !s.ok())
        return s;
    return {};
  }

  const std::vector<load_row>& rows() const { return rows_; }
  const std::string& model() const { return model_; }

private:
  status warm_up() {
    auto requests = requests_at(closed_rate, settings_, model_, 0);
    requests.resize(std::min<size_t>(requests.size(), warm_up_requests));
    const auto answers = ask(requests, {.at_once = 1});
    if (!answers) return answers.error();
    if (!answers->front().complete)
      return status(status_code::unavailable,
                    text(to_string(server_), ": ", answers->front().trouble));
    return {};
  }

  // Rate 0: as many as it can take.
  status measure(double rate, uint32_t percent) {
    const duration window = std::chrono::seconds(settings_.window);
    const auto requests = requests_at(rate > 0 ? rate : closed_rate, settings_, model_, ++set_);
    const auto answers =
        ask(requests, {.at_once = rate > 0 ? 0 : settings_.streams, .begins_within = window});
    if (!answers) return answers.error();
    load_row row = row_of(*answers, {std::chrono::milliseconds(settings_.first_token_max_ms),
                                     std::chrono::milliseconds(settings_.per_token_max_ms)});
    row.rate = rate;
    row.percent = percent;
    (void)context_.err.write(
        text(rate > 0 ? text(double(std::lround(rate * 100)) / 100, " requests/s") : "capacity",
             ": ", row.complete, " of ", row.sent, " complete, ", std::lround(row.tokens_per_s),
             " tokens/s\n"));
    rows_.push_back(std::move(row));
    return {};
  }

  result<std::vector<server::load_answer>> ask(const std::vector<server::load_request>& requests,
                                               const server::load_run& run) {
    return server::run_load(context_.clock,
                            {.address = server_.host, .port = server_.port, .key = key_}, requests,
                            run);
  }

  program& context_;
  const bench_serve_settings& settings_;
  host_port server_;
  std::string key_;
  std::string model_;
  std::vector<load_row> rows_;
  uint32_t set_ = 0;
};

result<host_port> server_of(std::string_view url) {
  constexpr std::string_view scheme = "http://";
  const std::string given(url);
  if (url.starts_with(scheme)) url.remove_prefix(scheme.size());
  while (url.ends_with('/')) url.remove_suffix(1);
  auto out = parse_host_port(url);
  if (!out) return fail(out.error().within(text("--server ", given)));
  return out;
}

result<std::string> key_of(const program& context, const bench_serve_settings& settings) {
  if (settings.server_key_file.empty()) {
    const auto given = context.variables.find("TROUPE_API_KEY");
    return given == context.variables.end() ? std::string() : given->second;
  }
  const auto content = read_private_file(settings.server_key_file, key_file_bytes_max);
  if (!content) return fail(content.error().within("--server-key-file"));
  const auto keys = keys_of_file(*content);
  return keys.empty() ? std::string() : keys.front();
}

int run_bench_serve(program& context, const bench_serve_settings& settings) {
  auto server = server_of(settings.server);
  if (!server) return context.complain(server.error(), exit_usage);
  auto key = key_of(context, settings);
  if (!key) return context.complain(key.error(), exit_usage);
  std::vector<double> rates;
  if (!settings.rates.empty()) {
    auto given = parse_rates("--rates", settings.rates);
    if (!given) return context.complain(given.error(), exit_usage);
    rates = std::move(*given);
  }
  const auto loads = parse_rates("--loads", settings.loads);
  if (!loads) return context.complain(loads.error(), exit_usage);
  bench_serve_run run(context, settings, std::move(*server), std::move(*key));
  if (auto s = run.find_model(); !s.ok()) return context.complain(s);
  if (auto s = run.run(rates, *loads); !s.ok()) return context.complain(s);
  (void)context.out.write(settings.json ? load_json(run.rows(), settings, run.model())
                                        : load_table(run.rows()));
  return context.exit_after_output();
}

constexpr command_info info = {
    .name = "bench serve",
    .section = "bench-serve",
    .summary = "measures a server under open-loop load: waits, tokens per second, goodput",
    .notes =
        "Asks a server that runs, this program's or another one with the API of OpenAI "
        "(/v1/completions with\n"
        "token ids as prompts). Requests are sent at the moments of a Poisson process, whether "
        "earlier ones\n"
        "have been answered or not. An answer is good when its first token and the mean time of "
        "the others\n"
        "are within the limits; goodput is good answers a second. The key comes from "
        "--server-key-file or\n"
        "TROUPE_API_KEY.\n"
        "\n"
        "exit codes: 0 done; 1 failed, for example nobody answers; 2 wrong usage; 130 ended by "
        "Ctrl-C\n"
        "\n"
        "examples:\n"
        "  troupe bench serve --window 60\n"
        "  troupe bench serve --server http://127.0.0.1:8080 --rates 0.5,1,2 --prompt-length 512\n",
};

} // namespace

std::unique_ptr<command> make_bench_serve() {
  return make_command<bench_serve_settings>(info, run_bench_serve);
}

} // namespace troupe::cli
