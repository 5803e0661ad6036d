"""What the tests of places, limits and refused calls share: prog_place beside itself without heapspy."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

import pytest

import hspy

PLACE = hspy.victim("prog_place")
root_only = pytest.mark.skipif(os.getuid() != 0, reason="needs root")

# Root hides failures: each case is tried as another user, too.
USERS = [pytest.param(None, id="self"),
         pytest.param(hspy.NOBODY, id="nobody", marks=[pytest.mark.other_user, root_only])]


def is_lock_limited(user):
    """Whether RLIMIT_MEMLOCK holds for that user, None ourselves."""
    return user is not None or not hspy.has_capability(hspy.CAP_IPC_LOCK)


def becoming(user, first=None):
    """A preexec function: first(), and then the other user."""
    def become():
        if first:
            first()
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
    return become


@contextlib.contextmanager
def open_dir():
    """A directory that every user can get at and write to, until the end of the block."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="heapspy-tests."))
    path.chmod(0o1777)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def own_lines(text):
    """(What the program wrote, heapspy's lines without their prefix)."""
    lines = text.splitlines(True)
    return ("".join(line for line in lines if not line.startswith("heapspy: ")),
            [line[len("heapspy: "):].rstrip("\n") for line in lines if line.startswith("heapspy: ")])


def unusual(lines):
    """Without what is always said, and what these tests' own variables cause."""
    return [line for line in lines if not re.match("profiling |HEAPSPY_BUILD=", line)]


def expect_same(bare, loaded):
    """The program did and said the same; returns heapspy's own lines but for its first, usual one."""
    said, lines = own_lines(loaded.stderr)
    assert (loaded.code, loaded.stdout, said) == (bare.code, bare.stdout, bare.stderr), (bare.stderr, loaded.stderr)
    return unusual(lines)


def beside_bare(words, directory, *, user=None, first=None, argv=(), **settings):
    """(Run under the library, what it said): words for prog_place, which runs bare before.

    argv: what starts it, if not we; that is not profiled.
    """
    options = {"expect": None, "preexec": becoming(user, first)}
    settings = {"verbose": 1, "sample": 1, "interval": 0} | settings
    bare = hspy.run([*argv, PLACE, *words], directory, preload=(), **options)
    preload = [f"LD_PRELOAD={hspy.LIBRARY}"] if argv else []
    loaded = hspy.run([*argv, *(["env", *preload] if argv else []), PLACE, *words], directory, **options,
                      preload=() if argv else (hspy.LIBRARY,), **settings)
    return loaded, expect_same(bare, loaded)


class Asking:
    """prog_place, preloaded, which stops at each word "ask" until it is told to go on."""

    def __init__(self, words, directory, *, user=None, first=None, cwd=None, preload=(hspy.LIBRARY,), **settings):
        self.dir = pathlib.Path(directory)
        settings = {"verbose": 1, "sample": 1, "interval": 0} | settings
        self.process = subprocess.Popen(
            [PLACE, *map(str, words)], env=hspy.environment(directory, preload, **settings), cwd=cwd,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=becoming(user, first))
        self.pid, self.is_others = self.process.pid, user is not None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def asked(self):
        """Waits for the next question."""
        line = self.process.stdout.readline()
        assert line == "ask\n", (line, self.process.stderr.read())

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        """Answers, and returns heapspy's lines; the program must end as it does without."""
        stdout, stderr = self.process.communicate("\n", timeout=60)
        said, lines = own_lines(stderr)
        assert self.process.returncode == 7 and said == "done\n" and '"kept"' in stdout, (stdout, stderr)
        return unusual(lines)

    def doctor(self):
        """{name of a check: its lines} of heapspy doctor PID."""
        if self.is_others:
            hspy.need_look_at_others()
        report = json.loads(hspy.command("doctor", "--json", self.pid).stdout)
        checks = {}
        for check in report["checks"]:
            checks.setdefault(check["name"], []).append(check["text"])
        return checks

    def info(self):
        """The INFO section of a snapshot that is taken from outside now."""
        if self.is_others:
            hspy.need_look_at_others()
        with open_dir() as directory:
            hspy.heapspy("snapshot", "-o", directory / "outside.hspy", self.pid)
            return hspy.info(directory / "outside.hspy")


def wait_until(ready, timeout=20):
    """Polls ready() until it is true."""
    deadline = time.monotonic() + timeout
    while not ready():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


def host(**environment):
    """{name of a check: its lines} of heapspy doctor in that environment."""
    done = subprocess.run([hspy.COMMAND, "doctor", "--json"], env=dict(os.environ, **environment),
                          stdout=subprocess.PIPE, text=True, check=False)
    return {check["name"]: check["text"] for check in json.loads(done.stdout)["checks"]}


def notes(snapshot):
    """What heapspy top warns of."""
    return hspy.command("top", snapshot).stderr


def leftovers(directory):
    """Files that are neither snapshots nor the mark of a directory's owner."""
    return [path for path in pathlib.Path(directory).rglob("*")
            if path.is_file() and path.suffix != ".hspy" and path.name != ".owner"]
