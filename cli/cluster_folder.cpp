// Everything is a small text file, so that a shell can look after a cluster as well.
#include "cli/cluster_folder.hpp"

#include "base/random.hpp"
#include "base/text.hpp"
#include "cli/built_in_model.hpp"
#include "cli/option_value.hpp"
#include "cli/private_file.hpp"
#include "transport/session/secret.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace troupe::cli {
namespace {

constexpr size_t file_bytes_max = 1 << 20;
constexpr size_t tail_bytes = 2000;
constexpr uint16_t first_port = 20000, port_count = 10000; // outbound connections take higher ones
constexpr const char* own_address = "127.0.0.1";
constexpr const char* cluster_name = "/cluster.toml";
constexpr const char* secret_name = "/secret";
constexpr const char* admin_key_name = "/admin.key";
constexpr const char* served_name = "/served";

std::string without_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

std::string address_of(uint16_t port) {
  return to_string(host_port{own_address, port});
}

// A socket that holds a port while others are looked for.
class held_port {
public:
  explicit held_port(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in where = {};
    where.sin_family = AF_INET;
    where.sin_port = htons(port);
    ::inet_pton(AF_INET, own_address, &where.sin_addr);
    held_ = fd_ >= 0 &&
            ::bind(fd_, reinterpret_cast<const sockaddr*>(&where), sizeof(where)) == 0 &&
            ::listen(fd_, 1) == 0;
  }
  held_port(const held_port&) = delete;
  held_port& operator=(const held_port&) = delete;
  ~held_port() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool held() const { return held_; }

private:
  int fd_;
  bool held_ = false;
};

result<cluster_file> described(const new_cluster& plan) {
  auto ports = free_ports(2 * size_t{plan.nodes});
  if (!ports) return fail(std::move(ports.error()));
  cluster_file out;
  out.cluster = "development";
  out.model = plan.model;
  out.quantize = plan.quantize;
  out.coordination = plan.coordination;
  out.voters = plan.voters;
  out.stages = plan.stages;
  out.shards = plan.shards;
  out.shard_copies = plan.shard_copies;
  out.secret_file = "secret";
  for (uint32_t i = 0; i < plan.nodes; ++i)
    out.nodes.push_back(
        {text("n", i), address_of((*ports)[2 * i]), address_of((*ports)[2 * i + 1])});
  for (uint32_t i = 0; i < plan.spare; ++i) out.spare.push_back(text("n", plan.nodes + i));
  // What is not said gets its default, and what cannot be is refused, before a file says it.
  return parse_cluster_file(render_cluster_file(out), "cluster up");
}

} // namespace

result<std::vector<uint16_t>> free_ports(size_t count) {
  std::vector<uint16_t> out;
  std::vector<std::unique_ptr<held_port>> held;
  const uint64_t begin = entropy_seed();
  for (uint32_t i = 0; i < port_count && out.size() < count; ++i) {
    const auto port = static_cast<uint16_t>(first_port + (begin + i) % port_count);
    held.push_back(std::make_unique<held_port>(port));
    if (held.back()->held()) out.push_back(port);
  }
  if (out.size() == count) return out;
  return fail(status_code::exhausted, text("there are no ", count, " free ports from ", first_port,
                                           " to ", first_port + port_count - 1));
}

std::string to_text(const started_node& node) {
  return text("name ", node.name, "\njoined ", node.joined ? 1 : 0, "\nlisten ", node.listen,
              "\nhttp ", node.http, "\nthreads ", node.threads, "\npid ", node.process.pid,
              "\nstarted ", node.process.started, "\nboot ", node.process.boot, "\n");
}

result<started_node> parse_started_node(const std::string& content) {
  std::map<std::string, std::string> values;
  std::istringstream lines(content);
  for (std::string key, value; lines >> key >> value;) values[key] = value;
  started_node out;
  out.name = values["name"];
  out.listen = values["listen"];
  out.http = values["http"];
  out.process.boot = values["boot"];
  const bool whole = parse_value(values["joined"], out.joined).ok() &&
                     parse_value(values["threads"], out.threads).ok() &&
                     parse_value(values["pid"], out.process.pid).ok() &&
                     parse_value(values["started"], out.process.started).ok() &&
                     is_node_name(out.name) && parse_host_port(out.http).has_value() &&
                     parse_host_port(out.listen).has_value();
  if (!whole) return fail(status_code::corrupt, "is no note of a started node");
  return out;
}

result<cluster_folder> cluster_folder::open(const storage::file_system& files,
                                            const std::string& folder) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(folder, error).lexically_normal().string();
  cluster_folder out(files, absolute);
  if (!files.exists(absolute + cluster_name))
    return fail(status_code::not_found,
                text(folder, " holds no cluster; troupe cluster up makes one (--dir says where)"));
  if (auto s = out.load(); !s.ok()) return fail(std::move(s));
  return out;
}

status cluster_folder::load() {
  const std::string file = folder_ + cluster_name;
  const auto content = files_->read_text(file, file_bytes_max);
  if (!content) return content.error();
  auto parsed = parse_cluster_file(*content, file);
  if (!parsed) return parsed.error();
  cluster_ = std::move(*parsed);
  const auto key = read_private_file(folder_ + admin_key_name, file_bytes_max);
  if (!key) return key.error();
  admin_key_ = without_end(*key);
  return {};
}

