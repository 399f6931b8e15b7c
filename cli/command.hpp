// One subcommand: what it is called, which settings it has, and what it does with them.
#pragma once

#include "cli/option.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::cli {

struct program; // what the commands work with (cli/program.hpp)

struct command_info {
  std::string_view name;       // "model inspect"
  std::string_view section;    // its table in the configuration file: "inspect"
  std::string_view summary;    // one line
  std::string_view notes = ""; // after the options: behaviour, exit codes, examples
};

class command {
public:
  explicit command(const command_info& info) : info_(info) {}
  virtual ~command() = default;
  const command_info& info() const { return info_; }
  virtual std::vector<option>& options() = 0;
  // The exit code of the process.
  virtual int run(program& context) = 0;

private:
  command_info info_;
};

// A command as a settings struct and a function.
template <class Settings>
class command_of final : public command {
public:
  using body = int (*)(program&, const Settings&);
  command_of(const command_info& info, body run)
      : command(info), options_(options_of(settings_)), run_(run) {}
  std::vector<option>& options() override { return options_; }
  int run(program& context) override { return run_(context, settings_); }

private:
  Settings settings_;
  std::vector<option> options_; // point into settings_
  body run_;
};

template <class Settings>
std::unique_ptr<command> make_command(const command_info& info,
                                      int (*run)(program&, const Settings&)) {
  return std::make_unique<command_of<Settings>>(info, run);
}

using command_list = std::vector<std::unique_ptr<command>>;

} // namespace troupe::cli
