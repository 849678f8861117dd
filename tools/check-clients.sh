#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages of the programs in tests/clients that are missing, and runs the scripts there: all, or
# those that are named. Without dpkg, or when a package cannot be installed, the scripts that need it are skipped. The
# last line counts what passed, failed and was skipped.
#
#   tools/check-clients.sh [SCRIPT...]
set -uo pipefail
cd "$(dirname "$0")/.."

scripts=()
for script in "${@:-tests/clients/*.sh}"; do
	for file in $script; do
		[ "$(basename "$file")" = client.sh ] || scripts+=("$file")
	done
done
tools/deps.sh $(sed -n 's/^# packages: *//p' "${scripts[@]}" | tr ' ' '\n' | sort -u)

mkdir -p build/clients
top=$PWD
cd build/clients || exit 1
exec "$top/tests/clients/run.py" "$top/build/release/src/tools/quire" "${scripts[@]/#/$top/}"
