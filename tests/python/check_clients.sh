#!/usr/bin/env bash
# Talks to gateways with the official `openai` and `anthropic` packages: check_clients.sh SESSIONS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/venv.sh" clients requirements-clients.txt)
exec "$python" "$here/check_clients.py" "$1"
