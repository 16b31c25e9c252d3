#!/usr/bin/env bash
# Makes this machine ready: a running Docker engine, and mmdebstrap for when no registry is in reach.
# With --tests it also installs what only tests need, where it may.
# Does nothing where everything is there; says what to run where it may not do it itself.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo "$@"
  else return 1
  fi
}

engine_answers() { [ "$(curl -s --max-time 5 --unix-socket "$socket" http://localhost/_ping 2>/dev/null || true)" = OK ]; }

install() {
  say "installing $*"
  if ! as_root env DEBIAN_FRONTEND=noninteractive sh -c \
      'apt-get update -q >&2 && apt-get install -q -y --no-install-recommends "$@" >&2' sh "$@"; then
    say "error: $* could not be installed from here"
    say "hint: run: sudo apt-get update && sudo apt-get install -y $*"
    exit 4
  fi
}

case "${DOCKER_HOST:-}" in
  "" | unix://*) socket=${DOCKER_HOST:-unix:///var/run/docker.sock}; socket=${socket#unix://} ;;
  *) say "using the Docker engine at $DOCKER_HOST"; exit 0 ;;
esac

missing=()
command -v curl >/dev/null || missing+=(curl)
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
command -v dockerd >/dev/null || [ -S "$socket" ] || missing+=(docker.io)
if [ ${#missing[@]} -gt 0 ]; then
  if command -v apt-get >/dev/null; then install "${missing[@]}"
  else say "error: ${missing[*]} missing, and this is no Debian or Ubuntu"; say "hint: install them with your package manager"; exit 4
  fi
fi

# With these here, the tests run the sandbox on Podman too, and in an image that has no bash; nothing else needs them.
if [ "${1:-}" = --tests ] && command -v apt-get >/dev/null; then
  for package in podman busybox-static; do
    dpkg -s "$package" >/dev/null 2>&1 && continue
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$package" >&2 ||
      say "$package could not be installed; its tests will be skipped"
  done
fi

if ! engine_answers; then
  say "starting the Docker engine"
  if [ -d /run/systemd/system ]; then as_root systemctl start docker || true
  else
    # A pid file that a killed engine left keeps the next one from starting once its number is in use again.
    pid_file=/var/run/docker.pid
    if [ -f "$pid_file" ] && ! grep -aqs dockerd "/proc/$(cat "$pid_file")/cmdline"; then as_root rm -f "$pid_file" || true; fi
    log=${XDG_CACHE_HOME:-$HOME/.cache}/trajforge/dockerd.log
    mkdir -p "$(dirname "$log")"
    as_root sh -c 'setsid nohup dockerd >"$1" 2>&1 </dev/null &' sh "$log" || true
  fi
  for _ in $(seq 60); do engine_answers && break; sleep 0.5; done
fi

if ! engine_answers; then
  say "error: the Docker engine does not answer at $socket"
  if [ -S "$socket" ] && [ ! -w "$socket" ]; then say "hint: sudo usermod -aG docker $USER, then log in again"
  else say "hint: run: sudo systemctl start docker   (or: sudo dockerd &)"
  fi
  exit 4
fi
