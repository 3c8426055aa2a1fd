# make demo      set everything up and run the demo on the embedded Proxmox VE
# make test      the test suite
# make check     what CI runs: format, lint, types, tests
# make coverage  the test suite with coverage, which must not drop
# make reference generate docs/reference from the code
# make site      the documentation site in .site; broken links are errors
# make pages     axe-core on every HTML page, in a headless Chromium
# make bench     requests, seconds and memory for small and large clusters
# make faults    the fault injection suite at length
# make fuzz      fuzz every input (files, plans, journals, answers): SECONDS each, default 600

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
READY  := $(VENV)/.ready
BIN    := $(VENV)/bin

SECONDS ?= 600

.PHONY: demo test check coverage reference site pages bench faults fuzz clean

demo: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

test: $(READY)
	$(BIN)/pytest -n auto --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check reconciler tests packaging
	$(BIN)/ruff check reconciler tests packaging
	$(BIN)/mypy
	$(BIN)/mypy packaging/reference
	$(BIN)/pytest -n auto --dist worksteal

coverage: $(READY)
	$(BIN)/pytest -n auto --dist worksteal --cov --cov-report=term

site: $(READY)
	packaging/site/build .site

# The package holds axe-core; Playwright, which it is for, is not needed.
.axe/axe_playwright_python/axe.min.js: packaging/constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .axe 'axe-playwright-python==0.1.8'
	@touch $@

pages: site .axe/axe_playwright_python/axe.min.js
	$(BIN)/python -m tests.pages .axe/axe_playwright_python/axe.min.js .site

reference: $(READY)
	$(BIN)/python packaging/reference

bench: $(READY)
	$(BIN)/python -m tests.bench

faults: $(READY)
	$(BIN)/pytest -n auto --dist worksteal tests/execution tests/planning --faults-at-length

fuzz: $(READY)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check --constraint packaging/constraints.txt --editable '.[dev,fuzz]'
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

$(READY): pyproject.toml packaging/constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint packaging/constraints.txt --editable '.[dev]'
	@touch $(READY)

clean:
	rm -rf $(VENV) .axe .demo .site .fuzz build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
