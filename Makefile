# Each target sets up what it needs: a virtual environment, the locked packages and, for tests and
# benches when run as root on Debian, the SIP peers. JsSIP comes through npm, as locked.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
WEBRTC := tests/interop/webrtc
JSSIP  := $(WEBRTC)/node_modules/.ready

.PHONY: demo audit-demo run test check coverage fuzz bench docs lock format clean

demo: $(READY)
	@$(BIN)/sipis demo

audit-demo: $(READY)
	@$(BIN)/sipis audit demo

run: $(READY)
	@$(BIN)/sipis serve

test: $(READY) peers $(JSSIP)
	@$(BIN)/pytest -n auto $(ARGS)

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Every branch of the SIP core is reached by tests that state its behaviour.
coverage: $(READY)
	@$(BIN)/coverage run --branch --source=sipis/sip -m pytest -q tests/unit/sip
	@$(BIN)/coverage report --show-missing --skip-covered --fail-under=100

FUZZ_SECONDS ?= 60
fuzz: $(READY)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-fuzz.txt
	@$(BIN)/python -m tests.fuzz $(FUZZ_SECONDS)

bench: $(READY) peers
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-bench.txt \
	  || echo "aiosipua and sipmessage cannot be installed: their figures will be missing"
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
	@printf 'atheris\n' | $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --output-file requirements-fuzz.txt -
	@printf 'aiosipua\nsipmessage\n' | $(BIN)/pip-compile -q --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --output-file requirements-bench.txt -

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

# Debian packages, each with the command that it brings; modules of Kamailio have packages of their own.
PEERS   := kamailio:kamailio sip-tester:sipp baresip:baresip chromium:chromium sipvicious:svmap npm:npm dnsmasq-base:dnsmasq iproute2:ip nftables:nft
MODULES := tls websocket

.PHONY: peers
peers:
	@for peer in $(PEERS); do command -v $${peer#*:} >/dev/null || missing="$$missing $${peer%:*}"; done; \
	for module in $(MODULES); do ls /usr/lib/*/kamailio/modules/$$module.so >/dev/null 2>&1 \
	  || missing="$$missing kamailio-$$module-modules"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing SIP peers:$$missing"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	      --no-install-recommends $$missing >/dev/null; \
	  else echo "SIP peers missing:$$missing (their tests will be skipped)"; fi; fi

$(JSSIP): $(WEBRTC)/package-lock.json | peers
	@if command -v npm >/dev/null \
	  && (cd $(WEBRTC) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null); \
	then touch $@; else echo "JsSIP cannot be installed (its tests will be skipped)"; fi

clean:
	rm -rf $(VENV) $(WEBRTC)/node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
