# segue: `make setup`, `make demo`, `make test`. The last two set up what they need by themselves.
# TORCH=cuda or TORCH=rocm takes a build of torch for a GPU instead of the one for the CPU.

TORCH ?= cpu
export TORCH

NEEDED := pyproject.toml requirements/overrides.txt requirements/setup.sh requirements/build_backend.py $(filter-out %_glue.c,$(wildcard engine/*.[ch] devices/audio/*.[ch]))
BIN := .venv/bin

.PHONY: setup demo test bench-setup

setup: .venv/.ready-base-$(TORCH)
bench-setup: .venv/.ready-bench-$(TORCH)

# The stamp makes a second time quick; it is older than what it depends on as soon as that changes.
.venv/.ready-%-$(TORCH): $(NEEDED)
	requirements/setup.sh $*
	@touch $@

demo: .venv/.ready-base-$(TORCH)
	$(BIN)/segue demo

test: .venv/.ready-test-$(TORCH)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest
