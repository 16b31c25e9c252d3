#!/usr/bin/env bash
# Reads a dataset with the real `datasets` library, in a virtual environment that this makes once: check.sh DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${TRAJFORGE_TEST_VENV:-$here/.venv}
stamp=$venv/.requirements

exec 9>"$here/.lock"
flock 9
if ! cmp -s "$here/requirements.txt" "$stamp" 2>/dev/null; then
  for python in python3.13 python3.12 python3.11 python3.10 python3; do
    if "$python" -m venv "$venv" 2>/dev/null; then break; fi
  done
  if [ ! -x "$venv/bin/pip" ]; then
    if [ "$(id -u)" = 0 ]; then apt-get install -q -y python3-venv >&2; python3 -m venv "$venv"
    else echo "error: python3 -m venv does not work; run: sudo apt-get install -y python3-venv" >&2; exit 4
    fi
  fi
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$stamp"
fi
flock -u 9
HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 HF_HOME=$(mktemp -d) exec "$venv/bin/python" "$here/check_dataset.py" "$1"
