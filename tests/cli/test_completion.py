"""Completion: what `heapspy complete` answers, and what real shells make of it on a terminal."""
import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import time

import pytest
import scenario
import test_help
from hspy import BUILD

SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"],
          "fish": ["fish", "--no-config", "-i"]}
LOAD = {"bash": "source <(heapspy completion bash)",
        "zsh": "autoload -Uz compinit; compinit -D -u; source <(heapspy completion zsh)",
        "fish": "heapspy completion fish | source"}


@pytest.fixture
def run(tmp_path):
    scenario.write_run(tmp_path / "heapspy.api.1")
    (tmp_path / "heap notes").mkdir()
    (tmp_path / "heap.txt").write_text("no snapshot\n")
    (tmp_path / "heaping").write_text("#!/bin/sh\n")
    (tmp_path / "heaping").chmod(0o755)
    return tmp_path


def complete(heapspy, *words):
    done = heapspy("complete", "--", *words)
    assert done.code == 0 and done.err == "", done.err
    return [line.partition("\t")[0] or line for line in done.out.splitlines()]


def test_commands(heapspy):
    words = complete(heapspy, "")
    overview = re.findall(r"^  (?!heapspy)([a-z]+) ", heapspy("help").out, re.M)
    assert words == [*overview, "help", "--help", "--version"] and "complete" not in words
    assert complete(heapspy, "to") == ["top"]
    assert complete(heapspy, "help", "di") == ["diff"]
    assert complete(heapspy, "wombat", "") == []


def test_options_are_those_of_the_help(heapspy):
    for command in complete(heapspy, "help", ""):
        told = re.findall(r"^  (?:-\w, )?(--[\w-]+|-\w)\b", heapspy("help", command).out, re.M)
        assert complete(heapspy, command, "-") == told
    assert complete(heapspy, "top", "--f") == ["--focus", "--full-names", "--force"]
    done = heapspy("complete", "--", "top", "--min")
    assert done.out == "--min\tno rows below SIZE\n"


@pytest.mark.parametrize("words, expected", [
    (("top", "--metric", ""), ["live", "allocated", "objects"]),
    (("top", "--metric", "al"), ["allocated"]),
    (("top", "--metric=al"), ["--metric=allocated"]),
    (("top", "--metr", "al"), ["allocated"]),
    (("diff", "--by", "li"), ["line"]),
    (("top", "--by", "t"), ["thread"]),
    (("dump", "--color=n"), ["--color=never"]),
    (("dump", "--colour=n"), []),
    (("top", "-n", ""), []),
    (("top", "-qn", "-"), []),
    (("top", "-n5", "--quie"), ["--quiet"]),
    (("top", "-o", "x"), ["\tfiles"]),
    (("top", "--output=x"), ["\tfiles"]),
    (("top", "--", "--quie"), []),
    (("check", "--metric", ""), ["live", "allocated"]),
    (("check", "--budget", ""), ["\tfiles"]),
    (("check", "--baseline", ""), ["\tfiles"]),
    (("completion", ""), ["bash", "zsh", "fish"]),
    (("run", "--writer", "ex"), ["external"]),
    (("run", "--allocator", ""), ["jemalloc", "tcmalloc", "tcmalloc_minimal", "mimalloc"]),
    (("run", "--dir", ""), ["\tfiles"]),
    (("run", "ls"), ["\tcommand 1"]),
    (("run", "-v", "--depth", "3", "--", "ls"), ["\tcommand 5"]),
    (("run", "--sample", "1", "ls", "-"), ["\tcommand 3"]),
    (("run", "ls", "--", "-"), ["\tcommand 1"]),
    (("doctor", "--", "ls"), ["\tcommand 2"]),
    (("doctor", "--", "ls", "-l"), ["\tcommand 2"]),
    (("completion", "bash", ""), [])])
def test_values(heapspy, words, expected):
    assert complete(heapspy, *words) == expected


