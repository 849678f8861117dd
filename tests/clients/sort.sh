# SPDX-License-Identifier: MIT
# sort: brk and large private mappings, threads, temporary files.
# packages: coreutils
# memory: 16M
# expects: evicted swap_out swap_in
prepare() {
	random_lines 12000000 >lines
}

load() {
	run sort "$INPUT/lines" >sorted
	run sort -k2,2n -s --parallel=4 "$INPUT/lines" | sha256sum
	run sort -u -S 4M -T . "$INPUT/lines" | sha256sum
	run sort -c sorted
}
