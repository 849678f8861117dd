#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs guest programs on the plain kernel and under `quire run`, and compares what they print, how they end and the
files they leave.

usage: run.py [--each] [--memory=N] [--wrapper=PROGRAM] QUIRE PROGRAM...

Each program runs natively, under Quire, and under Quire with a budget of N bytes and swap. --each: each of its cases,
which it lists when called with --list, is a run of its own. --wrapper: Quire is run by that program. One line for each
comparison; the last line counts them.
Exit status: 0 all the same, 1 not, 77 all skipped.
"""

import argparse
import difflib
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

TIMEOUT = 60
NO_KVM = 69
INPUT = b"first line\nsecond line\n"


class Outcome:
    """What is left of a run."""

    def __init__(self, status, output, errors, files):
        self.status = status
        self.output = output
        self.errors = errors
        self.files = files

    def differences(self, other):
        """Lines that say how `other` differs from this one."""
        lines = []
        if self.status != other.status:
            lines.append(f"ended with {describe(other.status)}, natively with {describe(self.status)}")
        lines += difflib.unified_diff(
            self.output.splitlines(), other.output.splitlines(), "native", "quire", lineterm="", n=2
        )
        if self.files != other.files:
            lines.append(f"left {other.files}, natively {self.files}")
        if lines and other.errors:
            lines += ["standard error:"] + other.errors.splitlines()[-20:]
        return lines


def describe(status):
    if status is None:
        return f"nothing within {TIMEOUT} s"
    return f"signal {-status}" if status < 0 else f"status {status}"


def files_below(directory):
    found = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "-"
        found[str(path.relative_to(directory))] = (path.lstat().st_size if path.is_file() else 0, content)
    return found


def text_of(output):
    return output.decode(errors="backslashreplace")


def run(command):
    environment = dict(os.environ, GUEST_GIVEN="given")
    with tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="guest-") as directory:
        try:
            done = subprocess.run(
                command, cwd=directory, input=INPUT, capture_output=True, timeout=TIMEOUT, env=environment, check=False
            )
            status, output, errors = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as expired:
            status, output, errors = None, expired.stdout or b"", expired.stderr or b""
        return Outcome(status, text_of(output), text_of(errors), files_below(directory))


def cases_of(program):
    return subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--memory", default="16M")
    parser.add_argument("--wrapper", type=pathlib.Path)
    parser.add_argument("quire", type=pathlib.Path)
    parser.add_argument("programs", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    quire = [str(program.resolve()) for program in (arguments.wrapper, arguments.quire) if program] + ["run"]
    variants = {
        "quire": quire + ["--"],
        f"quire -m {arguments.memory}": quire + ["-m", arguments.memory, "--swap=memory", "--"],
    }
    probe = subprocess.run(quire + ["--", "/bin/true"], capture_output=True, text=True, check=False)
    passed = failed = skipped = 0
    for program in arguments.programs:
        for case in cases_of(program) if arguments.each else [None]:
            command = [str(program.resolve())] + ([case] if case else [])
            name = program.name + (f" {case}" if case else "")
            if probe.returncode == NO_KVM:
                skipped += len(variants)
                print(f"skipped  {name}: {probe.stderr.strip()}")
                continue
            native = run(command)
            for variant, prefix in variants.items():
                lines = native.differences(run(prefix + command))
                print(f"{'FAILED ' if lines else 'ok     '}  {name}, {variant}", flush=True)
                failed += bool(lines)
                passed += not lines
                for line in lines:
                    print("   | " + line)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    if failed:
        return 1
    return 0 if passed else 77


if __name__ == "__main__":
    sys.exit(main())
