#!/usr/bin/env bash
# Installs what is missing, builds, and becomes the program: deploy/run.sh [troupe arguments]; without any it serves
# the built-in model. Standard output is the program's alone.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$tree/deploy/dependencies.sh" >&2
lock_build_folder
configure release
build release troupe
unlock_build_folder

(($#)) || set -- serve
exec "$tree/build/release/bin/troupe" "$@"
