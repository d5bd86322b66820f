# Each target sets up what it needs: a virtual environment, the locked packages and, for tests and
# benches when run as root on Debian, the SIP peers.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PEERS  := kamailio kamailio-tls-modules sip-tester baresip

.PHONY: demo audit-demo run test check bench docs lock format clean

demo: $(READY)
	@$(BIN)/sipis demo

audit-demo: $(READY)
	@$(BIN)/sipis audit demo

run: $(READY)
	@$(BIN)/sipis serve

test: $(READY) peers
	@$(BIN)/pytest -n auto $(ARGS)

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(READY) peers
	@$(BIN)/python -m bench

docs: $(READY)
	@$(BIN)/python -m tools.machines

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(READY)
	@$(BIN)/pip install -q --disable-pip-version-check "pip-tools>=7.6"
	@$(BIN)/pip-compile -q --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --output-file requirements.txt pyproject.toml requirements.in
	@$(BIN)/pip-compile -q --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --extra world --extra test --extra check \
	  --output-file requirements-dev.txt pyproject.toml requirements.in

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

.PHONY: peers
peers:
	@for peer in kamailio sipp baresip; do command -v $$peer >/dev/null || missing="$$missing $$peer"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing SIP peers:$$missing"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	      --no-install-recommends $(PEERS) >/dev/null; \
	  else echo "SIP peers missing:$$missing (their tests will be skipped)"; fi; fi

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
