# Writes the scenario files of a folder into a C++ source: cmake -D FOLDER=... -D OUT=... -P this.
file(GLOB files LIST_DIRECTORIES false "${FOLDER}/*.toml")
list(SORT files)
set(entries "")
foreach(path IN LISTS files)
  get_filename_component(name "${path}" NAME_WE)
  file(READ "${path}" content)
  string(APPEND entries "      {\"${name}\", R\"scenario(${content})scenario\"},\n")
endforeach()
file(WRITE "${OUT}"
"// Made by simulations/embed_scenarios.cmake from simulations/scenarios.
#include \"simulations/faults/scenario.hpp\"

namespace troupe::simulations {

const std::vector<built_in_scenario>& built_in_scenarios() {
  static const std::vector<built_in_scenario> all = {
${entries}  };
  return all;
}

} // namespace troupe::simulations
")
