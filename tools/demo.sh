#!/bin/bash
# SPDX-License-Identifier: MIT
# The main job, then a tour.
#
# `quire run` runs programs of this system on files of this system, natively and in Quire: they must give the same. One has a
# working set of several times its budget, one changes a file through a shared mapping. Where there is no KVM, that is said and the
# tour alone is shown.
#
# The tour runs the scripts of tests/demo on real files and shows each command with what it printed. tour.quire runs on the soft machine and on the real kernel, each in a directory of its own; both must print the same
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

# native COMMAND...; quired OPTIONS... -- COMMAND...: standard output to a file, the time it took to standard error.
TIMEFORMAT='    %R s'
native() {
	printf '  > %s\n' "$*"
	time "$@" >"$top/native.out"
}

quired() {
	printf '  > quire run %s\n' "$*"
	time "$quire" run --report="$top/report.json" "$@" >"$top/quire.out"
}

same_output() {
	cmp "$top/native.out" "$top/quire.out" || {
		echo "demo: the program printed something else under quire run" >&2
		exit 1
	}
	printf '    both printed the same %d bytes\n' "$(wc -c <"$top/quire.out")"
}

# show NAME...: members of the report's events, which must all be above zero.
show() {
	python3 - "$top/report.json" "$@" <<-'END'
		import json, sys

		report = json.load(open(sys.argv[1]))
		values = {name: report["events"][name] for name in sys.argv[2:]}
		print("    " + ", ".join(f"{name} {value}" for name, value in values.items()) + " (pages)")
		sys.exit(0 if all(values.values()) else "demo: one of these should not be zero")
	END
}

main_job() {
	echo "=== Programs whose memory is Quire's"
	echo
	echo "A directory, listed by a dynamic program:"
	native ls -l /usr/lib
	quired -- ls -l /usr/lib
	same_output
	show faults

	echo
	echo "C headers of this system, sorted within 12 MiB, a quarter of what that takes; the rest goes to a swap file:"
	find /usr/include -name '*.h' -type f -print0 | sort -z | xargs -0 cat 2>/dev/null | head -c 20M >"$top/headers.txt" || true
	ls -l "$top/headers.txt" | awk '{ printf "    headers.txt has %.1f MB\n", $5 / 1e6 }'
	export LC_ALL=C
	native sort --parallel=1 -S 1G "$top/headers.txt"
	quired -m 12M --swap "$top/swap:1G" -- sort --parallel=1 -S 1G "$top/headers.txt"
	same_output
	show faults evicted swap_out swap_in

	echo
	echo "A file changed through a shared mapping, under a budget of a fraction of its size:"
	cat >"$top/change.py" <<-'END'
		import hashlib, mmap, sys

		with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
		    for offset in range(0, len(mapping), 1000):
		        mapping[offset] = (mapping[offset] + 1) % 256
		    print(hashlib.sha256(mapping).hexdigest())
	END
	cat "$top/headers.txt" "$top/headers.txt" >"$top/native.data"
	cp "$top/native.data" "$top/quire.data"
	native /usr/bin/python3 "$top/change.py" "$top/native.data"
	quired -m 12M --swap "$top/swap:256M" -- /usr/bin/python3 "$top/change.py" "$top/quire.data"
	same_output
	cmp "$top/native.data" "$top/quire.data"
	echo "    both left the same file behind"
	show faults evicted file_pages_written

	echo
	echo "What a short run did, as \`quire run --report\` shows it:"
	"$quire" run -m 16M --report -- /usr/bin/python3 -c 'print(sum(range(10**6)))' 2>&1 | sed 's/^/    /' | head -n 24
	printf '\n'
}

# 69: something is missing, and a line has said what.
status=0
"$quire" run -- true || status=$?
case $status in
0) main_job ;;
69) printf 'demo: without KVM only the tour can be shown\n\n' ;;
*) exit 1 ;;
esac

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

=== The demo succeeded: programs gave the same natively and in Quire, both machines of the shell agree, every structure is sound, the files hold what was stored.
Go on with: build/release/src/tools/quire run -m 64M --report -- PROGRAM ARGS
       and: build/release/src/tools/quire shell        (\`help\` lists the commands)
END
