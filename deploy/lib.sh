# What the scripts of this folder share: messages, finding the tree, configuring and building a preset quietly.
# Sourced, never run. Everything here talks on standard error; standard output belongs to the caller's program.
# shellcheck shell=bash

tree="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
script="deploy/$(basename "$0")"

say() { printf '%s: %s\n' "$script" "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# Compiler processes that fit: one a core but at least two, each with 700 MB of free memory, and never none.
job_count() {
  local jobs memory_kb
  jobs="$(nproc)"
  ((jobs >= 2)) || jobs=2
  memory_kb="$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)"
  ((jobs * 700000 <= memory_kb)) || jobs=$((memory_kb / 700000))
  ((jobs >= 1)) || jobs=1
  echo "$jobs"
}

# show_progress LABEL: reads ninja's lines; on a terminal one line that is overwritten, else a line now and then.
show_progress() {
  local label="$1" line last_shown=$SECONDS done_of
  while IFS= read -r line; do
    [[ "$line" =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
    done_of="${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"
    if [[ -t 2 ]]; then
      printf '\r%s: %s: %s ' "$script" "$label" "$done_of" >&2
    elif ((SECONDS - last_shown >= 15)); then
      say "$label: $done_of"
      last_shown=$SECONDS
    fi
  done
  [[ ! -t 2 || -z "${done_of:-}" ]] || printf '\r\033[K' >&2
}

# explain_failure WHAT LOG: one clear line, after the part of the log that shows the cause.
explain_failure() {
  local what="$1" log="$2" first
  first="$(grep -n -m1 -E '^FAILED:|CMake Error' "$log" | cut -d: -f1 || true)"
  if [[ -n "$first" ]]; then
    tail -n "+$first" "$log" | head -n 25 >&2
  else
    tail -n 15 "$log" >&2
  fi
  if grep -q 'No space left on device' "$log"; then
    die "$what failed: the disk that holds $tree/build is full"
  elif grep -qE 'Killed signal terminated program|out of memory' "$log"; then
    die "$what failed: out of memory; try again with TROUPE_JOBS=1"
  fi
  die "$what failed; the whole log is in $log"
}

# configured PRESET [-DNAME=VALUE...]: whether the folder holds that configuration of this very tree.
configured() {
  local folder="$tree/build/$1" define
  shift
  [[ -f "$folder/build.ninja" && ! "$folder/CMakeCache.txt" -ot "$tree/CMakePresets.json" ]] || return 1
  for define in "CMAKE_HOME_DIRECTORY=$tree" "${@#-D}"; do
    sed -n "s/^${define%%=*}:[A-Z]*=//p" "$folder/CMakeCache.txt" | grep -qxF "${define#*=}" || return 1
  done
}

# configure PRESET [-DNAME=VALUE...]: does nothing when it is configured so; ninja itself re-runs cmake when a CMake
# file changes.
configure() {
  local preset="$1" log="$tree/build/$1-configure.log"
  configured "$@" && return
  shift
  say "configuring $preset"
  # A cache of another tree (one that was copied or moved) would be refused.
  sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$tree/build/$preset/CMakeCache.txt" 2>/dev/null |
    grep -qxF "$tree" || rm -rf "$tree/build/$preset"
  (cd "$tree" && cmake --preset "$preset" "$@") >"$log" 2>&1 </dev/null || explain_failure "configuring $preset" "$log"
}

# build PRESET [TARGET...]: brings the targets up to date; silent when they are.
build() {
  local preset="$1" log="$tree/build/$1-build.log"
  shift
  if ! ninja -C "$tree/build/$preset" -j "${TROUPE_JOBS:-$(job_count)}" "$@" 2>&1 </dev/null |
    tee "$log" | show_progress "building $preset"; then
    explain_failure "building $preset" "$log"
  fi
}

# One script at a time works in build/: the second one waits. Released when the script ends or execs.
lock_build_folder() {
  mkdir -p "$tree/build" 2>/dev/null || die "cannot write to $tree/build"
  exec {build_lock}>"$tree/build/.lock" || die "cannot write to $tree/build"
  flock --nonblock "$build_lock" && return
  say "waiting for another build in $tree/build"
  flock "$build_lock"
}
unlock_build_folder() { exec {build_lock}>&-; }
