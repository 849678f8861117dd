#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a random script of the shell's language: what a seed gives is always the same.

usage: random_script.py SEED [LINES]             print the script
       random_script.py QUIRE SEEDS [LINES]      compare both machines on the seeds (FIRST-LAST), stop at a difference

Most commands aim at one window of addresses, so that mappings meet, overlap, split and merge; kernel-chosen
mappings, a heap, forks, files and memory objects take part. Left out is what depends on the machine's own leisure:
MADV_FREE, PAGEOUT and mincore. Exit status: 0 same, 1 different, 77 skipped.
"""

import os
import pathlib
import random
import subprocess
import sys
import tempfile

KERNEL = [6, 18]  # whose rules Quire follows
WINDOW = 40  # pages of the common window
FILE_PAGES = 12
ADVICES = (
    ["dontneed"] * 5
    + ["dontfork", "dofork", "wipeonfork", "keeponfork", "cold", "willneed", "normal", "random", "sequential"]
    + ["populate_read", "populate_write", "remove"] * 2
    + ["guard_install", "guard_remove"] * 2
    + ["hugepage", "nohugepage", "mergeable", "unmergeable", "dontdump", "dodump", "dontneed_locked"]
)


class Writer:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = []
        self.processes = ["main"]
        self.current = "main"
        self.forks = 0
        self.files = ["f", "r", "m"]
        self.lately = [0]  # pages of the window that were mapped lately: mostly aimed at

    def add(self, line):
        self.lines.append(line)

    def chance(self, probability):
        return self.random.random() < probability

    def pages(self, most=12):
        return self.random.choice([1, 1, 2, 2, 3, 4, 6, 8, most])

    def page(self):
        """A place where something may happen, as an address without the offset in its page."""
        if self.chance(0.6):
            return f"base+{self.random.choice(self.lately)}p"
        name = self.random.choice(["base"] * 8 + ["k0", "k1", "heap"])
        return f"{name}+{self.random.randrange(WINDOW if name == 'base' else 8)}p"

    def address(self):
        """A page, sometimes not aligned."""
        return f"base+{self.random.randrange(WINDOW * 4096)}" if self.chance(0.02) else self.page()

    def byte_address(self):
        name, _, page = self.page().partition("+")
        return f"{name}+{int(page[:-1]) * 4096 + self.random.choice([0, 0, 1, 100, 2048, 4090, 4095])}"

    def prot(self):
        return self.random.choice(["rw"] * 8 + ["r", "r", "-", "w", "rx", "rwx"])

    def target(self):
        """Sharing, extra flags, and the file with its offset."""
        kind = self.random.choice(["anon"] * 5 + ["shared"] * 2 + ["private-file"] * 3 + ["shared-file"] * 3)
        extra = self.random.choice([""] * 10 + [",noreserve", ",stack", ",populate", ",locked"])
        if kind == "anon":
            return "private,anon" + extra, ""
        if kind == "shared":
            return "shared,anon" + extra, ""
        name = self.random.choice(self.files)
        offset = self.random.randrange(FILE_PAGES + 2)
        return kind.split("-")[0] + extra, f" {name} {offset}p"

    def mmap_fixed(self):
        flags, name = self.target()
        how = self.random.choice(["fixed"] * 4 + ["noreplace"])
        region = f"r{self.random.randrange(6)}"
        start, length = self.random.randrange(WINDOW), self.pages()
        self.lately = (self.lately + list(range(start, min(start + length, WINDOW))))[-24:]
        self.add(f"mmap {region} {length}p {self.prot()} {flags},{how}{name} at base+{start}p")

    def mmap_anywhere(self):
        flags, name = self.target()
        region = self.random.choice(["k0", "k1"])
        self.add(f"mmap {region} {self.pages(6)}p {self.prot()} {flags}{name}")

    def munmap(self):
        self.add(f"munmap {self.address()} {self.pages()}p")

    def mprotect(self):
        self.add(f"mprotect {self.address()} {self.pages()}p {self.prot()}")

    def mremap(self):
        old = self.pages(6)
        new = self.random.choice([old, old, self.pages(6)])
        region = f"v{self.random.randrange(4)}"
        how = self.random.choice(["", " maymove,fixed", " maymove,fixed", " maymove,fixed,dontunmap"])
        if self.chance(0.08):
            old = 0
        line = f"mremap {region} {self.address()} {old}p {new}p{how}"
        self.add(line + (f" at {self.address()}" if "fixed" in how else ""))

    def madvise(self):
        self.add(f"madvise {self.address()} {self.pages()}p {self.random.choice(ADVICES)}")

    def remap(self):
        offset = self.random.randrange(FILE_PAGES + 2)
        self.add(f"remap_file_pages {self.address()} {self.pages(4)}p {offset}p")

    def lock(self):
        self.add(f"{self.random.choice(['mlock', 'munlock', 'munlock'])} {self.address()} {self.pages()}p")

    def msync(self):
        self.add(f"msync {self.address()} {self.pages()}p {self.random.choice(['sync', 'async', 'invalidate', '-'])}")

    def load(self):
        self.add(f"load {self.byte_address()} {self.random.choice([1, 4, 8, 30])}")

    def store(self):
        text = "".join(self.random.choice("abcdefgh") for _ in range(self.random.choice([1, 4, 10])))
        self.add(f'store {self.byte_address()} "{text}"')

    def fill(self):
        self.add(f"fill {self.address()} {self.pages(6)}p {self.random.randrange(256)}")

    def sum(self):
        self.add(f"sum {self.address()} {self.pages(6)}p")

    def file(self):
        name = self.random.choice(self.files)
        offset = self.random.randrange((FILE_PAGES + 1) * 4096)
        choice = self.random.randrange(8)
        if choice <= 1:
            self.add(f'pwrite {name} "{self.random.choice(["file", "FILEFILE", "x" * 40])}" {offset}')
        elif choice <= 3:
            self.add(f"pread {name} {self.random.choice([4, 20])} {offset}")
        elif choice == 4:
            # To whole pages: the stale tail of a memory object is not cleared (semantics, 58).
            self.add(f"ftruncate {name} {self.random.randrange(FILE_PAGES + 1)}p")
        elif choice == 5:
            self.add(f"punch {name} {self.random.randrange(FILE_PAGES)}p {self.random.choice([1, 2, 4])}p")
        elif choice == 6:
            call = self.random.choice(["read", "write"])
            self.add(f"{call} {name} {self.byte_address()} {self.random.choice([8, 300, 5000])} {offset}")
        else:
            self.add(self.random.choice([f"size {name}", f"fsync {name}"]))

    def brk(self):
        self.add(f"brk {self.random.choice(['+', '+', '-'])}{self.random.choice(['1p', '2p', '3p', '1000'])}")

    def evict(self):
        """Quire only, and to be seen by nobody: what was evicted comes back as it was."""
        self.add(self.random.choice(["reclaim 200p", "reclaim 20p", "reclaim 5p", "writeback"]))

    def process(self):
        choice = self.random.random()
        if choice < 0.35 and len(self.processes) < 4:
            self.forks += 1
            self.processes.append(f"c{self.forks}")
            self.add(f"fork c{self.forks}")
        elif choice < 0.5 and len(self.processes) > 1:
            self.processes.remove(self.current)
            self.add("exit")
            self.switch()
        elif len(self.processes) > 1:
            self.switch()

    def switch(self):
        self.current = self.random.choice(self.processes)
        self.add(f"{self.current}: maps")

    def write(self, count):
        self.add(f"mmap base {WINDOW}p - private,anon")
        self.add(f"munmap base {WINDOW}p")
        self.add("open f file rw create trunc")
        self.add(f"ftruncate f {FILE_PAGES}p")
        self.add("open r file r")
        self.add("memfd m")
        self.add(f"ftruncate m {FILE_PAGES - 3}p")
        self.add("mmap k0 4p rw private,anon")
        self.add("mmap k1 4p rw shared,anon")
        actions = (
            [self.mmap_fixed] * 16 + [self.mmap_anywhere] * 2 + [self.munmap] * 3 + [self.mprotect] * 8
            + [self.mremap] * 9 + [self.madvise] * 10 + [self.lock] * 3 + [self.remap] * 3 + [self.msync] * 2
            + [self.load] * 12 + [self.store] * 14 + [self.fill] * 4 + [self.sum] * 3 + [self.file] * 10
            + [self.brk] * 2 + [self.process] * 6 + [self.evict] * 4
        )
        while len(self.lines) < count:
            self.random.choice(actions)()
            if self.chance(0.15):
                self.add("maps")
        self.add("maps")
        self.add("check")
        return "\n".join(self.lines) + "\n"


def compare(quire, seeds, count):
    first, _, last = seeds.partition("-")
    if [int(n) for n in os.uname().release.split(".")[:2]] < KERNEL:
        print("skipped: an older kernel merges areas and moves mappings by other rules")
        return 77
    for seed in range(int(first), int(last or first) + 1):
        with tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="random-") as directory:
            pathlib.Path(directory, "script").write_text(Writer(seed).write(count))
            run = subprocess.run(
                [quire, "diff", "--memory=4M", "--swap=swap:16M", "script"],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=120,
                check=False,
            )
        if run.returncode != 0:
            print(f"seed {seed}, {count} lines: status {run.returncode}")
            print(run.stdout.decode("utf-8", errors="backslashreplace"))
            return 1
    print(f"seeds {seeds}: no difference")
    return 0


def main():
    if len(sys.argv) < 2 or (sys.argv[1].isdigit() and len(sys.argv) > 3):
        sys.exit(__doc__)
    if sys.argv[1].isdigit():
        sys.stdout.write(Writer(int(sys.argv[1])).write(int(sys.argv[2]) if len(sys.argv) > 2 else 300))
        return 0
    return compare(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 300)


if __name__ == "__main__":
    sys.exit(main())
