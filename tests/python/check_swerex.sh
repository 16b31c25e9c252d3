#!/usr/bin/env bash
# Works in a sandbox through SWE-ReX's own client: check_swerex.sh PORT KEY
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/venv.sh" swerex requirements-swerex.txt)
exec "$python" "$here/check_swerex.py" "$1" "$2"
