# The two kinds of target of this project: a folder's library and a folder's unit tests.

# What the sanitizer runs build: unit tests and fuzz targets, not the benches and the program.
add_custom_target(sanitized_tests)

# troupe_library(NAME SOURCES ... [LINKS ...] [PRIVATE_LINKS ...])
# A static library troupe_NAME for the folder NAME. LINKS are the lower folders and foreign libraries
# that its headers show; PRIVATE_LINKS stay inside its sources.
function(troupe_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(troupe_${name} STATIC ${arg_SOURCES})
  target_include_directories(troupe_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(troupe_${name} PUBLIC ${arg_LINKS} PRIVATE ${arg_PRIVATE_LINKS})
endfunction()

# troupe_unit_tests(NAME SOURCES ... LINKS ...)
# One GoogleTest binary test_NAME and one ctest entry unit.NAME with the label unit, and caf when it links a folder
# whose threads are CAF's.
function(troupe_unit_tests name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(test_${name} ${arg_SOURCES})
  target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(test_${name} PRIVATE TROUPE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(test_${name} PRIVATE ${arg_LINKS} GTest::gtest_main)
  add_test(NAME unit.${name} COMMAND test_${name} --gtest_brief=1)
  set(labels unit)
  foreach(folder actors server simulations cli)
    if(troupe_${folder} IN_LIST arg_LINKS)
      list(APPEND labels caf)
      break()
    endif()
  endforeach()
  set_tests_properties(unit.${name} PROPERTIES LABELS "${labels}" TIMEOUT 900)
  add_dependencies(sanitized_tests test_${name})
endfunction()
