# SPDX-License-Identifier: MIT
"""The load of the python client and of the benchmark: JSON and hashing over about as many bytes as it is told.

usage: python.py BYTES [THREADS]
"""

import hashlib
import json
import random
import sys
import threading
import zlib


def make_document(size):
    source = random.Random(7)
    return [
        {"id": i, "name": f"record {source.getrandbits(40):x}", "values": [source.random() for _ in range(8)], "flag": i % 3 == 0}
        for i in range(size // 210)
    ]


def work(size, results, index):
    text = json.dumps(make_document(size), sort_keys=True)
    parsed = json.loads(text)
    parsed.sort(key=lambda record: record["values"][0])
    again = json.dumps(parsed).encode()
    results[index] = (
        len(text),
        hashlib.sha256(again).hexdigest(),
        hashlib.blake2b(again).hexdigest()[:32],
        zlib.crc32(zlib.compress(again, 1)),
        sum(record["flag"] for record in parsed),
    )


def main():
    size, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    results = [None] * count
    threads = [threading.Thread(target=work, args=(size // count, results, i)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        print(*result)


main()
