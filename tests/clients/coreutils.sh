# SPDX-License-Identifier: MIT
# Small programs of coreutils, single and in pipelines.
# packages: coreutils
# memory: 1M
# expects: evicted
prepare() {
	random_lines 3000000 >lines
	random_lines 1000000 | tr 'a-f' 'A-F' >others
}

load() {
	run ls -lR /usr/lib | sha256sum
	run cat "$INPUT/lines" | run tr a-z A-Z | run wc
	run head -n 20000 "$INPUT/lines" | run tac | run cut -d' ' -f2 | run sort -n | run uniq -c | run sha256sum
	run cp --reflink=never "$INPUT/lines" copy
	run cmp "$INPUT/lines" copy
	run dd if="$INPUT/lines" of=blocks bs=10001 count=200 conv=notrunc status=none
	run split -l 9000 "$INPUT/lines" part-
	run comm -12 <(sort "$INPUT/lines") <(sort "$INPUT/others") | wc -l
	run md5sum part-aa part-ab copy
	run od -A d -t x2z copy | run tail -n 3
	run shuf --random-source="$INPUT/lines" -n 5 "$INPUT/others"
	run ln -s copy link
	run mkdir -p a/b/c
	run mv blocks a/b/c/
	run rm part-aa
	run stat -c '%s %F %h' copy link a
	run du -sb a/b/c/blocks
	run seq 1 100000 | run paste - - - - | run md5sum
	run date -u -d @1234567890
	run printf '%05.2f %q\n' 3.14159 "two words"
	run env -i A=1 B=2 printenv B
	run cat /nonexistent
	run false
}
