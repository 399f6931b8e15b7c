// The list of probes is what production code hits.
#include "simulations/runner/probes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace troupe::simulations {
namespace {

TEST(known_probes, are_what_production_code_hits) {
  std::set<std::string> hit;
  const std::regex call("hit\\(\\s*\"([a-z_.]+)\"");
  for (const auto* folder : {"actors", "dataflow", "storage", "transport"})
    for (const auto& file : std::filesystem::recursive_directory_iterator(
             std::string(TROUPE_SOURCE_DIR) + "/" + folder)) {
      if (file.path().extension() != ".cpp" && file.path().extension() != ".hpp") continue;
      if (file.path().stem() == "store_coordinator") continue; // no simulation runs an etcd
      std::ifstream stream(file.path());
      std::stringstream all;
      all << stream.rdbuf();
      const std::string source = all.str();
      for (std::sregex_iterator at(source.begin(), source.end(), call), end; at != end; ++at)
        hit.insert((*at)[1]);
    }
  const auto& known = known_probes();
  EXPECT_TRUE(std::is_sorted(known.begin(), known.end()));
  EXPECT_EQ(std::set<std::string>(known.begin(), known.end()), hit);
}

} // namespace
} // namespace troupe::simulations
