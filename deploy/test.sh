#!/usr/bin/env bash
# Installs what is missing, builds and runs every test: deploy/test.sh [--quick] [--only PRESET]... [-- ctest options].
#   release  everything: unit, golden, fuzz for a bounded time, end to end, checks of the tree
#   address  unit and fuzz tests with the address and undefined behaviour sanitizers
#   thread   unit tests with the thread sanitizer
# --quick is --only release. Exit 0 when all passed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}" >&2; }

presets=()
while (($#)); do
  case "$1" in
    --quick) presets+=(release) ;;
    --only)
      case "${2:-}" in
        release | address | thread) presets+=("$2") ;;
        *) die "--only takes release, address or thread" ;;
      esac
      shift
      ;;
    --help | -h) usage && exit 0 ;;
    --) shift && break ;;
    *) usage && die "unknown option '$1'" ;;
  esac
  shift
done
((${#presets[@]})) || presets=(release address thread)

summary=()
failed=0

# run_tests PRESET [CTEST OPTION...]: ctest's own lines go to standard output.
run_tests() {
  local preset="$1" log="$tree/build/$1-tests.log" started=$SECONDS closing
  local launch=()
  shift
  # The thread sanitizer's fixed address ranges do not bear the randomisation of newer kernels.
  [[ "$preset" != thread ]] || ! setarch -R true 2>/dev/null || launch=(setarch -R)
  "${launch[@]}" ctest --test-dir "$tree/build/$preset" --parallel "$(nproc)" --output-on-failure --no-tests=error \
    "$@" </dev/null 2>&1 | tee "$log" || failed=1
  closing="$(grep -E 'tests passed|No tests were found' "$log" | tail -n 1)"
  summary+=("$preset: ${closing:-ctest did not finish} ($((SECONDS - started)) s, ${prepared:-0} s to build)")
}

# prepare PRESET [TARGET] [-DNAME=VALUE...]: configured and built; the seconds it took are left in $prepared.
prepare() {
  local preset="$1" target="$2" started=$SECONDS
  shift 2
  lock_build_folder
  configure "$preset" "$@"
  build "$preset" "$target"
  unlock_build_folder # the tests may run deploy/run.sh
  prepared=$((SECONDS - started))
}

test_release() {
  prepare release all
  run_tests release "$@"
}

test_address() {
  prepare address sanitized_tests
  run_tests address --label-regex '^(unit|fuzz)$' "$@"
}

test_thread() {
  local caf="$tree/build/instrumented_caf" status=0
  "$tree/deploy/instrumented_caf.sh" "$caf" || status=$?
  case "$status" in
    0)
      prepare thread sanitized_tests "-DTROUPE_CAF_ROOT=$caf"
      run_tests thread --label-regex '^unit$' --label-exclude '^not_thread$' "$@"
      ;;
    3)
      say "tests of actors are left out of the thread sanitizer run: they need an instrumented CAF"
      prepare thread sanitized_tests -DTROUPE_CAF_ROOT=
      run_tests thread --label-regex '^unit$' --label-exclude '^(caf|not_thread)$' "$@"
      ;;
    *) exit 1 ;;
  esac
}

"$tree/deploy/dependencies.sh"
for preset in "${presets[@]}"; do
  say "testing $preset"
  "test_$preset" "$@"
done

printf '\n'
printf '%s\n' "${summary[@]}"
((failed == 0)) || die "some tests failed; the logs are build/*-tests.log"
