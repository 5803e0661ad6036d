"""heapspy doctor: what it says of a machine, of commands and of processes; and heapspy run, which
refuses the same commands with the same line."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import hspy
import pytest
from conftest import BUILD

LIBRARY = BUILD / "preload" / "libheapspy.so"
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to change owners")


def program(kind):
    return str(BUILD / "tests" / "unit" / f"program_{kind}")


def lines(done):
    """[(level, rest)] of the checks, and the last line's."""
    split = [tuple(line.split(None, 1)) for line in done.out.splitlines()]
    assert split and all(level in ("ok", "note", "bad") for level, _ in split), done.out
    return split[:-1], split[-1]


def text_of(done, name):
    """[(level, text)] of the checks of one name."""
    return [(level, rest.split(None, 1)[1]) for level, rest in lines(done)[0]
            if rest.split(None, 1)[0] == name]


class Process:
    """A program that waits, under whatever environment, until the block ends."""

    def __init__(self, argv, env=None, **options):
        environment = {key: value for key, value in os.environ.items()
                       if key not in ("LD_PRELOAD", "HEAPSPY_BUILD")}
        environment.update(env or {})
        self.child = subprocess.Popen(list(map(str, argv)), env=environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, **options)

    def __enter__(self):
        # The program prints its line when it runs: from then on it waits.
        assert self.child.stdout.readline().strip() in (b"0", b"1")
        return self.child.pid

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


def waiting(kind="plain", preload=LIBRARY, **settings):
    env = {"LD_PRELOAD": str(preload)} if preload else {}
    env.update({"HEAPSPY_" + name.upper(): str(value) for name, value in settings.items()})
    return Process([program(kind), "wait"], env)


# This machine

def test_machine(heapspy):
    done = heapspy("doctor")
    checks, (level, verdict) = lines(done)
    names = {rest.split()[0] for _, rest in checks}
    assert names >= {"kernel", "libc", "library", "state", "ptrace", "preload", "directory",
                     "limits", "seccomp", "symbols", "settings"}
    (library,) = text_of(done, "library")
    assert library[0] in ("ok", "note") and library[1].startswith(str(LIBRARY.resolve()))
    assert text_of(done, "preload") == [("ok", "LD_PRELOAD is not set here")]
    assert ("ok", "HEAPSPY_SAMPLE=512KiB (default)") in text_of(done, "settings")
    assert verdict.startswith("heapspy can profile here")
    assert verdict.endswith("; next: heapspy run -- COMMAND")
    assert done.code == 0 and level != "bad" and done.err == ""


def test_quiet_leaves_out_what_is_ok(heapspy):
    checks, _ = lines(heapspy("doctor", "-q", HEAPSPY_STATE="anon"))
    assert checks and all(level != "ok" for level, _ in checks)


def test_settings(heapspy):
    done = heapspy("doctor", HEAPSPY_SAMPLE="64KiB", HEAPSPY_DEPTH="much", HEAPSPY_INTERVALL="1s")
    settings = text_of(done, "settings")
    assert ("ok", "HEAPSPY_SAMPLE=64KiB (set)") in settings
    assert ("bad", "HEAPSPY_DEPTH='much' cannot be used: expected a number of frames from 1 to "
            "256; the default serves (128)") in settings
    assert ("note", "HEAPSPY_INTERVALL: no such setting; ignored; did you mean "
            "HEAPSPY_INTERVAL?") in settings
    assert done.code == 1 and lines(done)[1][0] == "bad"


@pytest.mark.parametrize("state, part", [
    ("anon", "private memory serves"),
    ("/nowhere", "/nowhere: not there; private memory serves"),
    ("/proc", "/proc is no tmpfs: private memory serves")])
def test_state_directory(heapspy, state, part):
    done = heapspy("doctor", HEAPSPY_STATE=state)
    ((level, text),) = text_of(done, "state")
    assert level == "note" and part in text
    assert done.code == 0


