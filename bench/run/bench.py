#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures programs under `quire run` against the plain kernel: the two take turns, so that both see the same state of
the machine, and a figure is the median of a side's turns. Prints a table with goals, and writes one line a row, name,
Quire's milliseconds, native ones and their ratio, separated by tabs.

The rival of sort_200m_tight is the kernel with a memory cgroup of 64 MiB and a swap file, made for the time of the
row. The kernel kills the program in its cgroup now and then, though there is swap: it has several attempts, and the table
says how many it took. Where this user may not make cgroups, or no attempt comes to its end, the rival is the kernel
without a limit, and the table says so.
"""

import argparse
import contextlib
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

NO_KVM = 69
TIGHT = 64 << 20
PATIENCE = 60
ATTEMPTS = 6
SWAP_BYTES = 1 << 30
HERE = pathlib.Path(__file__).resolve().parent
CLIENTS = HERE.parent.parent / "tests" / "clients"


class Failed(Exception):
    """A measured program did not do what it should."""


def progress(text):
    """One line on a terminal, which the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)


class Cgroup:
    """A memory cgroup of version 1 or 2 in which the kernel may swap to a file of our own."""

    def __init__(self, directory):
        self.swap = directory / "kernel.swap"
        self.path = None
        self.own_swap = False
        self.trouble = None
        self.killed = 0

    def __enter__(self):
        try:
            self.make_group()
            self.make_swap()
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            self.path = None
            self.trouble = f"no memory cgroup with swap can be made: {error}"
        return self

    def __exit__(self, *_):
        self.close()

    def make_group(self):
        name = f"quire-bench-{os.getpid()}"
        mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        for _, place, kind, options, *_ in mounts:
            if kind == "cgroup" and "memory" in options.split(","):
                self.path = pathlib.Path(place) / name
                self.path.mkdir()
                (self.path / "memory.limit_in_bytes").write_text(str(TIGHT))
                return
            top = pathlib.Path(place)
            if kind == "cgroup2" and "memory" in (top / "cgroup.controllers").read_text().split():
                (top / "cgroup.subtree_control").write_text("+memory")
                self.path = top / name
                self.path.mkdir()
                (self.path / "memory.max").write_text(str(TIGHT))
                return
        raise OSError("no memory controller is mounted")

    def make_swap(self):
        if len(pathlib.Path("/proc/swaps").read_text().splitlines()) > 1:
            return
        with open(self.swap, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            for _ in range(SWAP_BYTES >> 20):
                file.write(bytes(1 << 20))
        subprocess.run(["mkswap", self.swap], check=True, capture_output=True)
        subprocess.run(["swapon", self.swap], check=True, capture_output=True)
        self.own_swap = True

    def enter_group(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def measure(self, command):
        """Seconds in the group, or None, and `trouble` says why."""
        while self.path and self.killed < ATTEMPTS:
            progress(f"the kernel in a cgroup: attempt {self.killed + 1}")
            # What is still to be written of former attempts would be in its way.
            os.sync()
            start = time.perf_counter()
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, preexec_fn=self.enter_group, timeout=PATIENCE, check=False
                )
            except subprocess.TimeoutExpired:
                self.trouble = f"it does not end within {PATIENCE} s in a cgroup of 64 MiB"
                return None
            if not done.returncode:
                return time.perf_counter() - start
            self.killed += 1
            self.trouble = f"the kernel killed it {self.killed} times in a cgroup of 64 MiB"
        return None

    def note(self, seconds):
        """What the row was measured against."""
        if seconds is None:
            return f"no limit, as {self.trouble}"
        return "cgroup of 64 MiB" + (f", where the kernel killed it {self.killed} times before" if self.killed else "")

    def close(self):
        if self.own_swap:
            subprocess.run(["swapoff", self.swap], check=False)
            self.own_swap = False
        if self.path and self.path.is_dir():
            self.path.rmdir()


class Side:
    """The plain kernel, or `quire run`: the prefix of each command."""

    def __init__(self, prefix):
        self.prefix = prefix

    def start(self, command, stdin):
        start = time.perf_counter()
        done = subprocess.run(self.prefix + command, stdin=stdin, stdout=subprocess.PIPE, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise Failed(f"{' '.join(map(str, self.prefix + command))} ended with {done.returncode}")
        return seconds, done.stdout

    def whole(self, command, source=None):
        """Seconds from start to end."""
        with open(source or os.devnull, "rb") as stdin:
            return self.start(command, stdin)[0]

    def inside(self, command):
        """Seconds that the program measured itself."""
        return int(self.start(command, subprocess.DEVNULL)[1]) / 1e9


class Row:
    """One line of the table."""

    def __init__(self, name, what, goal, turns, measure, absolute=False):
        self.name, self.what, self.goal, self.turns = name, what, goal, turns
        self.measure, self.absolute = measure, absolute

    def run(self, native, quire, turns):
        sides = {"native": native, "quire": quire}
        times = {name: [] for name in sides}
        for turn in range(turns + 1):
            for name, side in sides.items():
                progress(f"{self.name}: turn {turn} of {turns}, {name}")
                seconds = self.measure(side)
                # The first turn warms the caches; long rows have but one, and read their input before.
                if turn or not turns:
                    times[name].append(seconds)
        progress("")
        return statistics.median(times["quire"]) * 1e3, statistics.median(times["native"]) * 1e3

    def met(self, milliseconds, ratio):
        return (milliseconds if self.absolute else ratio) <= self.goal


def make_lines(path):
    """200 MB of random lines, always the same ones."""
    if path.exists() and path.stat().st_size >= 200_000_000:
        return
    source, made = random.Random(1), 0
    with open(path, "wb") as file:
        while made < 200_000_000:
            text = source.randbytes(750_000).hex()
            block = "".join(text[i : i + 60] + "\n" for i in range(0, len(text), 60)).encode()
            file.write(block)
            made += len(block)


def sort_command(directory):
    return ["sort", "-T", str(directory), "-o", "/dev/null", str(directory / "lines")]


def tight_command(directory):
    """With a buffer that is more than the memory there is, but not so much that either kernel only swaps."""
    command = sort_command(directory)
    return command[:1] + ["-S", "100M"] + command[1:]


def make_rows(arguments, directory):
    workload, hello = str(arguments.workload), str(arguments.hello)
    python = shutil.which("python3.11") if not os.path.exists("/usr/bin/python3.11") else "/usr/bin/python3.11"
    database = directory / "database"

    def sqlite(side):
        database.unlink(missing_ok=True)
        return side.whole(["sqlite3", str(database)], CLIENTS / "sqlite.sql")

    def sort(side):
        return side.whole(sort_command(directory))

    def sort_tight(side):
        return side.whole(tight_command(directory))

    inside = {
        name: (lambda side, name=name: side.inside([workload, name]))
        for name in ("compute", "bandwidth", "touch_seq", "touch_rand")
    }
    return [
        Row("compute", "a computing loop", 1.02, 5, inside["compute"]),
        Row("bandwidth", "copies and random reads, 256 MiB", 1.10, 5, inside["bandwidth"]),
        Row("hello", "start to end of a static program", 15, 15, lambda side: side.whole([hello]), absolute=True),
        Row("touch_seq", "first writes to 256 MiB, in order", 4, 5, inside["touch_seq"]),
        Row("touch_rand", "first writes to 256 MiB, at random", 12, 5, inside["touch_rand"]),
        Row("sort_200m", "sort of 200 MB of lines", 1.3, 3, sort),
        Row("python", "JSON and hashing over 50 MB", 1.3, 3,
            lambda side: side.whole([python or "python3", str(CLIENTS / "python.py"), "50000000"])),
        Row("sqlite", "300,000 rows, mapped, WAL, VACUUM", 1.5, 3, sqlite),
        Row("sort_200m_tight", "sort -S 100M of them within 64 MiB", 1.5, 1, sort_tight),
    ]


def show(row, quire, native, note):
    ratio = quire / native
    goal = f"{row.goal:g} ms" if row.absolute else f"{row.goal:.2f}"
    verdict = "pass" if row.met(quire, ratio) else "miss"
    figures = f"{quire:9.1f} ms {native:9.1f} ms  {ratio:6.2f}  {goal:>6}  {verdict}"
    print(f"  {row.name:<16} {figures}  {row.what}{note}", flush=True)


def measure_rows(arguments, rows, directory, tsv):
    quire = [str(arguments.quire), "run"]
    met = 0
    with contextlib.ExitStack() as stack:
        for row in rows:
            native_side, quire_side, note, limited = Side([]), Side(quire + ["--"]), "", None
            if row.name.startswith("sort"):
                make_lines(directory / "lines")
            if row.name == "sort_200m_tight":
                group = stack.enter_context(Cgroup(directory))
                limited = group.measure(tight_command(directory))
                note = "; kernel: " + group.note(limited)
                swap = f"--swap={directory}/quire.swap:{SWAP_BYTES}"
                quire_side = Side(quire + ["-m", str(TIGHT), swap, "--"])
            turns = min(row.turns, arguments.turns) if arguments.turns else row.turns
            milliseconds, native = row.run(native_side, quire_side, 0 if turns == 1 else turns)
            if limited:
                native = limited * 1e3
            tsv.write(f"{row.name}\t{milliseconds:.3f}\t{native:.3f}\t{milliseconds / native:.4f}\n")
            tsv.flush()
            show(row, milliseconds, native, note)
            met += row.met(milliseconds, milliseconds / native)
    return met


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="the table of ratios")
    parser.add_argument("--only", action="append", help="measure the rows of these names alone")
    parser.add_argument("--turns", type=int, help="turns of each side at most")
    for name in ("quire", "workload", "hello"):
        parser.add_argument(name, type=lambda text: pathlib.Path(text).resolve())
    arguments = parser.parse_args()
    probe = subprocess.run([arguments.quire, "run", "--", "/bin/true"], capture_output=True, text=True, check=False)
    if probe.returncode == NO_KVM:
        print(probe.stderr.strip(), file=sys.stderr)
        return NO_KVM
    if os.getloadavg()[0] > 0.7 * os.cpu_count():
        print(f"The host is busy (load {os.getloadavg()[0]:.1f}): the figures are rough.\n")
    os.environ["LC_ALL"] = "C"
    # What was made for a row is taken down whatever ends the run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))
    with tempfile.TemporaryDirectory(dir=arguments.output.parent, prefix="run-") as name:
        directory = pathlib.Path(name).resolve()
        rows = [row for row in make_rows(arguments, directory) if not arguments.only or row.name in arguments.only]
        print("quire run against the plain kernel, medians\n")
        print(f"  {'':<16} {'Quire':>12} {'native':>12}  {'ratio':>6}  {'goal':>6}")
        with open(arguments.output, "w", encoding="utf-8") as tsv:
            met = measure_rows(arguments, rows, directory, tsv)
    print(f"\n{met} of {len(rows)} goals are met")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        sys.exit(f"\nbench: {failure}")
