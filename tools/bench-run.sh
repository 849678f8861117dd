#!/bin/bash
# SPDX-License-Identifier: MIT
# Measures `quire run` of the release build against the plain kernel: prints the table and writes it to
# build/bench/run.tsv. Further arguments go to bench/run/bench.py.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/deps.sh sqlite3 python3.11 coreutils
mkdir -p build/bench
bench/run/bench.py --output=build/bench/run.tsv "$@" \
	build/release/src/tools/quire build/release/bench/run/run-workload build/release/bench/run/run-hello