def test_moments(heapspy, run):
    everything = [f"heapspy.api.1@{when}" for when in ("first", "last", "peak", "mark:loaded", "1", "2", "3")]
    assert complete(heapspy, "top", "") == ["heap notes/", "heapspy.api.1"]
    assert complete(heapspy, "top", "heapspy") == ["heapspy.api.1", *everything]
    assert complete(heapspy, "diff", "x", "heapspy.api.1@") == everything
    assert complete(heapspy, "diff", "x", "y", "heapspy.api.1@") == []
    assert complete(heapspy, "diff", "--third", "heapspy.api.1@l") == ["heapspy.api.1@last"]
    assert complete(heapspy, "top", "./heapspy.api.1@mark") == ["./heapspy.api.1@mark:loaded"]
    assert complete(heapspy, "top", "heapspy.api.1/000002") == ["heapspy.api.1/000002.hspy"]
    done = heapspy("complete", "--", "top", "~/heapspy.api.1@pe", HOME=run)
    assert done.out == "~/heapspy.api.1@peak\tmost memory in use\n"
    assert complete(heapspy, "top", "nowhere/") == complete(heapspy, "top", "nowhere@") == []


def test_many_snapshots_come_by_their_first_digit(heapspy, tmp_path):
    (tmp_path / "r").mkdir()
    for number in range(1, 31):
        scenario.snapshot(number, number * scenario.MINUTE, []).write(tmp_path / "r" / f"{number:06}.hspy")
    assert complete(heapspy, "top", "r@") == ["r@first", "r@last", "r@peak"]
    assert complete(heapspy, "top", "r@3") == ["r@3", "r@30"]


def test_names_come_from_the_run_on_the_line(heapspy, run):
    names = complete(heapspy, "top", "heapspy.api.1", "--focus", "")
    assert names[0] == "api+0x4041" and set(names) == {"api+0x2010", "api+0x3020", "api+0x4041",
                                                       "libjson.so.1+0x4030"}
    for name in names:
        assert heapspy("top", "heapspy.api.1", "--focus", name).code == 0
    assert complete(heapspy, "top", "heapspy.api.1@first", "--ignore=api+0x2") == []
    assert complete(heapspy, "top", "heapspy.api.1", "--ignore=api+0x2") == ["--ignore=api+0x2010"]
    assert complete(heapspy, "top", "heapspy.api.1", "--module", "l") == ["libjson.so.1"]
    assert complete(heapspy, "top", "--focus", "") == complete(heapspy, "top", "none", "--focus", "") == []


def test_processes_under_heapspy(heapspy, run):
    library = BUILD / "preload" / "libheapspy.so"
    with subprocess.Popen(["sleep", "60"], cwd=run, env=dict(os.environ, LD_PRELOAD=str(library))) as profiled, \
            subprocess.Popen(["sleep", "60"]) as other:
        try:
            end = time.monotonic() + 60
            while str(profiled.pid) not in complete(heapspy, "snapshot", "") and time.monotonic() < end:
                time.sleep(.02)
            for words in (("snapshot", ""), ("live", "-q", ""), ("doctor", str(profiled.pid)[:1])):
                pids = complete(heapspy, *words)
                assert str(profiled.pid) in pids and str(other.pid) not in pids
            assert "heapspy.api.1" in complete(heapspy, "live", "heapspy")
            assert "heapspy.api.1" not in complete(heapspy, "snapshot", "heapspy")
            assert f"{profiled.pid}\tsleep\n" in heapspy("complete", "--", "snapshot", "").out
        finally:
            profiled.kill()
            other.kill()


def test_hostile_names_stay_on_their_line(heapspy, tmp_path):
    (tmp_path / "a\nb").mkdir()
    (tmp_path / "tab\tulator").mkdir()
    scenario.write_run(tmp_path / "r", lambda s: s.info.update(label="x\ny\x1b[2J"))
    assert complete(heapspy, "top", "") == ["r", "r@first", "r@last", "r@peak", "r@1", "r@2", "r@3"]
    assert "\x1b" not in heapspy("complete", "--", "top", "r@").out


