# `make check` is everything a change has to pass, and all that continuous integration runs.
# It needs Rust (the version in Cargo.toml), a C and a C++ compiler, and GNU make. With python3 it also runs the tests
# that ask an independent program: a YAML reader, and a receiver of OpenTelemetry spans.

CARGO ?= cargo
PYTHON ?= python3
TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := $(TARGET)/venv
REQUIREMENTS := tests/requirements.txt

# The ops come into their crate through ops/build.rs, where `cargo fmt` does not find them.
OPS := $(wildcard ops/src/*/*.rs)

.PHONY: check fmt lint test doc workflows python fuzz

check: fmt lint test doc workflows

fmt:
	$(CARGO) fmt --all --check
	rustfmt --check --edition 2024 $(OPS)
	cd fuzz && $(CARGO) fmt --check

# What ships first; then tests and examples too, which may unwrap and panic.
lint:
	$(CARGO) clippy --locked --workspace -- -D warnings
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings \
	  -A clippy::unwrap_used -A clippy::expect_used -A clippy::panic

# A test that finds no python says SKIPPED and passes; `make python` alone fails when there is none.
test:
	@$(MAKE) --no-print-directory python || echo "make: no python environment; the tests that need one are skipped" >&2
	@if [ -x $(VENV)/bin/python ] && [ -f $(VENV)/complete ] && [ -z "$$ENGINE_TEST_PYTHON" ]; then \
	  ENGINE_TEST_PYTHON="$(abspath $(VENV))/bin/python"; export ENGINE_TEST_PYTHON; \
	fi; \
	echo $(CARGO) test --locked --workspace; \
	$(CARGO) test --locked --workspace

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

# The workflows that ship are valid and run on the images that ship, with the program the tests were built with.
workflows: ENGINE = $(CARGO) run --locked --quiet -p engine --
workflows:
	$(ENGINE) validate --deny-warnings workflows/*.yaml
	$(ENGINE) test workflows/*.yaml
	rm -rf $(TARGET)/check
	mkdir -p $(TARGET)/check
	$(ENGINE) run workflows/bcss.yaml --progress none --out $(TARGET)/check/bcss
	$(ENGINE) run workflows/astronaut.yaml --progress none --out $(TARGET)/check/astronaut

# Coverage-guided fuzzing, $(FUZZ_SECONDS) seconds for each target. Needs a nightly compiler and cargo-fuzz; not part of
# `check`, whose tests run the same targets on the seeds and on mutations of them. What is found lies in fuzz/artifacts.
FUZZ ?= workflow params terms png jpeg tiff
FUZZ_SECONDS ?= 600
NIGHTLY ?= $(CARGO) +nightly

fuzz:
	@for target in $(FUZZ); do \
	  words=$$target; case $$target in params|terms) words=workflow;; esac; \
	  mkdir -p fuzz/corpus/$$target; \
	  ASAN_OPTIONS=quarantine_size_mb=16 $(NIGHTLY) fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=512 -max_len=16384 -dict=fuzz/dictionaries/$$words.dict \
	    -print_final_stats=1 || exit 1; \
	done

python: $(VENV)/complete

$(VENV)/complete: $(REQUIREMENTS)
	mkdir -p $(TARGET)
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	touch $@
