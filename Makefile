# The targets are the manual: `make help` lists them. Each sets up what it needs; nothing has to be run first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# Debian's own Python where it is new enough: it is what the daemon runs on there.
PYTHON ?= $(shell /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo /usr/bin/python3 || echo python3)
SOURCES := pwmtad tests bench
LAB_PACKAGES := systemd systemd-container dbus postfix opendkim openssl dnsmasq-base iproute2 util-linux
# What the tests talk to; all from Debian's own repository. See docs/development.md for what each is for.
PACKAGES := prometheus logrotate postgresql postfix systemd systemd-journal-remote $(LAB_PACKAGES)
BENCH_PACKAGES := pflogsumm mtail fail2ban util-linux

.PHONY: help run test lab soak shell-lab check fmt lock bench bench-live bench-weeks coverage clean services

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

run: $(VENV)/ready ## Run the daemon over a recorded log that is played as if it were live (no root, no Postfix).
	@$(BIN)/python -m tests.tools.demo

test: $(VENV)/ready services ## Set up services and run all tests; without root, those in the lab are skipped.
	$(BIN)/python -m pytest -q

# CI: without root this fails, it does not skip.
lab: $(VENV)/ready ## Run the live tests in a container with real systemd, Postfix and OpenDKIM (root; takes minutes).
	@$(MAKE) install-packages NEEDED="$(LAB_PACKAGES)"
	CI=true $(BIN)/python -m pytest -q tests/lab

# 40 messages and some 2.5 s a cycle; fewer with SOAK_CYCLES=100.
SOAK_CYCLES ?= 1000
soak: $(VENV)/ready ## Halt, release, kill and change pwmtad at random in the lab, SOAK_CYCLES=1000 times (root; 45 minutes).
	@$(MAKE) install-packages NEEDED="$(LAB_PACKAGES)"
	CI=true SOAK_CYCLES=$(SOAK_CYCLES) $(BIN)/python -m pytest -q -s tests/lab/test_soak.py

shell-lab: $(VENV)/ready ## Give a prompt in such a container, with pwmtad watching Postfix and receivers to play with (root).
	@$(MAKE) install-packages NEEDED="$(LAB_PACKAGES)"
	@$(BIN)/python -m tests.lab.shell

check: $(VENV)/ready ## Format, lint, types, layers, unused dependencies: all without running the program.
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/pwmtad check-config -c etc/pwmtad.toml

coverage: $(VENV)/ready services ## Run all tests and show branch coverage; core/ and model/ must be complete.
	$(BIN)/coverage run -m pytest -q -m "not lab"
	$(BIN)/coverage report --include='pwmtad/core/*,pwmtad/model/*' --fail-under=100
	$(BIN)/coverage report

bench: $(VENV)/ready ## Measure against pflogsumm and mtail on one generated log of 3 million lines.
	@$(MAKE) install-packages NEEDED="$(BENCH_PACKAGES)"
	$(BIN)/python -m bench.replay_speed

bench-live: $(VENV)/ready ## Measure the daemon itself: latency, at rest, start. About 15 minutes.
	$(BIN)/python -m bench.latency
	$(BIN)/python -m bench.rest
	$(BIN)/python -m bench.start

bench-weeks: $(VENV)/ready ## 60 days at the ceiling and 4 at two million messages a day, in simulated time. About an hour.
	$(BIN)/python -m bench.weeks

fmt: $(VENV)/ready ## Format the code.
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lock: $(VENV)/ready ## Lock all dependencies again, with hashes and without any address.
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q \
	  pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q \
	  pyproject.toml --group dev -c requirements/run.txt -o requirements/dev.txt

clean: ## Remove everything that the targets made.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .run build dist

services:
	@$(MAKE) install-packages NEEDED="$(PACKAGES)"

# Debian packages that are missing are installed as root; anybody else is told what to ask for. None of the services is
# started (policy-rc.d): the tests start their own, in folders of their own.
.PHONY: install-packages
install-packages:
	@missing=(); for name in $(NEEDED); do \
	  dpkg-query -W -f='$${db:Status-Abbrev}' "$$name" 2>/dev/null | grep -q '^ii' || missing+=("$$name"); done; \
	if [ "$${#missing[@]}" -gt 0 ]; then \
	  if [ "$$(id -u)" -ne 0 ]; then echo "As root: apt-get install $${missing[*]}" >&2; exit 1; fi; \
	  if [ ! -e /usr/sbin/policy-rc.d ]; then \
	    trap 'rm -f /usr/sbin/policy-rc.d' EXIT; \
	    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; fi; \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null; \
	fi

# The environment is made anew when the lock or the project file changed.
$(VENV)/ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed" >&2; exit 1; }
	@$(PYTHON) -m venv --help >/dev/null 2>&1 && $(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) install-packages NEEDED=python3-venv
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