def test_snapshot_directory(heapspy, tmp_path):
    # The part that differs by process is left out; what is missing can be made.
    done = heapspy("doctor", HEAPSPY_DIR=f"{tmp_path}/new/%c.%p")
    ((level, text),) = text_of(done, "directory")
    assert level == "ok" and text.startswith(f"{tmp_path}/new/: writable, ")
    done = heapspy("doctor", HEAPSPY_DIR="/dev/null/below")
    ((level, text),) = text_of(done, "directory")
    assert level == "bad" and "/dev/null cannot be written" in text
    assert done.code == 1


@as_root
@pytest.mark.other_user
def test_directory_of_another_user(heapspy, tmp_path):
    os.chmod(tmp_path, 0o700)
    done = heapspy("doctor", user=NOBODY, HEAPSPY_DIR=str(tmp_path / "x"))
    ((level, text),) = text_of(done, "directory")
    assert level == "bad" and text.endswith("cannot be written by this user")


def test_limits(tmp_path):
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 100 -v 8000000; exec "$0" doctor',
         str(BUILD / "analyzer" / "heapspy")], cwd=tmp_path, capture_output=True, text=True,
        check=False)
    (line,) = [line for line in done.stdout.splitlines() if " limits " in line]
    assert line.startswith("note")
    assert "files of 100 KiB at most (ulimit -f): no state file" in line
    assert "address space of 7.63 GiB (ulimit -v): the state reserves 488 MiB of it" in line


def test_preload_of_this_environment(heapspy):
    done = heapspy("doctor", LD_PRELOAD=str(LIBRARY))
    ((level, text),) = text_of(done, "preload")
    assert level == "note" and text.endswith("all that is started from here is profiled already")
    jemalloc = pathlib.Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")
    if not jemalloc.exists():
        pytest.skip("no libjemalloc2")
    done = heapspy("doctor", LD_PRELOAD=f"{jemalloc}:{LIBRARY}")
    ((level, text),) = text_of(done, "preload")
    assert level == "bad" and "libjemalloc.so.2 comes before heapspy" in text
    assert done.code == 1


def leave_state(state_dir, pid, start_ticks, image=7):
    path = pathlib.Path(state_dir, f"heapspy.{os.geteuid()}.{pid}.{start_ticks}-{image}")
    path.write_bytes(bytes(65536))
    return path


def test_states_of_the_dead(heapspy, state_dir):
    assert not text_of(heapspy("doctor"), "leftovers")
    with waiting() as pid:
        # Of the living, of the same number before, of nobody; and names that are none of these.
        (alive,) = pathlib.Path(state_dir).iterdir()
        ticks = int(alive.name.split(".")[3].split("-")[0])
        dead = [leave_state(state_dir, pid, ticks - 1), leave_state(state_dir, 2147483646, 5)]
        # Its pid is that of a living process, which has exchanged its image.
        dead.append(leave_state(state_dir, pid, ticks, 8))
        others = [pathlib.Path(state_dir, name) for name in
                  (f"heapspy.{os.geteuid() + 1}.2147483646.5-7", dead[0].name + "x", "heapspy.notes")]
        for path in others:
            path.write_bytes(b"x")
        # Of another user's name, and of another user where that can be: root sees to those, too.
        dead.append(others.pop(0))
        dead[-1].write_bytes(bytes(4096))
        if os.geteuid() == 0:
            os.chown(dead[-1], 65534, 65534)
        done = heapspy("doctor")
        ((level, text),) = text_of(done, "leftovers")
        assert level == "note" and done.code == 0
        assert text == f"4 states of dead processes, 196 KiB, in {state_dir}: heapspy recover removes them"
        assert heapspy("recover").out == "4 states removed, which had nothing more to tell.\n"
        assert sorted(pathlib.Path(state_dir).iterdir()) == sorted([alive, *others])
        assert not text_of(heapspy("doctor"), "leftovers")


