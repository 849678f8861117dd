#!/bin/bash
# SPDX-License-Identifier: MIT
# What the scripts of this directory are written in: run.py calls `client.sh SCRIPT prepare` once, in the directory of
# the inputs, and `client.sh SCRIPT load` natively and under Quire, each time in a new directory.
#
# A script defines prepare, if it needs inputs, and load, in which
#   run PROGRAM ARGS     runs the program natively or under Quire, and notes how it ended
#   $INPUT               is the directory of the inputs
# run may stand in a pipeline; everything else in it is run natively.
set -uo pipefail
export LC_ALL=C.UTF-8 TZ=UTC
script=$1 step=$2

run() {
	local program status report
	program=$(type -P "$1") || {
		echo "$1: not found" >&2
		return 127
	}
	shift
	if [ -n "${QUIRE:-}" ]; then
		report=$(mktemp -u "$REPORTS/XXXXXXXX")
		# shellcheck disable=SC2086
		"$QUIRE" run $OPTIONS --swap="$report.swap" --report="$report.json" -- "$program" "$@"
		status=$?
	else
		"$program" "$@"
		status=$?
	fi
	echo "$status $program" >>"$STATUSES"
	return $status
}

prepare() {
	:
}

# Lines of random words and numbers, always the same ones: random_lines BYTES
random_lines() {
	/usr/bin/python3 - "$1" <<'PYTHON'
import random, sys
size, made, source = int(sys.argv[1]), 0, random.Random(1)
while made < size:
    block = "".join("%016x %d %s\n" % (source.getrandbits(64), source.randrange(10**9), "word" * source.randrange(6))
                    for _ in range(10000))
    sys.stdout.write(block[:size - made])
    made += len(block)
sys.stdout.write("\n")
PYTHON
}

# shellcheck source=/dev/null
. "$script"
"$step"
