# SPDX-License-Identifier: MIT
# Python: JSON, hashes and compression in threads; sockets, queues and signals within one process.
# packages: python3.11
# memory: 24M
# expects: evicted swap_out swap_in
load() {
	run /usr/bin/python3.11 "$(dirname "$script")/python.py" 2400000 4
	run /usr/bin/python3.11 -c '
import asyncio, concurrent.futures, mmap, os, queue, signal, socket, sqlite3, sys, tempfile, threading, time
left, right = socket.socketpair()
threading.Thread(target=lambda: [left.sendall(bytes([i]) * 1000) for i in range(200)] and left.close()).start()
total = 0
while True:
    data = right.recv(4096)
    if not data:
        break
    total += sum(data)
print(total)
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(sum(pool.map(lambda n: sum(range(n)), range(2000))))
async def tick(n):
    await asyncio.sleep(0.001 * (n % 5))
    return n
async def gather():
    return sum(await asyncio.gather(*(tick(i) for i in range(300))))
print(asyncio.run(gather()))
caught = []
signal.signal(signal.SIGUSR1, lambda number, frame: caught.append(number))
os.kill(os.getpid(), signal.SIGUSR1)
time.sleep(0.01)
print(caught)
with open("mapped", "w+b") as file:
    file.truncate(1 << 20)
    with mmap.mmap(file.fileno(), 0) as area:
        area[1000:1005] = b"hello"
        area.flush()
        print(os.pread(file.fileno(), 5, 1000), area.find(b"hello"))
print(sqlite3.connect(":memory:").execute("select sum(value) from (with recursive n(value) as (select 1 union all select value+1 from n limit 5000) select value from n)").fetchone())
def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)
sys.setrecursionlimit(20000)
print(deep(9000))
try:
    [0] * (1 << 62)
except (MemoryError, OverflowError) as error:
    print(type(error).__name__)
sys.exit(4)
'
}
