# `make demo` and `make test` do all the set-up themselves: a fresh clone needs python3 (3.11 or newer) and make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench bench-register bundle clean system

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

# Without a display the same window runs under Xvfb: Qt's offscreen platform leaves OpenGL canvases blank.
HEADLESS := $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname -s)),,yes)
ON_DISPLAY := $(if $(HEADLESS),xvfb-run -a -s "-screen 0 1600x1000x24")

# What Qt's xcb platform and OpenGL load (Qt blames libxcb-cursor0 whichever is missing).
SYSTEM := libglib2.0-0 libgl1 libegl1 libxkbcommon0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0 \
	libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 \
	$(if $(HEADLESS),xvfb xauth) $(if $(filter bundle,$(MAKECMDGOALS)),binutils)

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 24

demo: .venv/.run | system ## open the window on the sample series and fit it (no display: write demo-output/)
ifeq ($(HEADLESS),)
	$(BIN)/noder-viewer --demo
else
	@echo "No display here: the window runs on a virtual one and leaves its results in demo-output/."
	$(ON_DISPLAY) $(BIN)/noder-viewer --demo --demo-output demo-output
	@echo "demo-output/ holds:" && ls demo-output
endif

test: .venv/.test | system ## run all tests
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: .venv/.dev ## ruff, its formatting, and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# PUBLISHED: a clone of the published code; DATA: the brains of the quality tables; CACHE: where their rows are kept.
bench: .venv/.run | system ## run the scripts in bench/, which print tables [PUBLISHED=DIR DATA=DIR CACHE=DIR]
	@for script in bench/[!_]*.py; do \
		[ -e "$$script" ] || { echo "There are no scripts in bench/."; break; }; \
		case "$$script" in \
			*/bench_noder.py) set -- $(PUBLISHED:%=--published %) ;; \
			*/bench_quality.py) set -- $(DATA:%=--data %) $(CACHE:%=--cache %) ;; \
			*/bench_register.py | */bench_soak.py) continue ;; \
			*) set -- ;; esac; \
		echo "== $$script"; $(ON_DISPLAY) $(BIN)/python "$$script" "$$@"; done

# DATA: the folder of the lung, brain and cine pairs; TOOLS: further options of the script.
bench-register: .venv/.bench | system ## register real pairs beside greedy, ANTs, elastix and demons (DATA=DIR)
	@[ -n "$(DATA)" ] || { echo "Say where the pairs are: make bench-register DATA=DIR" >&2; exit 1; }
	$(BIN)/python bench/bench_register.py --data "$(DATA)" --write $(TOOLS)

bundle: .venv/.bundle | system ## freeze the program into dist/noder-viewer/ and run its demo
	$(BIN)/pyinstaller --noconfirm --log-level WARN pyinstaller.spec
ifneq ($(HEADLESS),)
	$(ON_DISPLAY) dist/noder-viewer/noder-viewer --demo --demo-output build/bundle-demo
endif
	@echo "The program is dist/noder-viewer/noder-viewer ($$(du -sh dist/noder-viewer | cut -f1))."

clean: ## remove what was made, the installed .venv excepted
	rm -rf build dist demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find app bench core resources tests -name __pycache__ -prune -exec rm -rf {} +

# One stamp for each set of packages: newer than both files means installed. ".run" is the plain program.
.venv/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet -c constraints.txt -e .
	@touch $@

.venv/.test .venv/.dev .venv/.bundle .venv/.bench: .venv/.%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet -c constraints.txt -e '.[$*]'
	@touch $@ .venv/.run

$(BIN)/python: | system
	@echo "Making .venv; the packages take a few minutes and about 3 GB."
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

# On Debian as root, install what is missing; elsewhere say what to install. PyInstaller also wants objdump and, with
# Debian's own Python, its shared library.
system:
	@[ -n "$(PYTHON)" ] || { echo "noder-viewer needs Python 3.11 or newer: install it, or make PYTHON=name-of-it ..." >&2; exit 1; }
	@command -v dpkg-query >/dev/null || { \
		[ -z "$(HEADLESS)" ] || command -v xvfb-run >/dev/null || { \
			echo "There is no display and no xvfb-run. Install Xvfb; on Debian and Ubuntu one line does it all:" >&2; \
			echo "  sudo apt-get install -y $(SYSTEM)" >&2; exit 1; }; exit 0; }; \
	installed() { { dpkg-query -W -f '$${Status}\n' "$$1" "$$1t64" 2>/dev/null || true; } | grep 'ok installed' >/dev/null; }; \
	read -r prefix version < <($(PYTHON) -c 'import sys; print(sys.base_prefix, "%d.%d" % sys.version_info[:2])'); \
	wanted="$(SYSTEM)"; missing=(); \
	[ "$$prefix $(filter bundle,$(MAKECMDGOALS))" != "/usr bundle" ] || wanted+=" libpython$$version"; \
	for name in $$wanted; do installed $$name || missing+=("$$name"); done; \
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || missing+=("python$$version-venv"); \
	[ $${#missing[@]} -gt 0 ] || exit 0; \
	line="apt-get install -y --no-install-recommends $${missing[*]}"; \
	[ "$$(id -u)" = 0 ] || { echo "System libraries are missing. Run this and try again:" >&2; echo "  sudo $$line" >&2; exit 1; }; \
	echo "Installing the missing system libraries: $${missing[*]}"; \
	export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; $$line -qq >/dev/null
