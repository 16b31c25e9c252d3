# Two commands do all the set-up they need: `make quickstart` and `make test`.
.PHONY: quickstart test test-fast test-long lint check-templates setup

# From a fresh clone to a dataset, without a model.
quickstart: setup
	cargo build --release -p trajforge-app
	./target/release/trajforge quickstart --fresh

# Everything that a change has to pass: lints, fast tests, tests in real containers, the template gate.
test: setup lint
	@./scripts/setup.sh --tests
	./scripts/test.sh

# What needs neither Docker nor the network.
test-fast:
	./scripts/test.sh --fast

# The long batteries.
test-long: test
	./scripts/test.sh --long
	./target/debug/trajforge template check --seeds 0..10

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo xtask tidy

check-templates: setup
	cargo build --release -p trajforge-app
	./target/release/trajforge template check --seeds 0..3

setup:
	@./scripts/setup.sh
