#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs the benchmark of the release build: prints its table and writes it to build/bench/core.tsv. Further arguments
# go to the benchmark.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p build/bench
build/release/bench/core --output=build/bench/core.tsv "$@"
