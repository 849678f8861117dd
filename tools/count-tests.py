#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns meson's test logs (build/KIND/meson-logs/testlog.json, one JSON object a line) into one closing line.

Each meson test (an executable or a script) counts once. Before that line come the failed tests: the end of what each
printed, then the names of all, a line each. The exit status is 0 only if at least one test ran and none failed.
"""

import argparse
import json
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP"}
LINES_OF_A_FAILURE = 30


def show_failure(test):
    print(f"-- {test['name']}: {test['result']}, the end of its output:")
    printed = (test.get("stdout") or "") + (test.get("stderr") or "")
    for line in printed.splitlines()[-LINES_OF_A_FAILURE:]:
        print(f"   {line}")


def count(path, totals, failures):
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
            failures.append(f"failed: {test['name']}: {test['result']} ({path})")
            show_failure(test)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broken", type=int, default=0, help="failures that no log knows of, such as broken builds")
    parser.add_argument("logs", nargs="*")
    arguments = parser.parse_args()
    totals = {"passed": 0, "failed": arguments.broken, "skipped": 0}
    failures = []
    for path in arguments.logs:
        count(path, totals, failures)
    for failure in failures:
        print(failure)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**totals))
    return 1 if totals["failed"] or not totals["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
