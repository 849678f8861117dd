# SPDX-License-Identifier: MIT
# numpy.memmap: shared, read-only and copy-on-write mappings of one file, with strided access.
# packages: python3-numpy
# memory: 32M
# expects: evicted swap_out file_pages_written
load() {
	OPENBLAS_NUM_THREADS=2 run /usr/bin/python3.11 -c '
import hashlib, os
import numpy as np
count = 8 << 20
shared = np.memmap("array", dtype=np.float64, mode="w+", shape=(count,))
for start in range(0, count, 1 << 18):
    shared[start:start + (1 << 18)] = np.arange(start, start + (1 << 18)) * 0.5
shared.flush()
second = np.memmap("array", dtype=np.float64, mode="r+", shape=(count // 1024, 1024))
second[:, ::97] += 3.25
second[::31, 5] *= -1.0
print(float(shared[97]), float(shared[5]), float(shared.sum()))
reader = np.memmap("array", dtype=np.float64, mode="r")
try:
    reader[0] = 1
except ValueError as error:
    print(error)
copy = np.memmap("array", dtype=np.float64, mode="c")
copy[::512] = 7.0
print(float(copy[512]), float(reader[512]), float(copy.sum() - reader.sum()))
second.flush()
with open("array", "r+b") as file:
    file.seek(8 * 1000)
    file.write(np.float64(123.0).tobytes())
print(float(shared[1000]), float(reader[1000]), float(copy[1000]))
print(hashlib.sha256(reader).hexdigest(), hashlib.sha256(copy).hexdigest())
square = np.random.default_rng(1).random((300, 300))
print(round(float(np.linalg.det(square @ square.T / 300) * 1e300) % 1, 3) >= 0, float(np.sort(shared)[-1]))
del shared, second, reader, copy
print(os.path.getsize("array"))
'
}
