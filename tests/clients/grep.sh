# SPDX-License-Identifier: MIT
# grep: fixed strings, regular expressions, PCRE with its compiled code, large pattern files, directories.
# packages: grep
# memory: 2M
# expects: evicted
prepare() {
	random_lines 20000000 >lines
	head -n 600 lines | cut -c3-9 >patterns
	mkdir tree
	for i in $(seq 50); do head -c $((i * 1000)) lines >"tree/$i"; done
}

load() {
	run grep -c abc "$INPUT/lines"
	run grep -E '^[0-9a-f]*(dead|beef)[0-9]+ ' "$INPUT/lines" | sha256sum
	run grep -P '(\d)\1\1 \d+5 (word){3}$' "$INPUT/lines" | sha256sum
	run grep -c -F -f "$INPUT/patterns" "$INPUT/lines"
	run grep -i -o -n 'BABE.' "$INPUT/lines" | sha256sum
	run grep -r -l 1234 "$INPUT/tree" | sed "s|$INPUT||" | sort
	run grep nothing-like-it "$INPUT/lines"
}
