// The built-in model and a one-threaded executor, loaded once per test binary.
#pragma once

#include "actors/model_bundle.hpp"
#include "compute/cpu_executor.hpp"
#include "model/tokenizer.hpp"
#include "storage/posix_file_system.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace troupe::tests {

inline compute::executor& shared_executor() {
  static const auto executor = compute::make_cpu_executor({.threads = 1}).value();
  return *executor;
}

inline std::shared_ptr<const actors::model_bundle> built_in_model() {
  static const auto bundle = [] {
    storage::posix_file_system files;
    actors::model_bundle_options options;
    options.directory = TROUPE_SOURCE_DIR "/models/tales";
    auto loaded = actors::load_model_bundle(files, shared_executor(), options);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().why();
    return loaded.value();
  }();
  return bundle;
}

} // namespace troupe::tests
