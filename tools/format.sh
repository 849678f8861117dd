#!/bin/bash
# SPDX-License-Identifier: MIT
# Formats every C file in place; with --check it changes nothing and fails when a file would change.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(-i)
[ "${1:-}" = --check ] && mode=(--dry-run -Werror)
find src include tests bench -name '*.[ch]' -print0 | sort -z |
	xargs -0 -r -n 8 -P "$(nproc)" clang-format --style=file "${mode[@]}"
