# SPDX-License-Identifier: MIT
# LMDB in one process: random puts and deletes while the map grows, through pwrite and through a writable mapping.
# packages: python3-lmdb
# memory: 12M
# expects: evicted file_pages_written
# ignore: */lock.mdb
load() {
	run /usr/bin/python3.11 -c '
import hashlib, lmdb, random
def exercise(path, writemap):
    source, model, size = random.Random(3), {}, 1 << 20
    env = lmdb.open(path, map_size=size, writemap=writemap, max_dbs=0)
    for round in range(60):
        changes = []
        for _ in range(1500):
            key = b"%08d" % source.randrange(20000)
            changes.append((key, None if source.random() < 0.3 else source.randbytes(source.randrange(10, 300))))
        while True:
            try:
                with env.begin(write=True) as transaction:
                    for key, value in changes:
                        transaction.delete(key) if value is None else transaction.put(key, value)
                break
            except lmdb.MapFullError:
                size *= 2
                env.set_mapsize(size)
        for key, value in changes:
            model.pop(key, None) if value is None else model.__setitem__(key, value)
        if round % 10 == 9:
            with env.begin() as transaction:
                same = dict(transaction.cursor()) == model
            print(path, round, same, len(model), size)
    digest = hashlib.sha256()
    with env.begin(buffers=True) as transaction:
        for key, value in transaction.cursor():
            digest.update(key)
            digest.update(value)
    env.sync(True)
    env.close()
    print(path, digest.hexdigest())
exercise("plain", False)
exercise("writemap", True)
'
}
