# Two commands for a fresh machine, each with its own set-up: `make answer` and `make check`.
PYTHON ?= python3
VENV ?= .venv
REQUEST ?= data/requests/003.txt
BIN := $(VENV)/bin
export HF_HUB_OFFLINE := 1
# npm trusts its own list of authorities alone; behind a company's proxy the system knows one more.
export NODE_EXTRA_CA_CERTS ?= $(wildcard /etc/ssl/certs/ca-certificates.crt)

.PHONY: answer check format lint types test benchmarks evals browser node clean

answer: $(VENV)/.installed
	@$(BIN)/cnaps-rag answer $(REQUEST)

check: lint types test benchmarks evals
	@echo "all checks passed"

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

test: $(VENV)/.installed-dev browser node
	$(BIN)/python -m pytest

benchmarks: $(VENV)/.installed-dev
	$(BIN)/python evals/benchmarks/overhead.py --quick
	$(BIN)/python evals/benchmarks/answers.py --quick --drafter extractive
	$(BIN)/python evals/benchmarks/verifier.py --quick
	$(BIN)/python evals/benchmarks/mutations.py --quick
	$(BIN)/python evals/benchmarks/streaming.py --quick --tokens-per-s 120
	$(BIN)/python evals/benchmarks/load.py --quick

# Suites against gold, without a network: by the extractive drafter, and by a real LLM's replies as they were recorded.
evals: $(VENV)/.installed-dev
	@rm -rf build/runs
	$(BIN)/cnaps-rag eval evals/seeds.yaml --drafter extractive --out build/runs/seeds
	$(BIN)/cnaps-rag eval evals/seeds.yaml --replay evals/sessions/seeds-qwen2.5-coder-1.5b.jsonl \
	  --out build/runs/seeds-llm --baseline build/runs/seeds
	$(BIN)/cnaps-rag eval evals/requests.yaml --drafter extractive --out build/runs/requests
	$(BIN)/python evals/benchmarks/points.py --quick
	$(BIN)/python tests/outcomes.py

# The browser tests drive Debian's Chromium; where it can neither be found nor installed, they skip and say so.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq && apt-get install -y -qq chromium chromium-driver >/dev/null; } || \
	  echo "no Chromium here: the browser tests will skip"

# OpenAI's own client and Playwright for the tests of the server; where there is no npm, those tests skip and say so.
node: tests/node/node_modules/.package-lock.json

tests/node/node_modules/.package-lock.json: tests/node/package-lock.json
	@command -v npm >/dev/null && npm ci --prefix tests/node --no-audit --no-fund --silent && touch $@ || \
	  echo "npm is not here, or could not install: the tests that need its packages will skip"

$(VENV)/bin/pip:
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/pip
	@echo "setting up $(VENV) (a minute or two the first time) ..." >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/pip
	@echo "setting up $(VENV) with the development tools ..." >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build *.egg-info tests/node/node_modules
