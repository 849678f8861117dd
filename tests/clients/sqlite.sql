-- The load of the sqlite client and of the benchmark: 300,000 rows, an index, updates, a checkpoint, VACUUM.
PRAGMA mmap_size=268435456;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, value INTEGER, note TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000)
INSERT INTO item SELECT i, printf('name-%08x', (i * 2654435761) & 0xffffffff), (i * 7919) % 100003, substr('abcdefghijklmnopqrstuvwxyz', i % 20) FROM n;
COMMIT;
CREATE INDEX item_value ON item(value, name);
SELECT count(*), sum(value), max(name) FROM item;
UPDATE item SET value = value + 1, note = note || '-changed' WHERE value % 7 = 3;
DELETE FROM item WHERE id % 11 = 0;
PRAGMA wal_checkpoint(TRUNCATE);
SELECT count(*), sum(value), sum(length(note)) FROM item;
SELECT value, count(*) FROM item WHERE value BETWEEN 5000 AND 5020 GROUP BY value;
SELECT count(*) FROM item a JOIN item b ON a.value = b.value + 50000 WHERE a.id < 20000;
VACUUM;
PRAGMA integrity_check;
PRAGMA page_count;
