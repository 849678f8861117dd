# SPDX-License-Identifier: MIT
# sqlite3: its file mapped and read and written beside that, the shared mapping of its write-ahead log's index.
# packages: sqlite3
# memory: 8M
# expects: evicted file_pages_written
load() {
	local sql
	sql=$(dirname "$script")/sqlite.sql
	run sqlite3 mapped.db <"$sql"
	sed 's/mmap_size=[0-9]*/mmap_size=0/' "$sql" | run sqlite3 unmapped.db
	run sqlite3 -readonly mapped.db 'PRAGMA mmap_size=100000000; SELECT sum(value * id % 1009), count(DISTINCT note) FROM item;'
	run sqlite3 mapped.db .dump | sha256sum
}
