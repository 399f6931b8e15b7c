// Several versions of the weights in one server: an engine of its own for each, on the same
// processors. What is asked goes to the version in force, or to the canary, and stays with it to
// its end, so that no answer and no KV page ever mixes two.
#pragma once

#include "actors/engine.hpp"
#include "base/clock.hpp"
#include "dataflow/version_plan.hpp"
#include "server/http_server.hpp"
#include "storage/io_worker.hpp"
#include "storage/weights_registry.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace troupe::cli {

// What all versions have in common.
struct shared_model {
  std::shared_ptr<const model::tokenizer> tokenizer;
  std::shared_ptr<const model::chat_template> chat_template; // or null
  std::shared_ptr<const model::description> description;
  std::shared_ptr<const model::generation_defaults> defaults;
};

struct weight_versions_parts {
  storage::weights_registry* registry = nullptr;
  storage::io_worker* worker = nullptr; // loads; its last job is done before anything here goes
  // Verified files to an engine; on the worker's thread.
  std::function<result<std::shared_ptr<actors::engine>>(const std::string& directory)> load;
  std::function<void(const std::string&)> say; // one line for people
  const clock* time = nullptr;
  shared_model model;
  dataflow::version_limits limits;
};

class weight_versions final : public actors::engine {
public:
  // `first` serves already.
  weight_versions(weight_versions_parts parts, const storage::weights_manifest& first,
                  std::shared_ptr<actors::engine> engine);

  // Looks what has been promoted, loads, switches, and lets go of what nobody needs. To be called
  // several times a second, by one thread; never waits for a model.
  void tend();

  // The engine that a request is to be asked of. Any thread.
  std::shared_ptr<actors::engine> choose(const server::engine_wish& wish) const;
  std::vector<server::weights_in_memory> in_memory() const;

  // -- of all versions together. Requests are asked of the engine that choose() gives: submit()
  // says so and takes none.
  result<actors::request_handle> submit(dataflow::generation_request request, event_sink sink,
                                        received_so_far received) override;
  void cancel(actors::request_handle) override {}
  actors::engine_metrics metrics() override;
  void begin_drain() override;
  bool draining() const override;
  bool healthy() override;
  bool serving() override;
  uint64_t streams_open() override;
  const model::tokenizer& tokenizer() const override { return *parts_.model.tokenizer; }
  const model::chat_template* chat_template() const override {
    return parts_.model.chat_template.get();
  }
  const model::description& description() const override { return *parts_.model.description; }
  const model::generation_defaults& generation_defaults() const override {
    return *parts_.model.defaults;
  }
  uint32_t positions_max() const override { return positions_max_; }
  std::string fingerprint() const override;

private:
  struct version {
    std::shared_ptr<actors::engine> engine; // shared with the answers it gives
    uint64_t answered_before = 0;           // when it became the canary
    uint64_t failed_before = 0;
  };
  struct outcome {
    uint64_t version = 0;
    result<std::shared_ptr<actors::engine>> engine;
  };

  std::shared_ptr<actors::engine> in_force() const;
  void read_registry();
  void take_outcome();
  void count();
  // False when there is nothing left to do.
  bool follow(const dataflow::version_plan::step& step);
  void begin_loading(uint64_t number);
  result<std::shared_ptr<actors::engine>> load(uint64_t number) const; // on the worker's thread
  void begin_canary(uint64_t number);
  void let_go(uint64_t number);
  void end_idle();
  void roll_back(uint64_t number, const std::string& why);
  void say_once(const std::string& trouble);

  const weight_versions_parts parts_;
  const storage::weights_manifest first_manifest_;
  const uint32_t positions_max_;

  mutable std::mutex mutex_; // of the next six
  std::map<uint64_t, version> versions_;
  dataflow::version_plan plan_;
  actors::engine_metrics gone_;                          // of versions that were let go
  std::vector<std::shared_ptr<actors::engine>> leaving_; // nobody is given them any more
  std::unique_ptr<outcome> loaded_;
  bool draining_ = false;
  // The tending thread's own.
  std::string said_; // trouble that was told
  time_point next_read_{};
};

} // namespace troupe::cli
