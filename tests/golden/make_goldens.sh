#!/bin/sh
# Remakes every golden checkpoint: makes or reuses a virtual environment, installs the pins, runs the scripts.
#   tests/golden/make_goldens.sh [environment folder] [arguments of make_models.py]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
environment=${1:-$here/../../.venv-golden}
[ $# -gt 0 ] && shift
if [ ! -x "$environment/bin/python" ]; then
  python3 -m venv "$environment"
fi
if ! cmp -s "$here/requirements.txt" "$environment/installed_requirements.txt"; then
  "$environment/bin/pip" install --quiet --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$environment/installed_requirements.txt"
fi
OMP_NUM_THREADS=1 "$environment/bin/python" "$here/make_models.py" "$@"
if [ -f "$here/make_tokenizers.py" ] && [ $# -eq 0 ]; then
  OMP_NUM_THREADS=1 "$environment/bin/python" "$here/make_tokenizers.py"
fi
