#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the benchmark quickly and looks at the shape of what it writes, never at how fast anything was: every figure is
there, has a positive number in each column that must have one, and the ratios are those of their columns.
"""

import pathlib
import subprocess
import sys
import tempfile

ROWS = [
    "mmap_munmap",
    "mmap_munmap_60k",
    "mprotect_split",
    "mprotect_merge",
    "fault_anon",
    "fault_anon_60k",
    "fault_file",
    "fault_cow",
    "fork_page",
    "pread_cached",
]
ABSOLUTE = ["find_vma_65k", "tlb_hit_load", "walk", "metadata_percent"]


def table(path):
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def expect(condition, message):
    if not condition:
        sys.exit(f"bench: {message}")


def main():
    with tempfile.TemporaryDirectory() as directory:
        output = pathlib.Path(directory) / "core.tsv"
        command = [sys.argv[1], "--quick", f"--output={output}", f"--directory={directory}"]
        subprocess.run(command, check=True)

        rows = table(output)
        expect([row[0] for row in rows] == ROWS, f"figures of core.tsv: {[row[0] for row in rows]}")
        for name, *values in rows:
            expect(len(values) == 3, f"{name} has {len(values)} numbers")
            quire, linux, ratio = map(float, values)
            expect(quire > 0 and linux > 0 and ratio > 0, f"{name}: not positive: {values}")
            expect(abs(ratio - quire / linux) < 0.01 * ratio + 0.001, f"{name}: ratio of other numbers: {values}")

        absolute = table(output.with_name("absolute.tsv"))
        names = [row[0] for row in absolute]
        expect(all(name in names for name in ABSOLUTE), f"figures of absolute.tsv: {names}")
        expect(all(float(value) > 0 for row in absolute for value in row[1:]), "absolute.tsv: not positive")

        growth = table(output.with_name("growth.tsv"))
        expect({row[0] for row in growth} == {"vmas", "pages"}, "growth.tsv lacks a table")
        expect(all(float(value) > 0 for row in growth for value in row[1:]), "growth.tsv: not positive")

        header, *sizes = table(output.with_name("mmap_vs_read.tsv"))
        expect(len(header) == 13 and len(sizes) == 5, "mmap_vs_read.tsv has another shape")
        expect(all(float(value) > 0 for row in sizes for value in row), "mmap_vs_read.tsv: not positive")


if __name__ == "__main__":
    main()
