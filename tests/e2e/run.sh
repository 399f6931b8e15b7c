#!/bin/sh
# Runs the end to end tests of the HTTP server with real clients:
#   tests/e2e/run.sh PROGRAM [environment folder] [pytest arguments]
# PROGRAM is the built troupe. Exit 77 means skipped: no Python environment could be made here.
# TROUPE_MODEL picks another model folder; TROUPE_URL tests a server that already runs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
program=$(realpath "$1")
shift
environment=$here/../../.venv-e2e
if [ $# -gt 0 ]; then
  environment=$1
  shift
fi
[ -x "$program" ] || { echo "run.sh: $program is not a program" >&2; exit 2; }
if [ ! -x "$environment/bin/python" ]; then
  python3 -m venv "$environment" || { echo "run.sh: skipped, python3 -m venv failed" >&2; exit 77; }
fi
if ! cmp -s "$here/requirements.txt" "$environment/installed_requirements.txt"; then
  "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" ||
    { echo "run.sh: skipped, the test clients could not be installed" >&2; exit 77; }
  cp "$here/requirements.txt" "$environment/installed_requirements.txt"
fi
TROUPE_PROGRAM=$program exec "$environment/bin/python" -B -m pytest -p no:cacheprovider --rootdir "$here" "$here" "$@"