def test_a_state_that_somebody_comes_for_is_none_of_the_dead(heapspy, tmp_path, state_dir):
    """heapspy run makes the last snapshot of it; stopped, it has not yet."""
    with subprocess.Popen([str(BUILD / "analyzer" / "heapspy"), "run", "--dir", tmp_path / "out", "--",
                           program("plain"), "wait"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          start_new_session=True) as run:
        assert run.stdout.readline() == b"0\n"
        (path,) = pathlib.Path(state_dir).iterdir()
        os.kill(run.pid, signal.SIGSTOP)
        os.kill(int(path.name.split(".")[2]), signal.SIGKILL)
        while pathlib.Path(f"/proc/{path.name.split('.')[2]}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            pass
        assert not text_of(heapspy("doctor"), "leftovers") and path.exists()
        os.kill(run.pid, signal.SIGCONT)
        assert run.wait(60) == 128 + signal.SIGKILL


# Commands

def make(path, text, mode=0o755):
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def patched(path, kind, at, data):
    """A copy of a program, and some other bytes in it."""
    path.write_bytes(pathlib.Path(program(kind)).read_bytes())
    with open(path, "r+b") as out:
        out.seek(at)
        out.write(data)
    path.chmod(0o755)
    return str(path)


CANNOT = {
    "static": (lambda t: program("static"), 125,
               "program_static is statically linked: preloading cannot work. "
               "See heapspy help static"),
    "static pie": (lambda t: program("static_pie"), 125, "is statically linked"),
    "own malloc": (lambda t: program("own_malloc"), 125, "brings a malloc of its own"),
    "static jemalloc": (lambda t: program("jemalloc"), 125, "its own (jemalloc)"),
    "sanitizer": (lambda t: program("asan"), 125, "is built with AddressSanitizer"),
    "musl": (lambda t: program("musl"), 125, "is linked with musl (/lib/ld-musl-x86_64.so.1)"),
    "32 bits": (lambda t: patched(t / "m32", "plain", 4, b"\1"), 125, "is a 32-bit program"),
    "aarch64": (lambda t: patched(t / "arm", "plain", 18, b"\xb7\0"), 125, "built for aarch64"),
    "script of static": (lambda t: make(t / "s", f"#!{program('static')}\n"), 125,
                         "which runs s, is statically linked"),
    "damaged": (lambda t: patched(t / "damaged", "plain", 56, b"\0\0"), 126, "no whole program"),
    "no loader": (lambda t: program("no_loader"), 127, "its loader '/nowhere/"),
    "not executable": (lambda t: make(t / "text", "x", 0o644), 126, "not executable"),
    "directory": (lambda t: "/tmp", 126, "it is a directory"),
    "not there": (lambda t: "/nowhere/api", 127, "there is no such file"),
    "not in PATH": (lambda t: "heapspy-no-such-command", 127, "not found in PATH"),
    "no interpreter": (lambda t: make(t / "s", "#!/nowhere/python\n"), 127,
                       "its interpreter '/nowhere/python' is not there"),
    "its own interpreter": (lambda t: make(t / "s", f"#!{t}/s\n"), 126,
                            "each other's interpreter"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_commands_that_cannot(heapspy, tmp_path, case):
    command, code, part = CANNOT[case]
    name = command(tmp_path)
    done = heapspy("doctor", "--", name)
    checks, (level, verdict) = lines(done)
    bad = [rest for check, rest in checks if check == "bad"]
    assert len(bad) == 1 and part in bad[0]
    assert level == "bad" and verdict.endswith("cannot be profiled") and done.code == 1
    # run says the same beforehand, in one line, and starts nothing.
    refused = heapspy("run", "--", name)
    assert refused.code == code and refused.out == ""
    assert refused.err.startswith("heapspy: ") and refused.err.count("\n") == 1
    assert refused.err[len("heapspy: "):].strip() == bad[0].split(None, 1)[1]
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], [pathlib.Path(name).name])


@as_root
def test_command_with_raised_rights(heapspy, tmp_path):
    copy = str(tmp_path / "raised")
    shutil.copy(program("plain"), copy)
    os.chown(copy, NOBODY, -1)
    os.chmod(copy, 0o4755)
    done = heapspy("doctor", "--", copy)
    ((level, text),) = text_of(done, "privileged")
    assert level == "bad" and "(set-user-id nobody)" in text and done.code == 1
    refused = heapspy("run", "--", copy)
    assert refused.code == 125 and refused.err == f"heapspy: {text}\n"
    # For the user that it changes to anyway nothing is raised.
    os.chown(copy, 0, -1)
    os.chmod(copy, 0o4755)
    assert heapspy("doctor", "--", copy).code == 0


def test_commands_that_can(heapspy, tmp_path):
    done = heapspy("doctor", "--", program("plain"), "-v", "a b")
    checks, (level, verdict) = lines(done)
    assert level == "ok" and done.code == 0
    assert verdict.endswith(f"next: heapspy run -- {program('plain')} -v 'a b'")
    for kind, name in [("wrapper", "malloc-wrapper"), ("hidden_malloc", "hidden-malloc"),
                       ("je_malloc", "own-allocator")]:
        done = heapspy("doctor", "--", program(kind))
        ((level, _),) = text_of(done, name)
        assert level == "note" and done.code == 0
        assert "can be profiled, within these notes" in done.out
    done = heapspy("doctor", "--", make(tmp_path / "start", "#!/bin/sh\nexec api\n"))
    assert text_of(done, "interpreter") == [("ok", "/bin/sh")]
    assert text_of(done, "script")[0][0] == "note" and done.code == 0


def test_commands_are_started_somewhere(heapspy):
    """What holds for the machine holds for each command: places and limits."""
    words = ("doctor", "--", program("plain"))
    assert {name: text_of(heapspy(*words), name)[0][0] for name in ("state", "directory", "limits")} == {
        "state": "ok", "directory": "ok", "limits": "ok"}
    done = heapspy(*words, HEAPSPY_STATE="/proc")
    assert text_of(done, "state")[0][1].startswith("/proc is no tmpfs: private memory serves")
    assert done.code == 0 and "can be profiled, within these notes" in done.out
    done = heapspy(*words, HEAPSPY_DIR="/dev/null/below")
    assert text_of(done, "directory")[0][0] == "bad" and done.code == 1


def test_every_help_topic_named_exists(heapspy):
    for topic in ("static", "privileges", "allocators"):
        done = heapspy("help", topic)
        assert done.code == 0 and len(done.out) > 400
        assert all(len(line) <= 80 for line in done.out.splitlines())


# Processes

def test_profiled_process(heapspy, tmp_path):
    with waiting(dir=tmp_path / "out", sample="64KiB") as pid:
        done = heapspy("doctor", pid)
    checks, (level, verdict) = lines(done)
    assert (level, verdict) == (
        "ok", f"process {pid} (program_plain) is profiled; next: heapspy snapshot {pid}"), done.out
    assert text_of(done, "program") == [("ok", program("plain"))]
    assert text_of(done, "library") == [("ok", str(LIBRARY.resolve()))]
    assert text_of(done, "malloc")[0][1].startswith("heapspy's comes first, ")
    assert text_of(done, "interval")[0][1].startswith("64 KiB, ")
    assert " of 32 MiB used" in text_of(done, "state")[0][1]
    assert text_of(done, "losses") == [("ok", "none")]
    assert "every 60 s" in text_of(done, "writer")[0][1]
    assert text_of(done, "directory")[0][1].startswith(f"{tmp_path}/out: writable")
    assert ("ok", "HEAPSPY_SAMPLE=64KiB (set)") in text_of(done, "settings")
    assert done.code == 0 and done.err == ""


def test_json(heapspy):
    with waiting() as pid:
        report = json.loads(heapspy("doctor", "--json", pid).out)
    assert report["schema"] == "heapspy.doctor/1"
    assert (report["subject"], report["pid"], report["level"]) == ("process", pid, "ok"), report
    assert report["next"] == f"heapspy snapshot {pid}"
    assert {check["name"] for check in report["checks"]} >= {"library", "malloc", "losses"}
    report = json.loads(heapspy("doctor", "--json", "--", program("static")).out)
    assert (report["subject"], report["level"], report["next"]) == ("command", "bad", None)
    assert [c["name"] for c in report["checks"] if c["level"] == "bad"] == ["static"]
    assert json.loads(heapspy("doctor", "--json").out)["subject"] == "host"


def test_process_without_heapspy(heapspy):
    with waiting(preload=None) as pid:
        done = heapspy("doctor", pid)
    assert text_of(done, "library") == [
        ("bad", "libheapspy.so is not loaded: it was started without heapspy, and preloading "
         "works at a start only")]
    assert lines(done)[1] == (
        "bad", f"process {pid} (program_plain) is not under heapspy; next: heapspy run -- "
        f"{program('plain')} wait")
    assert done.code == 1


def test_process_whose_library_is_not_there(heapspy):
    with waiting(preload="/nowhere/libheapspy.so") as pid:
        done = heapspy("doctor", pid)
    assert text_of(done, "library") == [
        ("bad", "libheapspy.so is not loaded: /nowhere/libheapspy.so of its LD_PRELOAD is not "
         "there")]


def test_static_process(heapspy):
    with waiting("static") as pid:
        done = heapspy("doctor", pid)
    assert text_of(done, "static")[0][0] == "bad" and done.code == 1
    assert not text_of(done, "library") and "next:" not in done.out


def test_process_with_a_malloc_of_its_own(heapspy):
    with waiting("own_malloc") as pid:
        done = heapspy("doctor", pid)
    ((level, text),) = text_of(done, "malloc")
    assert level == "bad" and text.startswith(program("own_malloc") + " stands before heapspy")
    assert done.code == 1


def test_process_that_is_passed_through(heapspy):
    with waiting("asan", preload=None) as pid:
        done = heapspy("doctor", pid)
    assert text_of(done, "sanitizer")[0][0] == "bad" and done.code == 1


def test_private_state_and_no_writer(heapspy):
    with waiting(state="anon", writer="off") as pid:
        done = heapspy("doctor", pid)
    assert "in private memory" in text_of(done, "state")[0][1]
    assert text_of(done, "writer") == [("note", "nobody: HEAPSPY_WRITER=off")]
    assert lines(done)[1][0] == "note" and done.code == 0


def test_process_of_wrong_settings(heapspy):
    with waiting(interval="soon") as pid:
        done = heapspy("doctor", pid)
    assert ("bad", "HEAPSPY_INTERVAL='soon' cannot be used: expected a time from 10ms on such "
            "as 60s or 5m, or 0 for never; the default serves (60s)") in text_of(done, "settings")
    assert done.code == 1


def test_process_whose_file_was_replaced(heapspy, tmp_path):
    copy = tmp_path / "upgraded"
    shutil.copy(program("plain"), copy)
    with Process([copy, "wait"], {"LD_PRELOAD": str(LIBRARY)}) as pid:
        copy.unlink()
        done = heapspy("doctor", pid)
    ((level, text),) = text_of(done, "program")
    assert level == "note" and "replaced or removed" in text and done.code == 0


TITLE = """
#include <stdio.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv)
{
	char **last = environ, *end;
	while (last[1])
		last++;
	end = *last + strlen(*last) + 1;
	memset(argv[0], 0, end - argv[0]);
	strcpy(argv[0], "nginx: master process ./server");
	puts("0");
	fflush(stdout);
	pause();
}
"""


@pytest.fixture(scope="module")
def titled(tmp_path_factory):
    """A server that writes a title over its arguments and its environment."""
    place = tmp_path_factory.mktemp("titled")
    (place / "server.c").write_text(TITLE)
    subprocess.run(["gcc", "-o", "server", "server.c"], cwd=place, check=True)
    return place / "server"


def test_process_that_has_overwritten_its_environment(heapspy, titled, tmp_path):
    settings = {"LD_PRELOAD": str(LIBRARY), "HEAPSPY_SAMPLE": "64KiB", "HEAPSPY_INTERVAL": "5m",
                "HEAPSPY_WRITER": "external", "HEAPSPY_DIR": str(tmp_path / "out"), "HEAPSPY_DEPTH": "9"}
    with Process([titled, "-g", "daemon off;"], settings) as pid:
        done = heapspy("doctor", pid)
    told = text_of(done, "settings")
    assert {text for level, text in told if level == "ok"} == {
        "HEAPSPY_SAMPLE: 64 KiB, by its state", "HEAPSPY_INTERVAL: 5 min, by its state",
        "HEAPSPY_WRITER: external, by its state", f"HEAPSPY_DIR: {tmp_path}/out, by its state",
        "HEAPSPY_STATE_MAX: 32 MiB, by its state", "HEAPSPY_KEEP: 256 MiB, by its state",
        "HEAPSPY_CPU_MAX: 1%, by its state", "HEAPSPY_NEAR_LIMIT: 90%, by its state"}
    ((level, text),) = [line for line in told if line[0] != "ok"]
    assert level == "note" and text.endswith(" cannot be read: the program has overwritten its environment")
    assert "HEAPSPY_DEPTH" in text and "HEAPSPY_SAMPLE" not in text
    assert "default" not in done.out and done.code == 0


def test_process_with_a_title_is_restarted_by_its_file(heapspy, titled):
    with Process([titled, "-g", "daemon off;"]) as pid:
        done = heapspy("doctor", pid)
    ((level, text),) = text_of(done, "library")
    assert level == "bad" and "whether LD_PRELOAD named it cannot be read" in text
    assert done.out.endswith(f"; next: heapspy run -- {titled} ...\n") and "nginx:" not in done.out
    assert text_of(done, "settings") == [
        ("note", "cannot be read: the program has overwritten its environment")]
    # A file of two programs, which looks at the name it is called by.
    link = titled.with_name("server-two")
    link.symlink_to(titled.name)
    with Process([link]) as pid:
        done = heapspy("doctor", pid)
    assert done.out.endswith(f"; next: heapspy run -- {link} ...\n")
    # A title that left the environment alone.
    with Process(["redis: waiting *:6379", "wait"], executable=program("plain")) as pid:
        done = heapspy("doctor", pid)
    assert done.out.endswith(f"; next: heapspy run -- {program('plain')} ...\n")


@as_root
def test_process_with_raised_rights(heapspy, tmp_path):
    hspy.need_look_at_others()
    copy = tmp_path / "raised"
    shutil.copy(program("plain"), copy)
    os.chown(copy, NOBODY, -1)
    os.chmod(copy, 0o4755)
    with Process([copy, "wait"], {"LD_PRELOAD": str(LIBRARY)}) as pid:
        done = heapspy("doctor", pid)
    ((level, text),) = text_of(done, "privileged")
    assert level == "bad" and "AT_SECURE" in text and done.code == 1


@as_root
@pytest.mark.other_user
def test_process_of_another_user(heapspy):
    with waiting() as pid:
        done = heapspy("doctor", pid, user=NOBODY)
    ((level, text),) = text_of(done, "process")
    assert level == "bad" and "it belongs to another user" in text and done.code == 1


@as_root
@pytest.mark.other_user
def test_directory_that_the_process_may_not_write(heapspy, tmp_path):
    """Root may, but it is the process that will."""
    hspy.need_look_at_others()
    os.chmod(tmp_path, 0o755)
    with Process([program("plain"), "wait"],
                 {"LD_PRELOAD": str(LIBRARY), "HEAPSPY_DIR": str(tmp_path / "out")},
                 user=NOBODY, group=NOBODY, extra_groups=[]) as pid:
        done = heapspy("doctor", pid)
        assert text_of(done, "directory") == [
            ("bad", f"{tmp_path}/out: {tmp_path} cannot be written by user {NOBODY}")]
        assert done.code == 1
        os.chown(tmp_path, -1, NOBODY)
        os.chmod(tmp_path, 0o775)
        assert text_of(heapspy("doctor", pid), "directory")[0][0] == "ok"


# Wrong usage

@pytest.mark.parametrize("words, code, line", [
    (["ls"], 2, "'ls' is no process id; a command stands behind --: heapspy doctor -- ls"),
    (["0"], 2, "'0' is no process id; a command stands behind --: heapspy doctor -- 0"),
    (["1", "2"], 2, "doctor looks at one process at a time (see heapspy help doctor)"),
    (["2147483646"], 3, "no process 2147483646 is running")])
def test_wrong_usage(heapspy, words, code, line):
    done = heapspy("doctor", *words)
    assert (done.code, done.out, done.err) == (code, "", f"heapspy: {line}\n")
