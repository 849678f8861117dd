#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs fuzz_syscalls under `quire run` with a number of seeds: it must get to its end each time.

A seed that fails is named; its calls are listed by
    quire run -- fuzz_syscalls SEED COUNT THREADS verbose
in an empty directory."""

import argparse
import pathlib
import subprocess
import sys
import tempfile

TIMEOUT = 60
NO_KVM = 69
SKIPPED = 77


def run(arguments, seed):
    """The way it ended, or None when all was well."""
    command = [
        arguments.quire.resolve(),
        "run",
        "-m",
        arguments.memory,
        "--",
        arguments.program.resolve(),
        str(seed),
        str(arguments.calls),
        str(arguments.threads),
    ]
    with tempfile.TemporaryDirectory(prefix="quire-fuzz-", ignore_cleanup_errors=True) as directory:
        try:
            result = subprocess.run(
                # Pipes, as it also changes owners and modes of what it has open.
                command,
                cwd=directory,
                input=b"",
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "did not end"
    if result.returncode == NO_KVM:
        print(result.stderr.decode(errors="replace"), end="")
        sys.exit(SKIPPED)
    if result.returncode:
        return f"exit status {result.returncode}: " + result.stderr.decode(errors="replace")[-400:]
    if b"some of which failed" not in result.stdout:
        return "said " + repr(result.stdout)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memory", default="32M")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("quire", type=pathlib.Path)
    parser.add_argument("program", type=pathlib.Path)
    arguments = parser.parse_args()
    failed = 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        problem = run(arguments, seed)
        if problem:
            failed += 1
            print(f"seed {seed}: {problem}")
    print(f"{arguments.seeds - failed} of {arguments.seeds} seeds of {arguments.calls} calls came to their end")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