def test_random_lines_are_answered_in_silence(run):
    rng = random.Random("lines that are not finished")
    for command in (*test_help.COMMANDS, "help", "wombat", "complete"):
        options = [("--focus", "RE"), ("--by", "line|site"), ("-n", "N"), ("--third", "C"), ("--dir", "DIR")]
        for _ in range(25):
            words = [command, *test_help.random_words(rng, command, options)]
            done = subprocess.run([str(test_help.HEAPSPY), "complete", "--", *map(os.fsencode, words)], cwd=run,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
            assert done.returncode == 0 and done.stderr == b"", (words, done)
            for line in done.stdout.split(b"\n")[:-1]:
                assert line in (b"\tfiles",) or line.startswith(b"\tcommand ") or line.count(b"\t") == 1


class Terminal:
    """A shell in a pseudo-terminal of its own, with completion loaded."""

    def __init__(self, shell, place):
        home = place / "home"
        home.mkdir(exist_ok=True)
        self.text = b""
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(place)
            path = f"{BUILD / 'analyzer'}:{os.environ['PATH']}"
            os.execvpe(SHELLS[shell][0], SHELLS[shell],
                       {"PATH": path, "HOME": str(home), "TERM": "dumb" if shell == "fish" else "xterm",
                        "LC_ALL": "C.UTF-8", "PS1": "$ "})
        self.pid = pid
        # A mark is typed in two parts, so that the echo of the line is none.
        self.type(f"{LOAD[shell]}; printf '%s-%s\\n' is loaded\r")
        self.wait_for(rb"is-loaded")

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def wait_for(self, pattern):
        end = time.monotonic() + 60
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, self.text
            if select.select([self.terminal], [], [], 1)[0]:
                self.text += os.read(self.terminal, 65536)
        found = re.search(pattern, self.text)
        self.text = self.text[found.end():]
        return found

    def complete(self, line):
        """The words of the line after a TAB, as a program behind it would get them."""
        self.type(f"{line}\t\x01printf '<%s>' begin-\x05 '-end'\r")
        words = self.wait_for(rb"<begin-heapspy>(.*?)<-end>").group(1)
        return re.findall(r"<([^>]*)>", words.decode())

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


@pytest.fixture(params=sorted(SHELLS))
def terminal(request, run):
    assert shutil.which(request.param), f"{request.param} is missing; see tests/packages.txt"
    shell = Terminal(request.param, run)
    yield shell
    shell.close()


def test_in_a_shell(terminal):
    for typed, expected in [
            ("to", ["top"]),
            ("top --metr", ["top", "--metric"]),
            ("top --metric al", ["top", "--metric", "allocated"]),
            ("top --metric=al", ["top", "--metric=allocated"]),
            ("top heapspy.a", ["top", "heapspy.api.1"]),
            ("top heapspy.api.1@la", ["top", "heapspy.api.1@last"]),
            ("top heapspy.api.1@mark:l", ["top", "heapspy.api.1@mark:loaded"]),
            ("diff heapspy.api.1@first heapspy.api.1@pe", ["diff", "heapspy.api.1@first", "heapspy.api.1@peak"]),
            ("top heapspy.api.1/000002", ["top", "heapspy.api.1/000002.hspy"]),
            (r"top heap\ n", ["top", "heap notes/"]),
            ("top heapspy.api.1 --focus=api+0x2", ["top", "heapspy.api.1", "--focus=api+0x2010"]),
            ("top -o heap.t", ["top", "-o", "heap.txt"]),
            ("top --output=heap.t", ["top", "--output=heap.txt"]),
            ("run --interval=5s -- ./heapi", ["run", "--interval=5s", "--", "./heaping"]),
            ("run -q ./heaping --all heap.t", ["run", "-q", "./heaping", "--all", "heap.txt"])]:
        assert terminal.complete(f"heapspy {typed}") == expected, typed


def test_names_are_quoted_for_the_shell(terminal, run):
    """A mark is the profiled program's text; completing it must not run it."""
    mark = "new; $(touch pwned) `touch pwned` 'x' \\y"
    scenario.write_run(run / "marked", lambda s: s.info.update(label=mark) if s.info["number"] == 2 else None)
    assert terminal.complete("heapspy top marked@mark:n") == ["top", f"marked@mark:{mark}"]
    assert not list(run.glob("**/pwned"))
