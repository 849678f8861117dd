#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a script of the shell's language on a machine and compares what it prints with SCRIPT's .expected file.

usage: run.py QUIRE MACHINE SCRIPT [--update]

The script runs in a new directory below the current one, which is removed afterwards. Comments in the script direct it:

    # options: --memory=16M       further options of `quire shell`
    # requires-linux: 6.13        skipped on the linux machine when the kernel is older

On the kvm machine, where there is one process so far, a script ends before its first `fork`. SCRIPT.kvm.expected stands for
the .expected file there, where docs/semantics.md says why the two differ.

Exit status: 0 same, 1 different, 77 skipped. --update writes the .expected file instead.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

TIMEOUT = 60
NO_KVM = 69


def directive(text, name):
    match = re.search(rf"^# {name}: *(.*)$", text, re.MULTILINE)
    return match.group(1).strip() if match else ""


def kernel_is_older(version):
    have = [int(n) for n in re.findall(r"\d+", os.uname().release)[:2]]
    return have < [int(n) for n in version.split(".")]


def blocks(output):
    """One list of lines for each command: the indented ones, then the one that starts at the margin."""
    block = []
    for line in output.splitlines():
        block.append(line)
        if not line.startswith("  "):
            yield block
            block = []
    if block:
        yield block


def commands(text):
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def report(script, text, expected, output):
    """Prints every command whose answer differs."""
    wanted, got = list(blocks(expected)), list(blocks(output))
    for index, (number, command) in enumerate(commands(text)):
        want = wanted[index] if index < len(wanted) else ["(nothing)"]
        have = got[index] if index < len(got) else ["(nothing)"]
        if want != have:
            print(f"{script}:{number}: {command}")
            print("  expected  " + "\n            ".join(want))
            print("  printed   " + "\n            ".join(have))


def without_fork(text):
    """The script up to its first fork."""
    kept = []
    for line in text.splitlines(keepends=True):
        if "fork" in line.split("#")[0].split():
            break
        kept.append(line)
    return "".join(kept)


def first_blocks(text, expected):
    """What the commands of `text` print, of a longer script's output."""
    wanted = list(blocks(expected))[: len(list(commands(text)))]
    return "".join(line + "\n" for block in wanted for line in block)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    quire, machine, script = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], pathlib.Path(sys.argv[3]).resolve()
    text = script.read_text()
    needed = directive(text, "requires-linux")
    if machine == "kvm":
        text = without_fork(text)
    if machine == "linux" and needed and kernel_is_older(needed):
        print(f"skipped: needs Linux {needed}")
        return 77
    with tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="script-") as directory:
        run = subprocess.run(
            [quire, "shell", f"--machine={machine}", *directive(text, "options").split()],
            cwd=directory,
            input=text.encode(),
            stdout=subprocess.PIPE,
            timeout=TIMEOUT,
            check=False,
        )
    if machine == "kvm" and run.returncode == NO_KVM:
        print("skipped: there is no KVM")
        return 77
    output = run.stdout.decode("utf-8", errors="backslashreplace")
    expected_file = script.with_suffix(f".{machine}.expected")
    if not expected_file.exists():
        expected_file = script.with_suffix(".expected")
    if "--update" in sys.argv:
        expected_file.write_text(output)
        return 0
    expected = first_blocks(text, expected_file.read_text())
    if run.returncode != 0:
        print(f"quire shell ended with status {run.returncode}")
    if output != expected:
        report(script.name, text, expected, output)
    return 0 if run.returncode == 0 and output == expected else 1


if __name__ == "__main__":
    sys.exit(main())
