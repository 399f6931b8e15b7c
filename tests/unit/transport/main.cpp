// Starts the tests with the environment that a node has: the functions that UCX patches without it
// crash under the thread sanitizer when a thread ends.
#include "transport/ucx/ucx_environment.hpp"

#include <gtest/gtest.h>

#include <cstdio>

int main(int count, char** arguments) {
  if (const auto ready = troupe::transport::prepare_ucx_environment(arguments); !ready.ok())
    std::fprintf(stderr, "%s\n", ready.why().c_str());
  testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
