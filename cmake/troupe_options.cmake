# Compiler settings, build types and options that hold for every target.
option(TROUPE_BUILD_TESTS "Build the tests, fuzz targets and benches" ON)
option(TROUPE_CUDA "Build the CUDA parts when nvcc is found" ON)
set(TROUPE_SANITIZE "" CACHE STRING "Empty, 'address' (with undefined) or 'thread'")
set(TROUPE_CAF_ROOT "" CACHE PATH "Folder of a CAF built with the thread sanitizer (deploy/instrumented_caf.sh)")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
# Checks are ours (TROUPE_CHECK) and stay on in every build; NDEBUG only silences third parties.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")

# The numerics contract: the compiler never fuses or reorders floating point on its own.
add_compile_options(-Wall -Wextra -Werror -ffp-contract=off)
# g++ 12 sees overlapping copies in std::string where there are none (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  add_compile_options(-Wno-restrict)
endif()
# A shared baseline every x86-64 server of the last fifteen years has; kernels choose more at run time.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  add_compile_options(-march=x86-64-v2)
endif()

find_program(TROUPE_CCACHE ccache)
if(TROUPE_CCACHE)
  # Paths relative to the tree, so that a second clone elsewhere finds what the first one compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${TROUPE_CCACHE})
endif()

if(TROUPE_SANITIZE STREQUAL "address")
  # CAF 0.17.6 binds a null reference for argument-less behaviours in init_fun_factory.hpp; harmless.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=null,vptr
                      -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=address,undefined)
elseif(TROUPE_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=thread)
elseif(TROUPE_SANITIZE)
  message(FATAL_ERROR "TROUPE_SANITIZE is '${TROUPE_SANITIZE}': use 'address', 'thread' or nothing")
endif()
