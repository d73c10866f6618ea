# What a newcomer needs: `make demo`, `make test`. The rest is for those who change things.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

# Where images come from (real ones, or stand-ins built here) is found out once and kept there.
ENV      := target/demo.env
with_env := set -a; [ ! -e $(ENV) ] || . ./$(ENV); set +a;
STACKCTL := target/release/stackctl --file stack.example.toml

SOAK_BUDGET ?= 2400
SOAK_TESTS  ?= kill:: release:: faults:: healthy:: rotate:: ports:: kinds:: diagnosis:: registry:: remote::
SOAK_PROBES ?= burning:: testssl::
# Another one every time; the one of a failure is in its output.
ifndef SOAK_SEED
SOAK_SEED   := $(shell date +%s)
endif

.PHONY: help ground images images-all tools build demo demo-down test soak bench lint

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

ground: ## install what is missing, start a Docker engine if none answers
	@tests/ground.sh

images: ground ## images for the demo: pulled, or built from Debian packages
	@mkdir -p target
	@tests/images/pull-or-build.sh >$(ENV).new && mv $(ENV).new $(ENV)

images-all: ground ## every stand-in image the tests use
	@mkdir -p target
	@tests/images/pull-or-build.sh --all >$(ENV).new && mv $(ENV).new $(ENV)

tools: ground ## programs the tests need, and those they compare with (into target/tools)
	@tests/ground.sh --tests
	@tests/images/tools.sh

build: ## the program, as released
	@cargo build --release --locked

demo: images build ## bring the example up on this machine and verify it
	@$(with_env) $(STACKCTL) up --yes
	@$(with_env) $(STACKCTL) verify
	@echo
	@echo "The demo is at https://localhost:8443 (trial certificate) and http://localhost:8080."
	@echo "Take it down with: make demo-down"

demo-down: build ## take the demo down, with its data
	@$(with_env) $(STACKCTL) down --volumes --yes
	@name=$$(sed -n 's/^name *= *"\(.*\)"/\1/p' stack.example.toml); \
	left=$$(docker ps --all --filter "name=^/?$$name[-_]" --format 'container {{.Names}}'; \
		docker volume ls --filter "name=^$$name[-_]" --format 'volume {{.Name}}'; \
		docker network ls --filter "name=^$$name[-_]" --format 'network {{.Name}}'); \
	if [ -n "$$left" ]; then echo "left behind:"; echo "$$left"; exit 1; fi >&2

test: ground ## all tests, with a real engine
	@# Images come from the network and tests from the processor. What only tests need must not be what lets the
	@# program compile.
	@tests/ground.sh --tests
	@(cargo check --locked --quiet && cargo test --locked --no-run --quiet) & compiling=$$!; \
		$(MAKE) images-all tools; wait $$compiling
	@# What computes (plans, faults of a fake engine) beside what waits (limits and timeouts of the front door): it is the
	@# longer of the two. Of stacks on the engine, three at once: four took 793 s on two processors, and two 1027 s.
	@$(with_env) \
	(cargo test --locked --no-fail-fast --lib --bins --test cli --test engine --test layers --test plan \
		>target/beside.log 2>&1) & beside=$$!; failed=; \
	cargo test --locked --no-fail-fast --test render || failed=1; \
	cargo test --locked --no-fail-fast --test probe || failed=1; \
	wait $$beside || failed=1; cat target/beside.log; \
	cargo test --locked --no-fail-fast --test real -- --test-threads=3 || failed=1; \
	[ -z "$$failed" ]

soak: images-all tools ## the long tests, for SOAK_BUDGET seconds, from SOAK_SEED
	@echo "soak: SOAK_BUDGET=$(SOAK_BUDGET) SOAK_SEED=$(SOAK_SEED)"
	@$(with_env) SOAK=1 SOAK_BUDGET=$(SOAK_BUDGET) SOAK_SEED=$(SOAK_SEED) \
		cargo test --locked --test cli -- fuzz::
	@SOAK=1 cargo test --locked --test engine -- --nocapture sweep::
	@[ -z "$(SOAK_PROBES)" ] || SOAK=1 cargo test --locked --test probe -- --test-threads=1 --nocapture $(SOAK_PROBES)
	@$(with_env) SOAK=1 SOAK_BUDGET=$(SOAK_BUDGET) SOAK_SEED=$(SOAK_SEED) \
		cargo test --locked --test real -- --test-threads=1 --nocapture $(SOAK_TESTS)

bench: images build ## against docker compose, side by side; benches/compose.py --help
	@tests/images/tools.sh compose-2.26
	@$(with_env) benches/compose.py $(BENCH)
	@$(with_env) benches/sizes.py $(SIZES)
	@cargo bench --locked --quiet --bench plan
	@$(with_env) benches/render.py
	@cargo build --locked --quiet --example load
	@$(with_env) benches/quota.py
	@$(with_env) benches/verify.py

lint: ## format and lints, as CI asks
	@cargo fmt --check
	@cargo clippy --locked --all-targets -- -D warnings
