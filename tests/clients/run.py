#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs real programs natively, under `quire run`, and under `quire run` with a budget below what they need; compares
standard output, exit statuses and the files left behind; and checks in Quire's own report that it served the memory.

usage: run.py [--native] QUIRE SCRIPT...

A SCRIPT is in the language of client.sh. Its comments direct it:

    # packages: sqlite3        Debian packages; the script is skipped where one is missing
    # memory: 32M              the tight budget
    # expects: evicted swap_out    events of the report that must be above zero under the tight budget
    # ignore: *.lock           files whose contents may differ
    # skip: reason             it cannot be run yet

--native: only try the scripts on the plain kernel, twice. One line for each comparison; the last line counts them.
Exit status: 0 all the same, 1 not, 77 all skipped.
"""

import argparse
import difflib
import fnmatch
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TIMEOUT = 300
NO_KVM = 69
EVENTS = ("faults", "evicted", "swap_out", "swap_in", "file_pages_written")
HERE = pathlib.Path(__file__).resolve().parent


def directive(text, name):
    match = re.search(rf"^# {name}: *(.*)$", text, re.MULTILINE)
    return match.group(1).strip() if match else ""


def missing_package(packages):
    for package in packages.split():
        query = ["dpkg-query", "-W", "-f=${db:Status-Status}", package]
        if not shutil.which("dpkg-query"):
            return package
        if subprocess.run(query, capture_output=True, check=False).stdout != b"installed":
            return package
    return None


def files_below(directory, ignore):
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if not path.is_file() or any(fnmatch.fnmatch(name, pattern) for pattern in ignore.split()):
            found[name] = "present"
            continue
        with open(path, "rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return found


class Run:
    """One load, in a new directory below `top`."""

    def __init__(self, script, top, quire=None, options=""):
        work, reports = top / "work", top / "reports"
        statuses, output, errors = top / "statuses", top / "output", top / "errors"
        for directory in (work, reports):
            directory.mkdir(parents=True)
        statuses.touch()
        environment = dict(
            os.environ,
            INPUT=str(top.parent / "input"),
            STATUSES=str(statuses),
            REPORTS=str(reports),
            QUIRE=quire or "",
            OPTIONS=options,
        )
        start = time.monotonic()
        with open(output, "wb") as out, open(errors, "wb") as err:
            with subprocess.Popen(
                [HERE / "client.sh", script, "load"],
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            ) as process:
                try:
                    process.wait(TIMEOUT)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    statuses.write_text(f"nothing within {TIMEOUT} s\n")
        self.seconds = time.monotonic() - start
        self.statuses = sorted(statuses.read_text().splitlines())
        self.output = output.read_text(errors="backslashreplace").splitlines()
        self.errors = errors.read_text(errors="backslashreplace").splitlines()
        self.files = files_below(work, directive(pathlib.Path(script).read_text(), "ignore"))
        self.reports = [json.loads(path.read_text()) for path in reports.glob("*.json")]
        shutil.rmtree(top)

    def events(self, name):
        return sum(report["events"][name] for report in self.reports)

    def differences(self, native):
        lines = []
        for what in ("statuses", "output"):
            have, want = getattr(self, what), getattr(native, what)
            lines += list(difflib.unified_diff(want, have, f"{what} natively", what, lineterm="", n=1))[:40]
        files = []
        for name in sorted(set(self.files) | set(native.files)):
            have, want = self.files.get(name, "missing"), native.files.get(name, "missing")
            if have != want:
                files.append(f"file {name}: {have}, natively {want}")
        lines += files[:10]
        if lines:
            lines += ["standard error:"] + self.errors[-15:]
        return lines

    def unserved(self, expected):
        """What its reports should say of the memory and do not."""
        lines = []
        if len(self.reports) != len(self.statuses):
            lines.append(f"{len(self.reports)} reports of {len(self.statuses)} runs")
        lines += [f"no {name} in the reports" for name in expected if not self.events(name)]
        return lines


class Clients:
    """The scripts' runs, and how many of them came out as they should."""

    def __init__(self, quire, no_kvm):
        self.quire = quire
        self.no_kvm = no_kvm
        self.passed = self.failed = self.skipped = 0

    def skip(self, name, why, count):
        self.skipped += count
        print(f"skipped  {name}: {why}", flush=True)

    def judge(self, name, run, lines):
        self.failed += bool(lines)
        self.passed += not lines
        figures = f"{run.seconds:.1f} s"
        if run.reports:
            peak = max(report["memory"]["peak_bytes"] for report in run.reports)
            figures += f", peak {peak >> 20} MiB"
            figures += "".join(f", {run.events(event)} {event}" for event in EVENTS)
        print(f"{'FAILED ' if lines else 'ok     '}  {name}: {figures}", flush=True)
        for line in lines:
            print("   | " + line, flush=True)

    def run(self, script, native_only):
        text = script.read_text()
        memory = directive(text, "memory")
        missing = missing_package(directive(text, "packages"))
        why = directive(text, "skip") or (missing and f"package {missing} is not installed") or self.no_kvm
        if why and not (native_only and why == self.no_kvm):
            self.skip(script.stem, why, 2)
            return
        with tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="clients-") as directory:
            top = pathlib.Path(directory)
            (top / "input").mkdir()
            subprocess.run([HERE / "client.sh", script, "prepare"], cwd=top / "input", check=True)
            native = Run(script, top / "native")
            if native_only:
                again = Run(script, top / "again")
                self.judge(f"{script.stem}, natively", native, again.differences(native))
                print("   " + "; ".join(native.statuses + native.output[:4] + native.errors[:4]))
                return
            ample = Run(script, top / "ample", self.quire)
            self.judge(script.stem, ample, ample.differences(native) + ample.unserved(["faults"]))
            tight = Run(script, top / "tight", self.quire, f"-m {memory}")
            expected = ["faults"] + directive(text, "expects").split()
            self.judge(f"{script.stem}, -m {memory}", tight, tight.differences(native) + tight.unserved(expected))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--native", action="store_true")
    parser.add_argument("quire", type=pathlib.Path)
    parser.add_argument("scripts", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    quire = str(arguments.quire.resolve())
    probe = subprocess.run([quire, "run", "--", "/bin/true"], capture_output=True, text=True, check=False)
    clients = Clients(quire, probe.stderr.strip() if probe.returncode == NO_KVM else "")
    for script in arguments.scripts:
        clients.run(script.resolve(), arguments.native)
    print(f"{clients.passed} passed, {clients.failed} failed, {clients.skipped} skipped")
    if clients.failed:
        return 1
    return 0 if clients.passed else 77


if __name__ == "__main__":
    sys.exit(main())
