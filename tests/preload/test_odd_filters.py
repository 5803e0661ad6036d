"""Filters of system calls: set by the program on its way, or in force before it starts."""
import pathlib
import re
import signal
import subprocess

import hspy
import pytest

# A service that allows less is rare; there, each call of ours that its filter does not refuse by an errno
# would be fatal.
SERVICE = set(re.sub(r"(?m)^#.*", "", (hspy.ROOT / "tests/preload/service_calls.txt").read_text()).split())


def calls_of_ours():
    """Names of the system calls that the library makes, by its source. seccomp is only forwarded."""
    found = set()
    for path in (hspy.ROOT / "preload").rglob("*.[ch]"):
        found |= set(re.findall(r"rawsys\(SYS_(\w+)", path.read_text(encoding="utf-8")))
    return found - {"seccomp"}


def numbers():
    """Of system calls, by name, as the C library's headers have them."""
    text = subprocess.run(["gcc", "-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null"],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}


NUMBERS = numbers()


def filtered(bad, which, names, argv):
    listed = ",".join(str(NUMBERS[name]) for name in sorted(names))
    return [hspy.victim("prog_filtered"), bad, which, listed, *map(str, argv)]


def outcomes(words, directory, **settings):
    """(exit code, stdout, stderr) bare and under the library."""
    found = []
    for preload in (), (hspy.LIBRARY,):
        env = hspy.environment(directory, preload, **settings)
        done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, check=False)
        found.append((done.returncode, done.stdout, done.stderr))
    return found


def test_all_our_calls_are_in_the_service_set():
    assert calls_of_ours() > {"mmap", "openat"}
    assert not calls_of_ours() - SERVICE


@pytest.mark.parametrize("way, action, who", [
    ("prctl", "process", "main"), ("prctl", "trap", "other"), ("prctl", "thread", "all"),
    ("syscall", "thread", "main"), ("syscall", "process", "other"), ("syscall", "process", "all"),
    ("libseccomp", "trap", "main"), ("libseccomp", "process", "other")])
def test_filter_of_the_programs_own(way, action, who, tmp_path):
    """However it comes, whatever it does to an offender, for one thread or for all."""
    run = hspy.run([hspy.victim("prog_seccomp"), way, action, who], tmp_path, expect=None, sample=1,
                   interval="20ms", state_max="256MiB")
    if run.code == 77:
        pytest.skip("no libseccomp.so.2 here")
    assert (run.code, run.stdout) == (42, "alive\n"), run.stderr


@pytest.mark.parametrize("bad", ["kill", "trap"])
@pytest.mark.parametrize("argv", [["prog_basic", 1000, 7, 0.2], ["prog_threads", 20], ["prog_exact", 2, 5000]],
                         ids=lambda argv: argv[0])
def test_service_that_may_make_no_other_call(argv, bad, tmp_path):
    """As under SystemCallFilter=@system-service: all is as ever, snapshots too."""
    words = filtered(bad, "except", SERVICE & NUMBERS.keys(), [hspy.victim(argv[0]), *argv[1:]])
    run = hspy.run(words, tmp_path / "run", expect=None, sample="4KiB", interval="50ms")
    assert run.code >= 0, signal.Signals(-run.code)
    assert any(hspy.info(path)["exe"] == hspy.victim(argv[0]) for path in (tmp_path / "run").rglob("*.hspy"))


# What ld.so and libc call themselves at a start: a filter that refuses these lets no program begin.
NEEDED = {"execve", "mmap", "munmap", "mprotect", "close", "read", "exit_group", "write", "fstat", "open",
          "openat", "newfstatat", "pread64", "prlimit64"}


@pytest.mark.parametrize("error", [1, 38], ids=["EPERM", "ENOSYS"])
@pytest.mark.parametrize("argv", [["prog_basic", 1000, 7, 0.1], ["prog_guest", "thread"], ["prog_fork", "fork"]],
                         ids=lambda argv: argv[0])
def test_all_of_our_calls_refused(argv, error, tmp_path):
    words = filtered(str(error), "only", calls_of_ours() - NEEDED - {"futex", "rt_sigprocmask", "nanosleep"},
                     [hspy.victim(argv[0]), *argv[1:]])
    bare, loaded = outcomes(words, tmp_path, sample=1, interval="20ms")
    if argv[0] == "prog_guest":  # prints the environment, and its own threads
        assert loaded[0] == bare[0] and loaded[2] == bare[2]
    else:
        assert loaded == bare


def test_other_programs_sandboxes(tmp_path):
    """man sets a filter in its children before they become preconv, tbl and groff."""
    page = tmp_path / "x.1"
    page.write_text(".TH X 1\n.SH NAME\nx \\- an \\(oq\\(:ollage\n.TS\nl l.\na\tb\n.TE\n", encoding="ascii")
    man = pathlib.Path("/usr/bin/man")
    if not man.exists():
        pytest.skip("no man here")
    bare, loaded = outcomes([man, "-P", "cat", page], tmp_path / "run", sample="4KiB")
    assert loaded == bare
