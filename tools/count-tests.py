#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns meson's test logs (build/KIND/meson-logs/testlog.json, one JSON object a line) into one closing line.

Each meson test (an executable or a script) counts once. The names of failed tests are printed first. The exit status
is 0 only if at least one test ran and none failed.
"""

import argparse
import json
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP"}


def count(path, totals):
    try:
        with open(path, encoding="utf-8") as log:
            lines = [line for line in log if line.strip()]
    except FileNotFoundError:
        print(f"no tests ran: {path} was not written")
        return
    for line in lines:
        test = json.loads(line)
        if test["result"] in PASSED:
            totals["passed"] += 1
        elif test["result"] in SKIPPED:
            totals["skipped"] += 1
        else:
            totals["failed"] += 1
            print(f"{test['result']}: {test['name']} ({path})")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broken", type=int, default=0, help="failures that no log knows of, such as broken builds")
    parser.add_argument("logs", nargs="*")
    arguments = parser.parse_args()
    totals = {"passed": 0, "failed": arguments.broken, "skipped": 0}
    for path in arguments.logs:
        count(path, totals)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**totals))
    return 1 if totals["failed"] or not totals["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
