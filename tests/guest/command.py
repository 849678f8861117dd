#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`quire run` as its user meets it: what it answers to a wrong command line, where report and trace go, what they hold,
and how the program's end comes back.

usage: command.py QUIRE BUSY

BUSY is the program that never ends by itself. Exit status: 0 all passed, 1 not, 77 no KVM.
"""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

NO_KVM = 69
TIMEOUT = 120


class Command(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="quire-command-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def run_quire(self, *arguments):
        return subprocess.run(
            [QUIRE, "run", *arguments],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def assert_refused(self, run, status, *words):
        self.assertEqual(run.returncode, status, run.stderr)
        self.assertEqual(run.stdout, "")
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        for word in words:
            self.assertIn(word, run.stderr)

    def test_what_cannot_start(self):
        (self.directory / "text").write_text("no program\n")
        self.assert_refused(self.run_quire("--", "./missing"), 127, "./missing", "No such file")
        self.assert_refused(self.run_quire("--", "./text"), 126, "./text", "Permission denied")

    def test_files_that_cannot_be_written(self):
        for option in ("report", "trace"):
            run = self.run_quire(f"--{option}=missing/file", "--", "/bin/sh", "-c", "echo it ran")
            self.assert_refused(run, 1, option, "missing/file", "No such file")

    def test_end_of_the_program(self):
        run = self.run_quire("--", "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual((run.returncode, run.stdout, run.stderr), (7, "out\n", "err\n"))
        run = self.run_quire("--", "/bin/sh", "-c", "kill -TERM $$")
        self.assertEqual(run.returncode, -signal.SIGTERM)

    def test_report_file(self):
        (self.directory / "elsewhere").mkdir()
        script = "cd elsewhere && echo there >file && exit 3"
        run = self.run_quire("--report=report.json", "--", "/bin/sh", "-c", script)
        self.assertEqual((run.returncode, run.stdout, run.stderr), (3, "", ""))
        # It stays where it was asked for.
        self.assertEqual([path.name for path in (self.directory / "elsewhere").iterdir()], ["file"])
        report = json.loads((self.directory / "report.json").read_text())
        self.assertEqual(report["exit"], {"status": 3})
        calls = {call["name"]: call for call in report["syscalls"]}
        self.assertEqual((calls["chdir"]["count"], calls["chdir"]["errors"]), (1, 0))
        self.assertGreaterEqual(calls["write"]["count"], 1)
        self.assertGreater(report["events"]["faults"], 0)
        self.assertTrue([mapping for mapping in report["mappings"] if mapping["name"] == "[stack]"])

    def test_report_as_text(self):
        run = self.run_quire("--report", "--", "/bin/sh", "-c", "echo out; exit 3")
        self.assertEqual((run.returncode, run.stdout), (3, "out\n"))
        self.assertRegex(run.stderr, r"^quire: \S+ \(pid \d+\) ended with status 3 after ")
        for word in ("mappings", "[stack]", "system calls", "write"):
            self.assertIn(word, run.stderr)

    def test_report_and_trace_that_do_not_arrive(self):
        run = self.run_quire("--report=/dev/full", "--trace=/dev/full", "--", "/bin/sh", "-c", "exit 3")
        self.assertEqual(run.returncode, 3)
        for word in ("report", "trace", "No space left"):
            self.assertIn(word, run.stderr)

    def test_trace(self):
        run = self.run_quire("--trace=trace", "--", "/bin/sh", "-c", "cd / && exit 3")
        self.assertEqual((run.returncode, run.stderr), (3, ""))
        printed = subprocess.run(
            [QUIRE, "trace", "trace"], cwd=self.directory, capture_output=True, text=True, timeout=TIMEOUT, check=True
        )
        self.assertIn("mmap", printed.stdout)
        self.assertIn("fault", printed.stdout)

    def test_state_while_it_runs(self):
        with subprocess.Popen(
            [QUIRE, "run", "-m", "16M", "--swap=memory:96M", "--", BUSY, "file"],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            # It has begun once it prints.
            process.stdout.readline()
            process.send_signal(signal.SIGUSR1)
            while "system calls" not in process.stderr.readline():
                self.assertIsNone(process.poll())
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=TIMEOUT)
            self.assertEqual(process.returncode, -signal.SIGTERM)


def main():
    probe = subprocess.run([QUIRE, "run", "--", "/bin/true"], capture_output=True, text=True, check=False)
    if probe.returncode == NO_KVM:
        print(probe.stderr.strip())
        sys.exit(77)
    unittest.main()


if __name__ == "__main__":
    QUIRE, BUSY = (str(pathlib.Path(sys.argv.pop(1)).resolve()) for _ in range(2))
    main()
