#!/usr/bin/env bash
# Prints the Python of a virtual environment with what a file of requirements names; makes it once: venv.sh NAME REQUIREMENTS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${TRAJFORGE_TEST_VENVS:-$here}/.venv-$1
requirements=$here/$2
stamp=$venv/.requirements

mkdir -p "$(dirname "$venv")"
exec 9>"$venv.lock"
flock 9
if ! cmp -s "$requirements" "$stamp" 2>/dev/null; then
  for python in python3.13 python3.12 python3.11 python3.10 python3; do
    if "$python" -m venv "$venv" 2>/dev/null; then break; fi
  done
  if [ ! -x "$venv/bin/pip" ]; then
    if [ "$(id -u)" = 0 ]; then apt-get install -q -y python3-venv >&2; python3 -m venv "$venv"
    else echo "error: python3 -m venv does not work; run: sudo apt-get install -y python3-venv" >&2; exit 4
    fi
  fi
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
  cp "$requirements" "$stamp"
fi
echo "$venv/bin/python"