result<cluster_folder> cluster_folder::make(const storage::file_system& files,
                                            const std::string& folder, const new_cluster& plan) {
  auto cluster = described(plan);
  if (!cluster) return fail(std::move(cluster.error()));
  std::error_code error;
  const auto absolute = std::filesystem::absolute(folder, error).lexically_normal().string();
  std::filesystem::create_directories(absolute, error);
  if (error)
    return fail(status_code::unavailable, text(folder, ": cannot make it: ", error.message()));
  const auto put = [&absolute](const char* name, const std::string& content) {
    std::error_code ignored;
    std::filesystem::remove(absolute + name, ignored); // what an attempt before has left
    return write_private_file(absolute + name, content);
  };
  if (auto s = put(secret_name, transport::secret::random().hex() + "\n"); !s.ok())
    return fail(std::move(s));
  if (auto s = put(admin_key_name, transport::secret::random().hex() + "\n"); !s.ok())
    return fail(std::move(s));
  // Last: with it the folder holds a cluster.
  const std::string secret_line = "secret_file = \"secret\"\n";
  if (auto s = put(cluster_name, secret_line + render_cluster_file(*cluster)); !s.ok())
    return fail(std::move(s));
  return open(files, folder);
}

std::vector<started_node> cluster_folder::started() const {
  std::vector<started_node> out;
  for (const auto& name : cluster_.names())
    if (auto note = read_note(name)) out.push_back(std::move(*note));
  return out;
}

result<started_node> cluster_folder::read_note(const std::string& name) const {
  const auto content = files_->read_text(note_of(name), file_bytes_max);
  if (!content) return fail(content.error());
  auto parsed = parse_started_node(*content);
  if (!parsed) return fail(parsed.error().within(note_of(name)));
  return parsed;
}

result<started_node> cluster_folder::find(const std::string& name) const {
  auto note = read_note(name);
  if (note || note.error().code() != status_code::not_found) return note;
  std::string names;
  for (const auto& each : started()) names += text(names.empty() ? "" : ", ", each.name);
  return fail(status_code::invalid_argument,
              text("no node called ", quoted_text(name), " was started in ", folder_,
                   names.empty() ? "" : text("; there are ", names)));
}

result<started_node> cluster_folder::plan_start(const std::string& name, uint32_t threads) const {
  started_node out;
  out.name = name;
  out.threads = threads;
  if (const auto* listed = cluster_.find(name)) {
    out.listen = listed->address;
    out.http = listed->http;
    return out;
  }
  auto ports = free_ports(2);
  if (!ports) return fail(std::move(ports.error()));
  out.joined = true;
  out.listen = address_of((*ports)[0]);
  out.http = address_of((*ports)[1]);
  return out;
}

std::vector<std::string> cluster_folder::words_of(const started_node& node, bool form,
                                                  const std::string& seed) const {
  std::vector<std::string> out = {executable_path(), "node"};
  if (node.joined)
    out.insert(out.end(), {"--join", seed});
  else
    out.insert(out.end(), {"--cluster", folder_ + cluster_name});
  out.insert(out.end(),
             {"--name", node.name, "--listen", node.listen, "--http", node.http, "--data-dir",
              folder_ + "/" + node.name, "--secret-file", folder_ + secret_name, "--admin-key-file",
              folder_ + admin_key_name, "--threads", text(node.threads), "--log-level", "info"});
  if (form) out.emplace_back("--form");
  return out;
}

status cluster_folder::start(started_node& node, bool form, const std::string& seed) const {
  auto started = start_process(words_of(node, form, seed), log_of(node.name));
  if (!started) return started.error().within(text("starting ", node.name, log_tail(node.name)));
  node.process = std::move(*started);
  return write_note(node);
}

status cluster_folder::write_note(const started_node& node) const {
  const std::string path = note_of(node.name);
  std::error_code error;
  std::filesystem::remove(path + ".new", error);
  TROUPE_RETURN_IF_ERROR(write_private_file(path + ".new", to_text(node)));
  std::filesystem::rename(path + ".new", path, error);
  if (error)
    return status(status_code::unavailable, text(path, ": cannot write: ", error.message()));
  return {};
}

void cluster_folder::forget(const std::string& name) const {
  std::error_code ignored;
  std::filesystem::remove(note_of(name), ignored);
}

bool cluster_folder::has_served() const {
  return files_->exists(folder_ + served_name);
}

status cluster_folder::note_served() const {
  return has_served() ? status() : write_private_file(folder_ + served_name, "");
}

std::string cluster_folder::log_tail(const std::string& name) const {
  std::ifstream file(log_of(name), std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  std::string tail = content.str();
  if (tail.size() > tail_bytes) tail = tail.substr(tail.find('\n', tail.size() - tail_bytes) + 1);
  std::istringstream lines(tail);
  std::string out = text("\n  the end of ", log_of(name), ":");
  for (std::string line; std::getline(lines, line);) out += text("\n  | ", line);
  return out;
}

} // namespace troupe::cli
