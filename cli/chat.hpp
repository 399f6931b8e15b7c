// troupe chat: a conversation on the terminal, or piped line by line.
#pragma once

#include "cli/command.hpp"
#include "cli/engine_setup.hpp"
#include "cli/settings.hpp"

namespace troupe::cli {

struct chat_settings {
  model_settings model;
  std::string system;
  sampling_settings sampling;
  device_settings device;
  engine_settings engine;
  common_settings common;

  template <class Visitor>
  void for_each_field(Visitor visit) {
    model.for_each_field(visit);
    visit({.name = "system",
           .value = "TEXT",
           .help = "system message that begins the conversation",
           .unset = "none"},
          system);
    sampling.for_each_field(visit);
    device.for_each_field(visit);
    engine.for_each_field(visit);
    common.for_each_field(visit);
  }
};

std::unique_ptr<command> make_chat();

// The messages so far, as the JSON that chat templates are given.
class conversation {
public:
  explicit conversation(std::string system) : system_(std::move(system)) { reset(); }
  void reset();
  void add(std::string role, std::string content);
  // Takes the last message away, for one that could not be answered.
  void drop_last();
  std::string messages_json() const;
  bool empty() const { return messages_.empty(); }

private:
  struct message {
    std::string role, content;
  };
  std::string system_;
  std::vector<message> messages_;
};

} // namespace troupe::cli
