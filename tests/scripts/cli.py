#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the command line: exit statuses, messages, JSON, `quire diff` and what it leaves behind.

usage: cli.py QUIRE
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

QUIRE = None

SHOW_SCRIPT = """\
open f file rw create trunc
pwrite f "page" 0
mmap s 2p rw shared f
mmap a 3p rw private,anon
store a "x"
madvise a+1p 1p guard_install
fork kid
kid: store a "y"
show mm
show list
show tree
show layout
show vma a
show pte a
show pagetable
show state a 3p
show cache f
show rmap f
show anon a
show lru
show swap
show stat
"""

# What each view has at least.
MEMBERS = {
    "mm": ["name", "map_count", "start_brk", "mmap_base", "total_vm", "rss_anon", "limit_memlock", "budget"],
    "list": ["vmas"],
    "tree": ["root"],
    "layout": ["task_size", "mmap_base", "vmas"],
    "vma": ["vm_start", "vm_end", "perms", "vm_flags", "vm_pgoff", "anon_vma"],
    "pte": ["walk", "page"],
    "pagetable": ["root"],
    "state": ["pages"],
    "cache": ["name", "size", "cached", "runs"],
    "rmap": ["name", "mappings"],
    "anon": ["anon_vmas", "page"],
    "lru": ["groups"],
    "swap": ["slots", "used", "free"],
    "stat": ["frames", "frames_free", "faults", "cow_copies"],
}


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="cli-")
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return pathlib.Path(self.directory.name, name)

    def run_quire(self, *arguments, script=""):
        return subprocess.run(
            [QUIRE, *arguments],
            cwd=self.directory.name,
            input=script,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_version_and_help(self):
        self.assertRegex(self.run_quire("--version").stdout, r"^quire \d+\.\d+\.\d+\n$")
        for arguments in (["help"], ["--help"], ["-h"], ["help", "shell"], ["shell", "--help"], ["diff", "--help"]):
            run = self.run_quire(*arguments)
            self.assertEqual(run.returncode, 0, arguments)
            self.assertIn("usage: quire", run.stdout)

    def test_wrong_usage(self):
        for arguments in (
            [],
            ["nothing"],
            ["help", "nothing"],
            ["shell", "--nothing"],
            ["shell", "--machine=pdp11"],
            ["shell", "--memory=lots"],
            ["shell", "--memory=4K"],
            ["shell", "--swap=file"],
            ["shell", "--swap=:1M"],
            ["shell", "--seed=-1"],
            ["shell", "one", "two"],
            ["diff", "--json"],
            ["diff", "--machine=linux"],
        ):
            run = self.run_quire(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertEqual(run.stdout, "")
            self.assertNotEqual(run.stderr, "")

    def test_missing_files(self):
        for command in ("shell", "diff"):
            run = self.run_quire(command, "no-such-script")
            self.assertEqual(run.returncode, 1)
            self.assertIn("no-such-script", run.stderr)
        run = self.run_quire("shell", "--swap=no/such/directory:1M")
        self.assertEqual(run.returncode, 69)
        self.assertIn("no/such/directory", run.stderr)

    def test_answers_come_at_once(self):
        for machine in ("soft", "linux"):
            with subprocess.Popen(
                [QUIRE, "shell", f"--machine={machine}"],
                cwd=self.directory.name,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as process:
                for line, answer in (
                    ("mmap a 1p rw private,anon", "ok\n"),
                    ("load a 1", '= "\\x00"\n'),
                    ("load a+1p 1", "signal SIGSEGV SEGV_MAPERR\n"),
                ):
                    process.stdin.write(line + "\n")
                    process.stdin.flush()
                    self.assertEqual(process.stdout.readline(), answer)
                process.stdin.close()
                self.assertEqual(process.wait(timeout=60), 0)

    def test_quire_only_commands(self):
        script = "show mm\nreclaim 1\nwriteback\nbudget 1M\ncheck\nexec file\n"
        run = self.run_quire("shell", "--machine=linux", script=script)
        self.assertEqual(run.stdout, "error ENOSYS\n" * 6)
        self.assertEqual(run.returncode, 0)

    def test_process_that_dies(self):
        script = "fork kid\nmunmap 0x400000 1M\nmaps\nmain: maps\nkid: mmap a 1p rw private,anon\n"
        run = self.run_quire("shell", "--machine=linux", script=script)
        self.assertEqual(run.stdout, "ok\nerror ESRCH\nerror ESRCH\nerror ESRCH\nok\n")
        self.assertIn("SIGSEGV", run.stderr)

    def test_json_forms(self):
        script = 'mmap a 1p r private,anon\nstore a "x"\nload a 2\nmincore a 1p\nmaps\nghost: maps\n"\nbogus\n'
        for machine in ("soft", "linux"):
            run = self.run_quire("shell", "--json", f"--machine={machine}", script=script)
            answers = [json.loads(line) for line in run.stdout.splitlines()]
            for answer in answers:
                answer.pop("why", None)
            main = {"process": "main"}
            region = {"region": "a", "start": 0, "end": 4096, "perms": "r--p", "offset": 0, "name": "anon"}
            self.assertEqual(
                answers,
                [
                    {"line": 1, **main, "command": "mmap", "result": "ok"},
                    {
                        "line": 2,
                        **main,
                        "command": "store",
                        "result": "signal",
                        "signal": "SIGSEGV",
                        "code": "SEGV_ACCERR",
                    },
                    {"line": 3, **main, "command": "load", "result": "value", "value": "\\x00\\x00"},
                    {"line": 4, **main, "command": "mincore", "result": "value", "value": "1"},
                    {"line": 5, **main, "command": "maps", "result": "ok", "maps": [region]},
                    {"line": 6, "process": "ghost", "command": "maps", "result": "error", "error": "ESRCH"},
                    {"line": 7, **main, "result": "error", "error": "EINVAL"},
                    {"line": 8, **main, "result": "error", "error": "EINVAL"},
                ],
            )

    def test_views(self):
        text = self.run_quire("shell", "--swap=swap:1M", script=SHOW_SCRIPT)
        self.assertNotRegex(text.stdout, "(?m)^(error|signal)")
        run = self.run_quire("shell", "--swap=swap:1M", "--json", script=SHOW_SCRIPT)
        views = {}
        for line, answer in zip(SHOW_SCRIPT.splitlines(), run.stdout.splitlines()):
            self.assertIn('"result":', answer)
            if line.startswith("show"):
                topic = line.split()[1]
                views[topic] = json.loads(answer)[topic]
        self.assertEqual(set(views), set(MEMBERS))
        for topic, members in MEMBERS.items():
            for member in members:
                self.assertIn(member, views[topic], topic)
        self.assertEqual([page["state"] for page in views["state"]["pages"]], ["mapped", "allocated", "allocated"])
        self.assertEqual({mapping["process"] for mapping in views["rmap"]["mappings"]}, {"main", "kid"})
        self.assertEqual(views["pte"]["walk"][-1]["level"], "pte")
        self.assertIn("write", views["pte"]["walk"][-1]["meaning"])
        self.assertEqual(views["swap"]["slots"], 256)
        self.assertEqual(len(views["list"]["vmas"]), 2)

    def test_help_lists_every_command(self):
        run = self.run_quire("shell", "--json", script="help\n")
        names = {command["name"] for command in json.loads(run.stdout)["commands"]}
        self.assertLessEqual({"mmap", "open", "fork", "show", "check", "maps", "help"}, names)

    def test_diff_finds_a_difference(self):
        # exec is Quire's alone, so what comes behind it differs.
        script = 'mmap a 1p rw private,anon\nstore a "x"\nexec /bin/sh\n\nload a 1\nload a 1\n'
        run = self.run_quire("diff", script=script)
        self.assertEqual(run.returncode, 1)
        self.assertEqual(run.stdout, 'standard input:5: load a 1\n  linux = "x"\n  soft  error EINVAL\n')

    def test_diff_prints_longer_answers(self):
        script = "mmap a 1p rw private,anon\nmmap b 1p r private,anon\nexec /bin/sh\nmaps\n"
        run = self.run_quire("diff", script=script)
        self.assertEqual(run.returncode, 1)
        self.assertEqual(
            run.stdout,
            "standard input:4: maps\n"
            "  linux   b+0x0-b+0x1000 r--p 0x0 anon\n"
            "          a+0x0-a+0x1000 rw-p 0x0 anon\n"
            "        ok\n"
            "  soft  ok\n",
        )

    def test_diff_leaves_no_trace(self):
        kept, gone = self.path("kept"), self.path("gone")
        kept.write_bytes(b"as it was")
        gone.write_bytes(b"to be unlinked")
        kept.chmod(0o640)
        script = (
            'open f kept rw\npwrite f "CHANGED" 0\nopen g made rw create\nsize g\npwrite g "new" 0\n'
            "pread f 20 0\nunlink gone\nopen h gone r\n"
        )
        run = self.run_quire("diff", script=script)
        self.assertEqual(run.stdout, "standard input: 8 lines compared, no difference\n")
        self.assertEqual(run.returncode, 0)
        self.assertEqual(kept.read_bytes(), b"as it was")
        self.assertEqual(kept.stat().st_mode & 0o777, 0o640)
        self.assertEqual(gone.read_bytes(), b"to be unlinked")
        self.assertFalse(self.path("made").exists())

    def test_diff_keeps_the_names_of_a_file(self):
        names = [self.path(name) for name in ("one", "two", "three", "elsewhere")]
        names[0].write_bytes(b"as it was")
        for name in names[1:]:
            name.hardlink_to(names[0])
        inode = names[3].stat().st_ino
        script = (
            'open f one rw\nopen g two rw\npwrite f "CHANGED" 0\npread g 20 0\nunlink one\nopen h three rw\n'
            'pwrite h "AGAIN" 0\npread f 20 0\n'
        )
        run = self.run_quire("diff", script=script)
        self.assertEqual(run.stdout, "standard input: 8 lines compared, no difference\n")
        for name in names:
            self.assertEqual((name.read_bytes(), name.stat().st_ino), (b"as it was", inode))
        # All the names that the script knows are removed: they are one file again, if a new one.
        names[3].unlink()
        self.run_quire("diff", script="unlink one\nunlink two\nunlink three\n")
        self.assertEqual(names[0].read_bytes(), b"as it was")
        self.assertEqual(len({name.stat().st_ino for name in names[:3]}), 1)

    def test_stores_reach_the_file(self):
        for machine in ("soft", "linux"):
            script = "open f file rw create trunc\nftruncate f 2p\nmmap s 2p rw shared f\n"
            script += 'store s+4094 "across"\nmmap p 2p rw private f\nstore p "private"\n'
            run = self.run_quire("shell", f"--machine={machine}", script=script)
            self.assertEqual(run.stdout, "ok\n" * 6)
            self.assertEqual(self.path("file").read_bytes(), b"\0" * 4094 + b"across" + b"\0" * 4092)
            self.path("file").unlink()

    def test_near_subcommand_is_suggested(self):
        for word, near in (("shel", "shell"), ("hepl", "help"), ("dif", "diff"), ("gremlins", None)):
            run = self.run_quire(word)
            self.assertEqual(run.returncode, 2)
            self.assertIn(f"'{near}'" if near else "not a subcommand; `quire help`", run.stderr)

    def test_errors_say_where(self):
        self.path("script").write_text("mmap a 1p rw private,anon\nload b 1\nbogus\n")
        run = self.run_quire("shell", "script")
        self.assertEqual(run.stdout, "ok\nerror EINVAL\nerror EINVAL\n")
        self.assertRegex(run.stderr, r"^quire: script:2: .*'b'\nquire: script:3: 'bogus' .*\n$")
        self.assertEqual(self.run_quire("diff", "script").stderr, run.stderr)
        self.assertEqual(self.run_quire("shell", "--json", "script").stderr, "")

    def test_output_that_does_not_arrive(self):
        self.path("script").write_text("maps\n")
        for arguments in (["help"], ["--version"], ["shell", "script"], ["diff", "script"], ["help", "shell"]):
            with open("/dev/full", "wb") as full:
                run = subprocess.run(
                    [QUIRE, *arguments],
                    cwd=self.directory.name,
                    stdin=subprocess.DEVNULL,
                    stdout=full,
                    stderr=subprocess.PIPE,
                    timeout=60,
                    check=False,
                )
            self.assertEqual(run.returncode, 1, arguments)
            self.assertIn(b"standard output", run.stderr, arguments)

    def test_more_memory_than_there_is(self):
        run = self.run_quire("shell", "--memory=10000000G", script="maps\n")
        self.assertEqual(run.returncode, 69)
        self.assertIn("--memory", run.stderr)

    def test_swap_file_is_not_left_behind(self):
        script = 'mmap a 1M rw private,anon\nfill a 1M 7\nmadvise a 1M pageout\nload a 1\n'
        run = self.run_quire("shell", "--swap=swap:2M", script=script)
        self.assertEqual(run.stdout, 'ok\nok\nok\n= "\\x07"\n')
        self.assertFalse(self.path("swap").exists())
        self.path("swap").write_bytes(b"mine")
        self.run_quire("shell", "--swap=swap:2M", script=script)
        self.assertEqual(self.path("swap").stat().st_size, 2 << 20)

    def interrupt(self, arguments, script, number, at_answer):
        """Sends the signal to `quire` once it has printed or done what `at_answer` waits for."""
        self.path("script").write_text(script)
        with subprocess.Popen(
            [QUIRE, *arguments, "script"],
            cwd=self.directory.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            at_answer(process)
            process.send_signal(number)
            output, _ = process.communicate(timeout=60)
            self.assertEqual(process.returncode, -number)
            return output

    def test_interrupted_shell_writes_back(self):
        script = 'open f file rw create trunc\nftruncate f 1p\nmmap s 1p rw shared f\nstore s "kept"\n'
        script += "mmap z 1024G r private,anon,noreserve\nsum z 1024G\nload s 1\n"

        def five_answers(process):
            for _ in range(5):
                self.assertEqual(process.stdout.readline(), "ok\n")

        for machine in ("soft", "linux"):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                output = self.interrupt(["shell", f"--machine={machine}"], script, number, five_answers)
                # Nothing comes when the signal does before the sum began.
                self.assertIn(output, ("error EINTR\n", ""))
                self.assertEqual(self.path("file").read_bytes()[:5], b"kept\0")
                self.path("file").unlink()

    def test_interrupted_diff_leaves_no_trace(self):
        kept, gone, made = self.path("kept"), self.path("gone"), self.path("made")
        kept.write_bytes(b"as it was")
        gone.write_bytes(b"to be unlinked")
        gone.chmod(0o640)
        copies = self.path("copies")
        copies.mkdir()
        script = "open f kept rw trunc\nunlink gone\nopen g made rw create\n"
        script += "mmap z 1024G r private,anon,noreserve\nsum z 1024G\n"

        def until_made(process):
            while not made.exists():
                self.assertIsNone(process.poll())

        os.environ["TMPDIR"] = str(copies)
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self.interrupt(["diff"], script, number, until_made)
                self.assertEqual(kept.read_bytes(), b"as it was")
                self.assertEqual(gone.read_bytes(), b"to be unlinked")
                self.assertEqual(gone.stat().st_mode & 0o777, 0o640)
                self.assertFalse(made.exists())
                self.assertEqual(list(copies.iterdir()), [])
        finally:
            del os.environ["TMPDIR"]

    def test_what_the_kernel_makes_up_has_no_pages(self):
        script = "open f /proc/version r\nmmap a 1p r private f\npread f 5 0\n"
        run = self.run_quire("shell", script=script)
        self.assertEqual(run.stdout, 'ok\nerror ENODEV\n= "Linux"\n')

    def test_seed_moves_the_layout(self):
        def base(seed):
            run = self.run_quire("shell", "--json", f"--seed={seed}", script="show mm\n")
            return json.loads(run.stdout)["mm"]["mmap_base"]

        self.assertEqual(base(0), "0x7ffff7fff000")
        self.assertNotEqual(base(1), base(0))
        self.assertEqual(base(1), base(1))
        self.assertNotEqual(base(1), base(2))


if __name__ == "__main__":
    QUIRE = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
