# SPDX-License-Identifier: MIT
# ripgrep: threads and many short mappings; with and without them it must find the same.
# packages: ripgrep
# memory: 4M
# expects: evicted
prepare() {
	mkdir tree
	random_lines 12000000 >lines
	for i in $(seq 300); do dd if=lines of="tree/$i.txt" bs=400 skip=$((i * 50)) count="$i" status=none; done
}

load() {
	cd "$INPUT" || return
	run rg --mmap -c 'abc|dead' tree lines --sort path
	run rg --no-mmap -c 'abc|dead' tree lines --sort path | sha256sum
	run rg --mmap -c 'abc|dead' tree lines | sort | sha256sum
	run rg --mmap -j 8 -o '[0-9]+77 word' tree | sort | sha256sum
	run rg --mmap nothing-like-it tree
}
