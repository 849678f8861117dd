# SPDX-License-Identifier: MIT
# LMDB's tools: pwrite beside a read-only shared mapping, and robust mutexes in a shared file.
# packages: lmdb-utils
# memory: 4M
# expects: evicted
# ignore: */lock.mdb
prepare() {
	/usr/bin/python3 - >dump <<'PYTHON'
import random
source = random.Random(1)
print("VERSION=3\nformat=print\ntype=btree\nmapsize=268435456\nHEADER=END")
for i in range(100000):
    print(" key%08d\n value%d" % (i * 7919 % 100000, source.getrandbits(64)))
print("DATA=END")
PYTHON
}

load() {
	mkdir store
	run mdb_load -f "$INPUT/dump" store
	run mdb_dump store >dumped
	run mdb_stat -ef store | grep -v -i 'map address'
	run mdb_copy -c store >compact
}
