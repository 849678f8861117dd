#!/bin/bash
# SPDX-License-Identifier: MIT
# Static analysis of everything the debug build compiles, apart from the unit tests: clang-tidy (.clang-tidy holds the
# choice of checks), cppcheck, and mandoc's own checks of the manual pages.
set -uo pipefail
cd "$(dirname "$0")/.."

jobs=$(nproc)
failed=0
# Generated headers must exist before the sources can be read.
tools/build.sh debug --configure-only >/dev/null || exit 1

echo "lint: clang-tidy"
python3 - <<'PYTHON' | xargs -0 -r -n 1 -P "$jobs" \
	clang-tidy -p build/debug --quiet --warnings-as-errors='*' \
	--extra-arg=-Wno-unknown-warning-option 2>/dev/null || failed=1
import json, os, sys
units = json.load(open("build/debug/compile_commands.json"))
names = {os.path.relpath(os.path.join(u["directory"], u["file"])) for u in units if u["file"].endswith(".c")}
tests = {n for n in names if n.endswith("_test.c") or os.path.basename(n).startswith("test_")}
sys.stdout.write("".join(n + "\0" for n in sorted(names - tests)))
PYTHON

# The compilers judge printf formats, and know the type of an enumeration; cppcheck does not.
echo "lint: cppcheck"
mkdir -p build/cppcheck
cppcheck --project=build/debug/compile_commands.json --cppcheck-build-dir=build/cppcheck -j "$jobs" --quiet \
	--std=c11 --enable=warning,performance,portability --inline-suppr --max-configs=1 \
	--suppress=missingIncludeSystem --suppress='*:*_test.c' \
	--suppress=invalidPrintfArgType_uint --suppress=invalidPrintfArgType_sint --error-exitcode=1 || failed=1

echo "lint: mandoc"
for page in man/*.1 man/*.3; do
	[ -f "$page" ] || continue
	mandoc -T lint -W warning "$page" || failed=1
done
exit $failed
