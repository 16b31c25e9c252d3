#!/usr/bin/env bash
# All tests: Rust (with nextest where it is installed), then the template gate in containers.
# --fast leaves out whatever needs Docker or the network; --long runs what is left out otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v cargo-nextest >/dev/null; then run=(cargo nextest run --no-fail-fast); else run=(cargo test --no-fail-fast); fi

if [ "${1:-}" = --fast ]; then
  exec "${run[@]}" --workspace --lib --bins
fi

if [ "${1:-}" = --long ]; then
  exec cargo test --package trajforge-sandbox --test hostile -- --ignored --test-threads 1
fi

cargo build -p trajforge-app
echo "== images"
./target/debug/trajforge doctor --images --repair
# What the tests of real scaffolds install: minutes, the first time.
./target/debug/trajforge image build $(cd scaffolds && for layer in */layer; do printf 'scaffold-%s ' "${layer%/layer}"; done)
echo "== tests"
"${run[@]}" --workspace
echo "== documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
echo "== the template gate"
./target/debug/trajforge template check --seeds 0..2
