"""heapspy live: on a pseudo-terminal with a screen behind it, and as lines of JSON."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import termios

import pytest

import scenario
from pty_screen import DOWN, ENTER, LEAVE, PATIENCE_S, UP, PtyScreen

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import hspy

SIZES = [(60, 15), (200, 50)]
BLOCKS_PER_MIB = 16


class Victim:
    """prog_steps under the library; every allocation is sampled, so that figures are exact."""

    def __init__(self, directory, sample="1", program=None):
        self.dir = directory / "run"
        self.process = subprocess.Popen(
            [program or hspy.victim("prog_steps")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=hspy.environment(self.dir, sample=sample, interval="0"))
        assert self.process.stdout.readline() == "ok\n"

    @property
    def pid(self):
        return self.process.pid

    def step(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"

    def leak(self, mib):
        self.step(f"leak {mib * BLOCKS_PER_MIB}")

    def end(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.end()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def victim(tmp_path):
    v = Victim(tmp_path)
    yield v
    v.close()


def environment(**extra):
    env = {key: value for key, value in os.environ.items()
           if key not in ("NO_COLOR", "DEBUGINFOD_URLS", "LD_PRELOAD")}
    return {**env, "LC_ALL": "C.UTF-8", "TERM": "xterm", "HEAPSPY_CACHE": "off", **extra}


@pytest.fixture
def live(tmp_path):
    """Calls heapspy live on a new terminal."""
    screens = []

    def call(*words, size=(100, 30), program=(hspy.COMMAND, "live"), **extra):
        screens.append(PtyScreen([*program, *words], *size, environment(**extra), cwd=tmp_path))
        return screens[-1]

    yield call
    for s in screens:
        s.close()


def lines_of(*words, timeout=60, **extra):
    return subprocess.run([str(hspy.COMMAND), "live", *map(str, words)], env=environment(**extra),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                          check=False)


def row(text, function):
    """The row of a function, as a list of its cells; None: it has none."""
    found = [line for line in text.splitlines() if re.search(rf"\s{function}\b", line)]
    return re.split(r"\s{2,}", found[0].strip("> ")) if found else None


def order_of(text, *functions):
    return sorted(functions, key=lambda name: text.find(name) if name in text else len(text))


# The screen

@pytest.mark.parametrize("size", SIZES)
def test_screen(live, victim, size):
    victim.leak(4)
    victim.step("fill 16")
    s = live(victim.pid, size=size)
    text = s.wait(lambda t: row(t, "session_open") and row(t, "cache_fill"), "both rows")
    lines = text.splitlines()
    assert len(s.lines()) == size[1]
    assert re.match(rf"prog_steps  pid {victim.pid}  0:0\d:\d\d", lines[0])
    assert "exact" in lines[0] and "lost 0" in lines[0]
    assert re.match(r"live 5(\.\d+)? MiB \(exact\)", lines[1]) and "rss" in lines[1]
    assert re.match(r" +live +range +\+/min ", lines[2]) and "where" in lines[2]
    assert ("alloc/s" in lines[2]) == (size[0] == 200)
    assert row(text, "session_open")[:2] == ["4 MiB", "exact"]
    assert row(text, "cache_fill")[:2] == ["1 MiB", "exact"]
    assert order_of(text, "cache_fill", "session_open") == ["session_open", "cache_fill"]
    assert ("prog_steps.c:" in text) == (size[0] == 200)
    assert set(lines[-2][-20:]) == {"-"} and "? help" in lines[-1] and "q quit" in lines[-1]
    s.keys("q")
    assert s.wait_end() == 0


@pytest.mark.parametrize("size", SIZES)
def test_terminal_is_given_back(live, victim, size):
    victim.leak(1)
    s = live(victim.pid, size=size)
    s.wait_for("session_open")
    modes = s.modes_now()
    assert not modes[3] & (termios.ICANON | termios.ECHO) and modes[3] & termios.ISIG
    assert s.on_alternate_screen()
    s.keys("q")
    assert s.wait_end() == 0
    assert s.modes_now() == s.modes
    assert s.raw.count(ENTER) == s.raw.count(LEAVE) == 1
    assert s.raw.endswith(LEAVE) and b"\x1b[?25h" in s.raw[s.raw.rfind(b"\x1b[0m"):]


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV,
                                 signal.SIGABRT, signal.SIGBUS, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_ends_it_as_always_and_leaves_the_terminal_whole(live, victim, sig):
    victim.leak(1)
    s = live(victim.pid, size=(60, 15))
    s.wait_for("session_open")
    s.process.send_signal(sig)
    assert s.wait_end() == -sig
    assert s.modes_now() == s.modes
    assert not s.on_alternate_screen() and s.raw.endswith(LEAVE)


def test_ctrl_c(live, victim):
    victim.leak(1)
    s = live(victim.pid)
    s.wait_for("session_open")
    s.keys(b"\x03")
    assert s.wait_end() == -signal.SIGINT
    assert s.modes_now() == s.modes and not s.on_alternate_screen()


@pytest.mark.parametrize("size", SIZES)
def test_ctrl_z_and_fg(live, victim, size):
    """In a shell with job control, as a person has it."""
    victim.leak(2)
    s = live("--norc", "--noprofile", "--noediting", "-i", program=("bash",), size=size, PS1="shell> ",
             HISTFILE="/dev/null")
    s.wait_for("shell>")
    s.keys(f"'{hspy.COMMAND}' live {victim.pid}\n")
    s.wait_for("session_open")
    assert s.on_alternate_screen()
    s.keys(b"\x1a")
    s.wait(lambda t: not s.on_alternate_screen() and b"Stopped" in s.raw, "the shell")
    s.wait(lambda t: s.modes_now()[3] & termios.ECHO, "echo")
    s.screen.reset()
    victim.leak(3)
    s.keys("fg\n")
    s.wait(lambda t: s.on_alternate_screen() and (row(t, "session_open") or [""])[0] == "5 MiB", "5 MiB")
    s.keys("q")
    s.wait(lambda t: not s.on_alternate_screen(), "the shell again")
    s.keys("exit\n")
    assert s.wait_end() == 0


def test_stopped_and_continued_from_outside(live, victim):
    """SIGSTOP cannot be caught; whoever took the terminal meanwhile left it as it likes."""
    victim.leak(1)
    s = live(victim.pid)
    s.wait_for("session_open")
    raw = s.modes_now()
    os.kill(s.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, s.process.pid, os.WSTOPPED | os.WNOWAIT)
    termios.tcsetattr(s.slave, termios.TCSANOW, s.modes)
    s.screen.reset()
    os.kill(s.process.pid, signal.SIGCONT)
    s.wait_for("session_open")
    assert s.modes_now() == raw
    s.keys("q")
    assert s.wait_end() == 0 and s.modes_now() == s.modes


def test_resize(live, victim):
    victim.leak(1)
    s = live(victim.pid, size=(200, 50))
    s.wait_for("since mark")
    for columns, lines in ((60, 15), (100, 30), (20, 6), (10, 3), (200, 50)):
        s.resize(columns, lines)
        s.screen.reset()
        s.wait(lambda t: b"\x1b[%d;1H" % lines in s.raw and s.lines()[0].startswith("prog_steps"[:columns]),
               f"{columns}x{lines}")
        if lines >= 15:
            text = s.wait_for("? help")
            assert s.lines()[lines - 2].endswith("-" * 20) and len(s.lines()[lines - 2]) == columns
            assert ("alloc/s" in text.splitlines()[2]) == (columns >= 100)
        s.raw = s.raw[:0] + ENTER
    s.keys("q")
    assert s.wait_end() == 0


def test_nothing_is_written_when_nothing_changes(live, victim):
    victim.leak(1)
    s = live(victim.pid)
    s.wait_for("session_open")
    s.keys("p")
    s.wait_for("paused")
    # A reading may have been under way; without a pause the screen is never quiet for so long.
    for _ in range(4):
        if not s.pump(1.5):
            break
    else:
        raise AssertionError(f"goes on:\n{s.text()}")
    s.keys("j")
    s.wait_for(">")
    # One row and the rule, and of the screen nothing else.
    tail = s.raw[s.raw.rfind(b"paused"):]
    assert tail.count(b"\x1b[") < 12 and b"\x1b[2J" not in tail
    s.keys("p")
    s.wait(lambda t: "paused" not in t, "going on")


# Keys

def test_orders(live, victim):
    victim.leak(1)
    victim.step("fill 64")
    s = live(victim.pid, size=(120, 20))
    s.wait(lambda t: row(t, "session_open") and row(t, "cache_fill"), "both")
    victim.leak(3)
    s.wait(lambda t: row(t, "session_open")[0] == "4 MiB" and row(t, "session_open")[3] == "3 MiB", "growth")
    s.keys("d")
    text = s.wait(lambda t: t.splitlines()[2].split()[:2] == ["since", "mark"], "order by mark")
    assert row(text, "session_open")[:4] == ["+", "3 MiB", "exact", "4 MiB"]
    assert row(text, "cache_fill") is None
    s.keys("g")
    text = s.wait(lambda t: t.splitlines()[2].split()[0] == "+/min", "order by growth")
    assert row(text, "session_open")[0] == "+"
    victim.step("churn 1600")
    s.keys("a")
    s.wait(lambda t: t.splitlines()[2].split()[0] == "alloc/s" and row(t, "parse_request")
           and order_of(t, "session_open", "parse_request")[0] == "parse_request", "order by allocations")
    victim.step("drop")
    s.keys("d")
    s.wait(lambda t: (row(t, "cache_fill") or [""])[:2] == ["-", "-4 MiB"], "a row that shrank")
    s.keys("l")
    text = s.wait(lambda t: t.splitlines()[2].split()[0] == "live", "order by live")
    assert row(text, "cache_fill") is None


def test_mark(live, victim):
    victim.leak(1)
    s = live(victim.pid, size=(120, 20))
    s.wait_for("session_open")
    victim.leak(2)
    s.keys("d")
    s.wait(lambda t: (row(t, "session_open") or [""])[:2] == ["+", "2 MiB"], "growth since the start")
    s.keys("m")
    s.wait_for("marked 0:0")
    s.wait_for("No change seen.")
    victim.leak(1)
    text = s.wait(lambda t: (row(t, "session_open") or [""])[:2] == ["+", "1 MiB"], "growth since the mark")
    assert re.search(r"-- .*mark [\d.]+ s ago --", text)


def test_filter(live, victim):
    victim.leak(2)
    victim.step("fill 16")
    s = live(victim.pid, size=(100, 20))
    s.wait(lambda t: row(t, "session_open") and row(t, "cache_fill"), "both rows")
    s.keys("/")
    s.wait_for("filter /")
    s.keys("(cache")
    s.keys("\r")
    s.wait_for("no regular expression: Unmatched (")
    assert row(s.text(), "session_open")
    # Editing: to the front, one character away, to the end, more of it.
    s.keys(b"\x01\x1b[3~\x05_")
    s.wait_for("filter /cache_")
    s.keys(b"xy\x7f\x1b[D\x1b[3~fill\r")
    text = s.wait(lambda t: "/cache_fill/: 1 of " in t, "the filter in force")
    assert row(text, "cache_fill") and not row(text, "session_open")
    # The header goes on about the whole process.
    assert re.match(r"live 3(\.\d+)? MiB", text.splitlines()[1])
    s.keys("/")
    s.wait_for("filter /cache_fill")
    s.keys(b"\x15nothing_of_the_kind\r")
    s.wait_for("no samples match")
    s.keys("/")
    s.keys(b"\x1b")
    s.wait(lambda t: "filter /" not in t, "the end of editing")
    s.keys(b"/\x15\r")
    s.wait(lambda t: row(t, "session_open") and row(t, "cache_fill"), "both rows again")
    s.keys("/cache_fill\r")
    s.wait_for("/cache_fill/: 1 of ")
    s.keys(b"\x1b")
    text = s.wait(lambda t: row(t, "session_open") and row(t, "cache_fill"), "both rows by Escape")
    assert "/cache_fill/" not in text
    # In the filter, q is a letter.
    s.keys("/q")
    s.wait_for("filter /q")


def test_filter_of_the_command_line(live, victim):
    victim.leak(2)
    victim.step("fill 16")
    s = live("--focus", "cache", victim.pid)
    text = s.wait_for("/cache/: 1 of ")
    assert row(text, "cache_fill") and not row(text, "session_open")


@pytest.mark.parametrize("size", SIZES)
def test_selection_and_stacks(live, victim, size):
    victim.leak(2)
    victim.step("fill 16")
    s = live(victim.pid, size=size)
    s.wait(lambda t: row(t, "session_open") and row(t, "cache_fill"), "both rows")
    s.keys(DOWN)
    s.wait(lambda t: re.search(r"^>.*session_open", t, re.M), "the first row")
    s.keys("j")
    s.wait(lambda t: re.search(r"^>.*cache_fill", t, re.M), "the second row")
    assert re.search(r"-- 1\.\.\d of \d", s.text())
    # The selection is of the site, not of the place: the row overtakes.
    victim.step("fill 64")
    text = s.wait(lambda t: order_of(t, "session_open", "cache_fill")[0] == "cache_fill", "another order")
    assert re.search(r"^>.*cache_fill", text, re.M)
    s.keys("\r")
    text = s.wait_for("Enter back")
    assert re.search(r"1 stack of cache_fill", text) and re.search(r"5 MiB live, 80 samples", text)
    assert re.search(r"^ +main\b", text, re.M)
    s.keys(b"\x1b")
    s.wait(lambda t: "session_open" in t, "the table")
    s.keys(UP)
    s.keys(b"\x1bOB")
    s.wait(lambda t: re.search(r"^>.*session_open", t, re.M), "the second row by application keys")
    s.keys(b"\x1b")
    s.wait(lambda t: ">" not in t, "no selection")


def test_help_key(live, victim):
    victim.leak(1)
    s = live(victim.pid, size=(60, 15))
    s.wait_for("session_open")
    s.keys("?")
    s.wait_for("more below")
    s.keys(b"\x1b[F")
    s.wait_for("within noise")
    s.keys("?")
    s.wait_for("session_open")


def test_write_key(live, victim):
    victim.leak(2)
    s = live(victim.pid, size=(200, 20))
    s.wait_for("session_open")
    s.keys("w")
    text = s.wait_for("wrote ")
    path = re.search(r"wrote (\S+\.hspy)", text)[1]
    assert pathlib.Path(path).parent == victim.dir
    assert hspy.live_bytes(path, "session_open") == 2 << 20


def test_ascii(live, victim):
    victim.leak(1)
    s = live("--ascii", victim.pid)
    s.wait_for("session_open")
    assert s.raw.isascii()
    plain = live(victim.pid, LC_ALL="C")
    plain.wait_for("session_open")
    assert plain.raw.isascii()
    drawn = live(victim.pid)
    drawn.wait_for("session_open")
    assert not drawn.raw.isascii()


@pytest.mark.parametrize("extra, colored", [({}, True), ({"NO_COLOR": "1"}, False)])
def test_color(live, victim, extra, colored):
    victim.leak(1)
    s = live(victim.pid, **extra)
    s.wait_for("session_open")
    victim.leak(1)
    s.keys("d")
    s.wait(lambda t: (row(t, "session_open") or [""])[0] == "+", "growth")
    assert (b"\x1b[1;31m+" in s.raw) == colored


# The process

@pytest.mark.parametrize("size", SIZES)
def test_killed_target(live, victim, size):
    victim.leak(3)
    s = live(victim.pid, size=size)
    s.wait_for("session_open")
    victim.end()
    text = s.wait(lambda t: "  ended" in t.splitlines()[0], "ended")
    assert row(text, "session_open")[0] == "3 MiB" and re.search(r" rss \d", text.splitlines()[1])
    # All keys still work on the last figures.
    s.keys(b"j\r")
    s.wait_for("stack of session_open")
    s.keys("\rw")
    s.wait_for("no snapshot")
    s.keys("q")
    assert s.wait_end() == 0 and s.modes_now() == s.modes


def test_stopped_target(live, victim):
    victim.leak(3)
    os.kill(victim.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, victim.pid, os.WSTOPPED | os.WNOWAIT)
    s = live(victim.pid)
    text = s.wait(lambda t: row(t, "session_open"), "the row")
    assert "  stopped" in text.splitlines()[0]
    assert row(text, "session_open")[0] == "3 MiB"
    os.kill(victim.pid, signal.SIGCONT)
    victim.leak(1)
    s.wait(lambda t: row(t, "session_open")[0] == "4 MiB" and "stopped" not in t, "going on")


def test_count_on_a_terminal(live, victim):
    victim.leak(1)
    s = live("--count", "2", "--every", "100ms", victim.pid)
    assert s.wait_end() == 0 and s.modes_now() == s.modes


def test_run_directory_of_a_living_process(live, victim):
    victim.leak(2)
    hspy.heapspy("snapshot", victim.pid)
    victim.leak(3)
    s = live(victim.dir)
    text = s.wait(lambda t: row(t, "session_open"), "the row")
    assert row(text, "session_open")[0] == "5 MiB" and "from files" not in text


def test_run_directory_without_its_process(live, tmp_path):
    whole = scenario.write_run(tmp_path / "whole")
    run = tmp_path / "copy"
    run.mkdir()
    shutil.copy(whole / "000001.hspy", run)
    s = live(run, size=(110, 20))
    text = s.wait_for("api+0x2010") if "api+0x2010" in s.text() else s.wait_for("64 MiB")
    assert "from files" in text.splitlines()[0] and "0:01:00" in text.splitlines()[0]
    # A half-written file under another name is none yet.
    shutil.copy(whole / "000002.hspy", run / ".000002.tmp")
    os.rename(run / ".000002.tmp", run / "000002.hspy")
    s.wait(lambda t: "0:10:00" in t.splitlines()[0], "the second snapshot")
    shutil.copy(whole / "000003.hspy", run / ".000003.tmp")
    os.rename(run / ".000003.tmp", run / "000003.hspy")
    text = s.wait(lambda t: "ended" in t.splitlines()[0], "the last snapshot")
    assert "0:20:00" in text.splitlines()[0]


def test_run_directory_of_an_ended_process(live, tmp_path):
    run = scenario.write_run(tmp_path / "run")
    s = live(run, size=(110, 20))
    s.wait(lambda t: "ended" in t.splitlines()[0], "the last snapshot")
    s.keys("g")
    text = s.wait(lambda t: t.splitlines()[2].split()[0] == "+/min" and "growth over 19 min" in t, "growth")
    assert row(text, r"api\+0x2010")[0] == "+"
    (run / "000001.hspy").unlink()
    (run / "000002.hspy").unlink()
    s = live(run, size=(110, 20))
    s.wait(lambda t: "ended" in t.splitlines()[0], "the only snapshot")
    s.keys("g")
    s.wait_for("The process has ended: there is nothing to compare with.")


def test_keys_while_names_are_awaited(live, tmp_path):
    """A debuginfod server that takes the question and never answers."""
    stripped = tmp_path / "prog_steps"
    subprocess.run(["strip", "-o", stripped, hspy.victim("prog_steps")], check=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE_S)
        v = Victim(tmp_path, program=stripped)
        try:
            v.leak(1)
            s = live(v.pid, DEBUGINFOD_URLS=f"http://127.0.0.1:{server.getsockname()[1]}", HOME=str(tmp_path),
                     DEBUGINFOD_CACHE_PATH=str(tmp_path / "debuginfod"), no_proxy="127.0.0.1")
            with server.accept()[0]:
                s.wait_for("reading the process and its symbols")
                s.keys("?")
                s.wait_for("stacks of the selected row")
                s.keys("q")
                assert s.wait_end() == 0 and s.modes_now() == s.modes
        finally:
            v.close()


# Lines of JSON

def parse(done):
    assert done.returncode == 0, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines(victim):
    victim.leak(2)
    objects = parse(lines_of("--count", "3", "--every", "100ms", victim.pid))
    assert len(objects) == 3
    for o in objects:
        assert o["schema"] == "heapspy.live/1" and o["program"] == "prog_steps" and o["pid"] == victim.pid
        assert o["source"] == "process" and not o["ended"] and not o["stopped"] and o["exact"]
        rows = {r["where"]["function"]: r for r in o["rows"]}
        assert rows["session_open"]["live"] == {"bytes": 2 << 20, "ci": [2 << 20, 2 << 20], "samples": 32}
        assert o["total"]["live"]["bytes"] == sum(r["live"]["bytes"] for r in o["rows"])
    assert objects[0]["growth_seconds"] is None and objects[0]["bytes_per_second"] is None
    assert objects[0]["rows"][0]["growth_per_minute"] is None
    assert objects[0]["rows"][0]["allocated_per_second"] is None
    last = objects[2]
    assert objects[1]["time_seconds"] < last["time_seconds"]
    assert last["growth_seconds"] == pytest.approx(last["time_seconds"] - objects[0]["time_seconds"], abs=.002)
    assert last["rows"][0]["growth_since_mark"] == {"bytes": 0, "ci": [0, 0], "verdict": "noise", "moved": False}


def test_lines_tell_of_growth_and_of_the_end(victim):
    """A reader that acts on what it reads."""
    victim.leak(1)
    with subprocess.Popen([str(hspy.COMMAND), "live", "--every", "100ms", str(victim.pid)],
                          env=environment(), stdout=subprocess.PIPE, text=True) as reader:
        assert json.loads(reader.stdout.readline())["total"]["live"]["bytes"] >= 1 << 20
        victim.leak(4)
        while True:
            o = json.loads(reader.stdout.readline())
            change = {r["where"]["function"]: r for r in o["rows"]}["session_open"]["growth_since_mark"]
            if change["bytes"] == 4 << 20:
                break
            assert change["bytes"] < 4 << 20
        assert change["verdict"] == "grew" and change["ci"] == [4 << 20, 4 << 20]
        victim.end()
        *_, last = reader.stdout
        assert reader.wait() == 0
    o = json.loads(last)
    assert o["ended"] and o["total"]["live"]["bytes"] >= 5 << 20


def test_ranges_are_those_of_top(tmp_path):
    """The same samples, read alive and from a file."""
    v = Victim(tmp_path, sample="256KiB")
    try:
        v.leak(8)
        v.step("fill 100")
        os.kill(v.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, v.pid, os.WSTOPPED | os.WNOWAIT)
        o, = parse(lines_of("--count", "1", v.pid))
        path = hspy.heapspy("snapshot", v.pid).split()[0]
        top = hspy.top(path, "-n0")
        assert [(r["where"]["function"], r["live"]["bytes"], r["live"]["ci"]) for r in o["rows"]
                if r["live"]["samples"]] == \
            [(r["where"]["function"], r["bytes"], r["ci"]) for r in top["rows"]]
        assert o["total"]["live"]["ci"] == top["total"]["ci"] and o["interval_bytes"] == 256 << 10
    finally:
        v.close()


def test_json_on_a_terminal(live, victim):
    victim.leak(1)
    s = live("--json", "--count", "1", victim.pid)
    assert s.wait_end() == 0
    assert json.loads(s.raw)["schema"] == "heapspy.live/1" and ENTER not in s.raw


def test_lines_of_files(tmp_path):
    objects = parse(lines_of(scenario.write_run(tmp_path / "run")))
    assert len(objects) == 1 and objects[0]["ended"] and objects[0]["source"] == "files"
    assert objects[0]["time_seconds"] == 20 * 60 and objects[0]["growth_seconds"] == 19 * 60


# What there is to be watched

def test_list_of_processes(live, victim):
    victim.leak(3)
    done = lines_of()
    assert done.returncode == 0 and done.stderr == ""
    titles, *rows, last = done.stdout.splitlines()
    assert titles.split() == ["pid", "since", "live", "rss", "command"]
    (mine,) = [line.strip() for line in rows if line.split()[0] == str(victim.pid)]
    assert re.fullmatch(rf"{victim.pid}  \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d +3(\.\d+)? MiB +[\d.]+ MiB  prog_steps", mine)
    assert last == (f"next: heapspy live {victim.pid}" if len(rows) == 1 else "next: heapspy live PID")
    s = live(size=(80, 100))
    assert s.wait_end() == 0 and ENTER not in s.raw and f"{victim.pid}  ".encode() in s.raw


def test_list_where_there_are_none(tmp_path):
    alone = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*alone, "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("new namespaces are not permitted here")
    done = subprocess.run([*alone, hspy.COMMAND, "live"], env=environment(), capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("no process under heapspy that this user may look into; next: "
                           "heapspy run -- COMMAND\n")


# What is wrong with the words

@pytest.mark.parametrize("words, code, message", [
    (("2147483647",), 3, "2147483647"),
    (("nowhere",), 3, "there is no run directory 'nowhere', and it is no process id"),
    (("run@last",), 2, "live shows a run as it goes on: give 'run' without @last"),
    (("run/000001.hspy",), 2, "'run/000001.hspy' is a file: live takes a process id or a run directory"),
    (("empty",), 3, "'empty' is a directory without snapshots"),
    (("--every", "99ms", "run"), 2, "--every: the shortest time is 100ms"),
    (("--focus", "(", "run"), 2, "--focus '(' is no regular expression"),
    (("--hide", "(", "run"), 2, "--hide: "),
    (("ru",), 3, "there is no run directory 'ru', and it is no process id; did you mean 'run'?"),
    (("--json",), 2, "--json is of one process: give its PID or its RUN (see heapspy live)"),
    (("run", "run"), 2, "usage: heapspy live [OPTION]... [PID|RUN]")])
def test_wrong_words(tmp_path, words, code, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scenario.write_run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    done = lines_of(*words)
    assert done.returncode == code and done.stdout == "" and message in done.stderr
    assert done.stderr.startswith("heapspy: ") and done.stderr.count("\n") <= 3


def test_an_error_on_a_terminal_is_not_lost_with_the_screen(live, tmp_path):
    scenario.write_run(tmp_path / "run", lambda s: s.info.update(flags=1))
    s = live("run")
    assert s.wait_end() == 3
    assert s.raw.find(b"heapspy: not interposed") > s.raw.rfind(LEAVE) > 0
    assert s.modes_now() == s.modes


def test_a_terminal_that_cannot(live, victim):
    s = live(victim.pid, TERM="dumb")
    assert s.wait_end() == 4
    assert b"(TERM=dumb) cannot show a screen" in s.raw and ENTER not in s.raw


def test_a_process_that_is_not_ours():
    done = lines_of(os.getpid())
    assert done.returncode == 3 and done.stdout == "" and str(os.getpid()) in done.stderr
