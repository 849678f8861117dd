#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the text of every file in the work tree that git knows: no path of one particular machine, no host of a
package registry, no unfinished work, no conflict marker, no white space at the end of a line, a line end at the end.
Each violation is printed as FILE:LINE: RULE.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

RULES = [
    (re.compile(r"(?<![\w.])/(?:work|home|root|Users)/\w"), "a path of one particular machine"),
    (re.compile(r"\b(?:deb\.debian\.org|pypi\.org|registry\.npmjs\.org|proxy\.golang\.org)\b"), "a registry's host"),
    (re.compile(r"\b(?:TODO|FIXME|XXX|HACK|TBD)\b"), "unfinished work"),
    (re.compile(r"(?i)\b(?:co-authored-by:|generated (?:by|with) an?\b)"), "the repository speaks of Quire alone"),
    (re.compile(r"^(?:<{7}|>{7}|={7})(?: |$)"), "a conflict marker"),
]
BLANKS = re.compile(r"[ \t]+$")
# This file spells the rules out; expected outputs of programs are taken as they are.
EXEMPT = {"tools/check-text.py"}
VERBATIM = {".expected", ".out", ".bin", ".png"}


def check(path, name):
    data = path.read_bytes()
    if b"\0" in data or path.suffix in VERBATIM:
        return
    text = data.decode("utf-8", errors="replace")
    if "\ufffd" in text:
        yield 1, "not UTF-8"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "no line end at the end of the file"
    for number, line in enumerate(text.splitlines(), 1):
        if BLANKS.search(line):
            yield number, "white space at the end of the line"
        if name in EXEMPT:
            continue
        for pattern, rule in RULES:
            if pattern.search(line):
                yield number, rule


def main():
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    names = [name for name in listing.decode("utf-8").split("\0") if name]
    found = 0
    for name in names:
        path = ROOT / name
        if not path.is_file() or path.is_symlink():
            continue
        for number, rule in check(path, name):
            print(f"{name}:{number}: {rule}")
            found += 1
    print(f"text: {len(names)} files, {found} violations")
    return 1 if found or not names else 0


if __name__ == "__main__":
    sys.exit(main())
