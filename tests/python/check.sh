#!/usr/bin/env bash
# Reads a dataset with the real `datasets` library: check.sh DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/venv.sh" dataset requirements-dataset.txt)
HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 HF_HOME=$(mktemp -d) exec "$python" "$here/check_dataset.py" "$1"
