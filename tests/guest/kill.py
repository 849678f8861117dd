#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kills `quire run` with SIGKILL at moments from a fixed list and looks for what is left: a process, a lock on the
mapped file, shared memory, a temporary file.

usage: kill.py QUIRE BUSY

BUSY is the program that runs: it writes a mapped file, shared and private memory beyond its budget, so that pages go to
a swap file and back when the signal comes. Exit status: 0 nothing was left, 1 something was, 77 no KVM.
"""

import fcntl
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

NO_KVM = 69
ROUNDS = 8
SEED = 4711
LONGEST = 0.8
PATIENCE = 10
MARK = "QUIRE_KILL_TEST"


def processes_with_mark(mark):
    found = []
    for directory in pathlib.Path("/proc").iterdir():
        if directory.name.isdigit() and int(directory.name) != os.getpid():
            try:
                if mark.encode() in (directory / "environ").read_bytes():
                    found.append(int(directory.name))
            except OSError:
                continue
    return found


def temporary_entries():
    # Others may come and go in these: only names that have to do with Quire count.
    return {str(path) for top in ("/dev/shm", "/tmp", "/var/tmp") for path in pathlib.Path(top).glob("*quire*")}


def stays_locked(path):
    """The kernel ends what a dead process had asked of a file in its own time, and only then lets go of the file."""
    end = time.monotonic() + PATIENCE
    with open(path, "r+b") as file:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
            except OSError:
                if time.monotonic() > end:
                    return True
            time.sleep(0.01)


def kill_once(quire, busy, directory, moment):
    """Returns what was left, or why the program could not be killed at its work."""
    mark = f"{MARK}={os.getpid()}-{moment}"
    before = temporary_entries()
    command = [quire, "run", "-m", "16M", f"--swap={directory}/swap:96M", f"--trace={directory}/trace", "--", busy]
    environment = dict(os.environ, **dict([mark.split("=")]))
    with subprocess.Popen(
        command + ["mapped"], cwd=directory, env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        if process.stdout.readline() != b"busy\n":
            process.kill()
            return [f"the program did not begin: it ended with {process.wait()}"]
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        status = process.wait(PATIENCE)
    left = []
    if status != -signal.SIGKILL:
        left.append(f"it ended with {status} before the signal came")
    left += [f"process {pid}" for pid in processes_with_mark(mark)]
    left += [f"file {name}" for name in sorted(temporary_entries() - before)]
    left += [f"file {name}" for name in sorted(set(os.listdir(directory)) - {"mapped", "trace"})]
    if stays_locked(f"{directory}/mapped"):
        left.append("a lock on the mapped file")
    return left


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    quire, busy = (str(pathlib.Path(name).resolve()) for name in sys.argv[1:])
    probe = subprocess.run([quire, "run", "--", "/bin/true"], capture_output=True, text=True, check=False)
    if probe.returncode == NO_KVM:
        print(f"skipped: {probe.stderr.strip()}")
        print("0 passed, 0 failed, 1 skipped")
        return 77
    moments = random.Random(SEED)
    failed = 0
    for _ in range(ROUNDS):
        moment = moments.uniform(0, LONGEST)
        with tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="kill-") as directory:
            left = kill_once(quire, busy, directory, moment)
        print(f"{'FAILED ' if left else 'ok     '}  killed after {moment:.3f} s")
        for line in left:
            print("   | " + line)
        failed += bool(left)
    print(f"{ROUNDS - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
