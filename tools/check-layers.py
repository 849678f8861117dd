#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares every #include with the layer table and checks what each source file must look like.

Dependencies point down: tools, then run, then machine and store (beside each other), then core, then base. base, core and the
public headers make no system call, so they include nothing of an operating system, only the C headers listed below.
Unit tests (*_test.c and *_test.h) and what they share (test_*, *_test_support) may include anything. Each violation is printed as FILE:LINE: RULE.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# For each layer, the layers whose headers it may include.
LAYERS = {
    "base": {"base"},
    "core": {"core", "base"},
    "machine": {"machine", "core", "base"},
    "store": {"store", "core", "base"},
    "run": {"run", "machine", "store", "core", "base"},
    "tools": {"tools", "run", "machine", "store", "core", "base"},
}
# The rooms of the core may include each other's headers; there are no others.
ROOMS = {"frame", "pgtable", "vma", "file", "rmap", "reclaim", "fault", "call", "instance"}
# Layers without an operating system below them.
PURE = {"base", "core", "include"}
C_HEADERS = {
    "ctype.h",
    "errno.h",
    "inttypes.h",
    "limits.h",
    "stdalign.h",
    "stdarg.h",
    "stdatomic.h",
    "stdbool.h",
    "stddef.h",
    "stdint.h",
    "stdio.h",
    "stdlib.h",
    "string.h",
}
LINES = 600
TEST_LINES = 900
SPDX = "/* SPDX-License-Identifier: MIT */"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def is_test(path):
    return path.stem.endswith(("_test", "_test_support")) or path.stem.startswith("test_")


def quoted_rule(layer, name):
    """Why `layer` may not include "name", or None."""
    if layer == "include":
        return f'public headers include only <quire/...> and C headers, not "{name}"'
    if not (ROOT / "src" / name).is_file():
        return f'an include names the path from src/: "{name}" is no file there'
    target = name.split("/")[0]
    if target not in LAYERS[layer]:
        return f'{layer} may not include {target}: "{name}" (allowed: {", ".join(sorted(LAYERS[layer]))})'
    return None


def angled_rule(layer, name):
    """Why `layer` may not include <name>, or None."""
    if name.startswith("quire/"):
        return f"base stands below the public interface: <{name}>" if layer == "base" else None
    if layer in PURE and name not in C_HEADERS:
        return f"{layer} includes only C headers without an operating system: <{name}>"
    return None


def check_includes(layer, lines):
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, name = match.groups()
        rule = quoted_rule(layer, name) if quote == '"' else angled_rule(layer, name)
        if rule:
            yield number, rule


def check_shape(path, lines):
    limit = TEST_LINES if is_test(path) else LINES
    if len(lines) > limit:
        yield limit + 1, f"{len(lines)} lines, more than {limit}: split the file"
    if not lines or lines[0].strip() != SPDX:
        yield 1, f"the first line is {SPDX}"
        return
    if len(lines) < 2 or not lines[1].startswith("/*"):
        yield 2, "a comment that says what the file is for follows the SPDX line"


def check_place(layer, path):
    if layer not in LAYERS:
        yield 1, f"src/{layer} is not a layer"
    parts = path.relative_to(ROOT / "src").parts
    if layer == "core" and (len(parts) < 3 or parts[1] not in ROOMS):
        yield 1, f"a file of the core stands in one of its rooms: {', '.join(sorted(ROOMS))}"


def sources(top):
    return sorted(path for path in (ROOT / top).rglob("*") if path.suffix in (".c", ".h"))


def main():
    checked = 0
    found = []
    for top in ("src", "include"):
        for path in sources(top):
            checked += 1
            layer = path.relative_to(ROOT / "src").parts[0] if top == "src" else "include"
            lines = path.read_text(encoding="utf-8").splitlines()
            problems = list(check_shape(path, lines))
            if top == "src":
                problems += check_place(layer, path)
            if not is_test(path) and layer in (*LAYERS, "include"):
                problems += check_includes(layer, lines)
            found += [f"{path.relative_to(ROOT)}:{number}: {rule}" for number, rule in problems]
    for problem in found:
        print(problem)
    print(f"layers: {checked} files, {len(found)} violations")
    return 1 if found or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
