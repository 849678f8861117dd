#!/bin/bash
# SPDX-License-Identifier: MIT
# The tour: runs the scripts of tests/demo on real files and shows each command with what it printed.
#
# tour.quire runs on the soft machine and on the real kernel, each in a directory of its own; both must print the same
# lines and leave the same files. inside.quire looks into Quire's own structures, so it runs on the soft machine only.
set -euo pipefail
cd "$(dirname "$0")/.."

quire=$PWD/build/release/src/tools/quire
scripts=$PWD/tests/demo
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT

make_files() {
	mkdir "$top/$1"
	cp LICENSE "$top/$1/book.txt"
	python3 -c 'import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(8 << 20))' >"$top/$1/data.bin"
}

# run MACHINE SCRIPT DIRECTORY [OPTION...]: leaves the output beside the directory, in DIRECTORY.out
run() {
	local machine=$1 script=$2 directory=$3
	shift 3
	(cd "$top/$directory" && "$quire" shell --machine="$machine" "$@" "$scripts/$script") >"$top/$directory.out"
}

# Shows a script's comments and commands, each command followed by its lines of output: the indented ones and then the
# one that starts at the margin.
narrate() {
	awk -v output="$2" '
		/^[ \t]*$/ { next }
		/^#/ { sub(/^# */, ""); print "\n" $0; next }
		{
			print "  > " $0
			while ((getline line < output) > 0) {
				print "    " line
				if (line !~ /^  /) break
			}
		}' "$1"
}

# The same in brief: a line for each command and its answer, longer answers below it.
narrate_briefly() {
	awk -v output="$2" '
		/^[ \t]*$/ || /^#/ { next }
		{
			longer = ""
			while ((getline line < output) > 0 && line ~ /^  /)
				longer = longer "    " line "\n"
			printf "  %-30s %s\n%s", $0, line, longer
		}' "$1"
}

# The file itself, read without Quire, must hold what was stored through the mapping.
check_book() {
	head -c 11 "$top/$1/book.txt" | cmp -s - <(printf 'Mit license') || {
		echo "demo: book.txt on the $1 machine does not hold what was stored" >&2
		exit 1
	}
}

make_files soft
make_files linux
make_files inside

echo "=== A tour on the soft machine"
run soft tour.quire soft --memory=64M
narrate "$scripts/tour.quire" "$top/soft.out"
check_book soft
grep -qx "= 0x$(python3 -c 'import sys, zlib; print("%08x" % zlib.crc32(sys.stdin.buffer.read()))' <"$top/soft/data.bin")" \
	"$top/soft.out" || {
	echo "demo: the checksum through the mapping is not the file's" >&2
	exit 1
}

printf '\n=== The same script on the real kernel\n'
run linux tour.quire linux
narrate_briefly "$scripts/tour.quire" "$top/linux.out"
check_book linux
diff -u "$top/linux.out" "$top/soft.out"
diff -r "$top/linux" "$top/soft"
printf '\nThe real kernel gave the same answers, %d lines of them, and left the same files.\n' \
	"$(wc -l <"$top/soft.out")"

printf '\n=== Inside\n'
run soft inside.quire inside --memory=64M --swap="$top/swap:32M"
narrate "$scripts/inside.quire" "$top/inside.out"
if ! grep -aq 'written back by reclaim or writeback' "$top/inside/data.bin"; then
	echo "demo: data.bin does not hold what was stored" >&2
	exit 1
fi
if grep -E '^error|^signal' "$top/inside.out"; then
	echo "demo: a command of inside.quire failed" >&2
	exit 1
fi

cat <<END

=== The demo succeeded: both machines agree, every structure is sound, the files hold what was stored.
Go on with: build/release/src/tools/quire shell        (\`help\` lists the commands)
END
