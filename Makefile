# SPDX-License-Identifier: MIT
# The front of the build: meson and ninja do the work, the scripts in tools/ hold the details.
# Builds live in build/release, build/debug, build/asan and build/tsan.

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
PREFIX ?= /usr/local
DESTDIR ?=
export PREFIX

.DEFAULT_GOAL := all
.PHONY: all build deps demo check check-clients bench bench-run sanitize docs format format-check lint install clean help

all: build ## build everything, optimised, in build/release

build: ## the same as all
	@tools/build.sh release

deps: ## install the Debian packages that are missing (nothing to do, nothing is done)
	@tools/deps.sh

demo: deps build ## build, then run the tour on real files
	@tools/demo.sh

check: deps ## build with all assertions and run every test; the last line counts them
	@tools/test.sh debug

check-clients: deps build ## install real programs and compare them natively and under `quire run`
	@tools/check-clients.sh

bench: deps build ## measure Quire against the real kernel; writes build/bench/core.tsv
	@tools/bench.sh

bench-run: deps build ## measure `quire run` against the real kernel; writes build/bench/run.tsv
	@tools/bench-run.sh

sanitize: deps ## run every test under ASan and UBSan, then under TSan
	@tools/test.sh asan tsan

docs: build ## make docs/syscalls.md from the table of system calls
	@build/release/src/run/print_table > docs/syscalls.md

format: ## format every C file in place
	@tools/format.sh

format-check: ## fail when a C file is not formatted
	@tools/format.sh --check

lint: ## static analysis: clang-tidy, cppcheck, manual pages
	@tools/lint.sh

install: build ## install below DESTDIR and PREFIX (/usr/local)
	@meson configure build/release -Dprefix='$(PREFIX)'
	@DESTDIR='$(DESTDIR)' meson install -C build/release --quiet

clean: ## remove everything that was built
	rm -rf build

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
