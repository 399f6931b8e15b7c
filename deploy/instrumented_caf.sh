#!/usr/bin/env bash
# Builds libcaf_core with the thread sanitizer into a folder, once: deploy/instrumented_caf.sh FOLDER. The distribution's
# own library is not instrumented and makes the sanitizer report hundreds of races that do not exist.
# Exit 0: FOLDER/include and FOLDER/lib are there. Exit 3: the source cannot be had here. Any other: it did not build.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
script="deploy/instrumented_caf.sh"

(($# == 1)) || die "usage: $script FOLDER"
mkdir -p "$1" || die "cannot write to $1"
folder="$(cd "$1" && pwd)"
work="$folder/work"
log="$folder/build.log"

# The sources of the very version that is installed, so that headers and library agree with the other builds.
version="$(dpkg-query -W -f '${source:Version}' libcaf-dev 2>/dev/null)" || die "libcaf-dev is not installed"
package="$(dpkg-query -W -f '${source:Package}' libcaf-dev)"
wanted="$version $("${CXX:-c++}" -dumpfullversion) -fsanitize=thread -O1"
[[ "$(cat "$folder/built" 2>/dev/null)" != "$wanted" ]] || exit 0

# The system's package sources with deb in place of deb-src, in lists of our own: nothing of the system is changed.
fetch_source() {
  local options file
  mkdir -p "$work/apt/parts" "$work/apt/lists/partial" "$work/apt/archives/partial"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ ! -r "$file" ]] || sed -n 's/^deb /deb-src /p' "$file" >"$work/apt/parts/$(basename "$file" .list).list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ ! -r "$file" ]] || sed 's/^Types:.*/Types: deb-src/' "$file" >"$work/apt/parts/$(basename "$file")"
  done
  options=(-q -o APT::Sandbox::User=root -o Acquire::Retries=3 -o Dir::Etc::sourcelist=/dev/null
    -o "Dir::Etc::sourceparts=$work/apt/parts" -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt")
  apt-get "${options[@]}" update || true # a foreign repository that fails does not matter, the next line decides
  (cd "$work" && apt-get "${options[@]}" source --download-only --tar-only "$package=$version") &&
    tar -C "$work" -xf "$work/${package}_${version%-*}.orig.tar"*
}

build_library() {
  local launcher=()
  ! command -v ccache >/dev/null ||
    launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER="cmake;-E;env;CCACHE_BASEDIR=$work;CCACHE_NOHASHDIR=1;ccache")
  # Compilers since g++ 11 no longer bring <limits> along; warnings of other people's code are not ours to read.
  cmake -G Ninja -S "$work/$package-${version%-*}" -B "$work/build" -DCMAKE_BUILD_TYPE=None "${launcher[@]}" \
    -DCMAKE_CXX_FLAGS="-fsanitize=thread -O1 -w -include limits" -DCMAKE_INSTALL_PREFIX="$folder" \
    -DCAF_BUILD_STATIC_ONLY=ON -DCAF_NO_IO=ON -DCAF_NO_OPENSSL=ON -DCAF_NO_OPENCL=ON -DCAF_NO_PYTHON=ON \
    -DCAF_NO_TOOLS=ON -DCAF_NO_EXAMPLES=ON -DCAF_NO_UNIT_TESTS=ON -DCMAKE_POLICY_VERSION_MINIMUM=3.5 &&
    ninja -C "$work/build" -j "${TROUPE_JOBS:-$(job_count)}" install
}

rm -rf "$work" "$folder/built"
mkdir -p "$work"
if ! fetch_source >"$log" 2>&1 </dev/null; then
  say "the source of $package $version cannot be had here (log: $log)"
  exit 3
fi
say "building CAF $version with the thread sanitizer, once (about four minutes of one core)"
build_library >"$log" 2>&1 </dev/null || explain_failure "building CAF" "$log"
rm -rf "$work"
printf '%s\n' "$wanted" >"$folder/built"
