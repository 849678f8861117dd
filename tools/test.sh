#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the named kinds of build (see tools/build.sh) and runs all their tests. The last line says how many tests
# passed, failed and were skipped in all of them together; a build that fails counts as one failed test.
#
#   tools/test.sh KIND...
set -uo pipefail
cd "$(dirname "$0")/.."

# A sanitizer's fixed shadow addresses may collide with a randomised layout on newer kernels.
fixed_layout=()
setarch -R true 2>/dev/null && fixed_layout=(setarch -R)

export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
# Every process would sleep a second before it ends.
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:atexit_sleep_ms=0

logs=()
broken=0
for kind in "$@"; do
	wrapper=()
	multiplier=2
	case "$kind" in
	asan)
		wrapper=("${fixed_layout[@]}")
		multiplier=6
		;;
	tsan)
		wrapper=("${fixed_layout[@]}")
		multiplier=15
		;;
	esac
	echo "== tests of build/$kind"
	if ! tools/build.sh "$kind"; then
		broken=$((broken + 1))
		continue
	fi
	log=build/$kind/meson-logs/testlog.json
	rm -f "$log"
	"${wrapper[@]}" meson test -C "build/$kind" --no-rebuild --print-errorlogs \
		--timeout-multiplier "$multiplier" </dev/null
	logs+=("$log")
done
tools/count-tests.py --broken "$broken" "${logs[@]}"
