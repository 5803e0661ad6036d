"""Each system call that the library makes may be refused, with any error: the program does not notice.

lib_refuse.so has the kernel refuse calls by the address they come from, so that none of the program's
own is touched. Two ways: one kind of call always, as a sandbox does; and the n-th call of a run alone.
"""
import contextlib
import errno
import os
import pathlib
import random
import re
import subprocess

import hspy
import places
import pytest

REFUSE = hspy.VICTIMS / "lib_refuse.so"
PRELOAD = (hspy.LIBRARY, REFUSE)
WORDS = ["blocks", 1000, "fill", 2000, "thread", "wait", 0.05, "label", "fork", "wait", 0.03, "blocks", 10]
SHORT = ["blocks", 1000, "fill", 3000, "label", "blocks", 10]
ERRORS = ["EPERM", "ENOSYS", "EINVAL", "ENOMEM", "ENOSPC", "EDQUOT", "EMFILE", "EIO"]

# The kernel is asked whether a page can be read by a call that is wrong in another way: EINVAL is "yes".
NOT_BY_A_SANDBOX = {("rt_sigprocmask", "EINVAL")}
# What is not removed stays; and who cannot ask for its number has another one in the name.
LEAVE_A_STATE = {"unlink", "unlinkat", "getpid"}
# Who has no room for the last snapshot leaves the state for heapspy recover.
NO_ROOM = {errno.ENOMEM, errno.ENOSPC, errno.EDQUOT}


def numbers():
    """{name: number} of the system calls of this machine."""
    text = subprocess.run(["cc", "-dM", "-E", "-include", "sys/syscall.h", "-x", "c", "/dev/null"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}


def own_calls():
    """{name: number} of the calls that the library's code makes by itself."""
    made = set()
    for path in (hspy.ROOT / "preload").rglob("*.[ch]"):
        made |= set(re.findall(r"rawsys\(\s*SYS_(\w+)", path.read_text()))
    known = numbers()
    assert len(made) > 30 and made <= set(known)
    return {name: known[name] for name in sorted(made)}


CALLS = own_calls()
CASES = [(name, error) for name in CALLS for error in ERRORS if (name, error) not in NOT_BY_A_SANDBOX]


@pytest.fixture(name="directory")
def fixture_directory(monkeypatch):
    # The last of the usual places of snapshots but one.
    monkeypatch.setenv("TMPDIR", os.getcwd())
    last_place = pathlib.Path("/tmp")
    before = set(last_place.glob("heapspy.prog_place.*"))
    with places.open_dir() as path:
        yield path
    # Where nothing can be opened an empty one is made in each of the usual places.
    for made in set(last_place.glob("heapspy.prog_place.*")) - before:
        with contextlib.suppress(OSError):
            made.rmdir()


def run(words, directory, what, **options):
    return hspy.run([places.PLACE, *words], directory / "run", expect=None, preload=PRELOAD, sample=1,
                    interval="10ms", test_refuse=what, **options)


def check_refused(name, error, directory, state_dir, user=None):
    """One call of the program's, refused with one error; by the library alone it would be refused."""
    usual = hspy.run([places.PLACE, *WORDS], directory, expect=None, preload=(),
                     preexec=places.becoming(user))
    refused = run(WORDS, directory, f"{CALLS[name]}:{getattr(errno, error)}", preexec=places.becoming(user))
    assert not places.expect_same(usual, refused), "heapspy speaks unasked"
    left = os.listdir(state_dir)
    for entry in left:
        os.unlink(os.path.join(state_dir, entry))
    assert not left or name in LEAVE_A_STATE or getattr(errno, error) in NO_ROOM, left
    for path in sorted(directory.rglob("*.hspy"))[-1:]:
        hspy.info(path)
    if name not in ("unlink", "unlinkat", "renameat2"):
        assert not places.leftovers(directory / "run")


@pytest.mark.parametrize("user", places.USERS)
def test_some_calls_are_refused(user, directory, state_dir):
    for name, error in random.Random(6).sample(CASES, 14):
        check_refused(name, error, directory, state_dir, user)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_each_call_is_refused(name, directory, state_dir):
    for error in ERRORS:
        if (name, error) not in NOT_BY_A_SANDBOX:
            check_refused(name, error, directory, state_dir)


def helper_of(pid):
    """The directory in /proc of the helper thread, or None."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text() == "heapspy\n":
            return task
    return None


def test_a_helper_that_may_not_wait_sleeps_instead(directory):
    """It must not keep a processor busy."""
    with places.Asking(["thread", "ask"], directory, preload=PRELOAD, interval="60s",
                       test_refuse=f"{CALLS['futex']}:{errno.EPERM}") as asking:
        asking.asked()
        places.wait_until(lambda: helper_of(asking.pid))
        status = helper_of(asking.pid) / "status"
        # Each sleep is one; who spins has none.
        places.wait_until(lambda: int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(),
                                                re.M).group(1)) > 10)
        assert not asking.end()


class Nth:
    """Runs of SHORT in which the n-th call of the library is refused."""

    def __init__(self, directory):
        self.directory = directory
        self.usual = self.run(0, 0)
        assert self.usual.code == 7
        self.calls = [int(line) for line in (directory / "calls").read_text().split()]
        assert len(self.calls) > 100

    def run(self, number, error):
        return hspy.run([hspy.victim("prog_refuse"), number, error, self.directory / "calls", "/usr/bin/env",
                         f"LD_PRELOAD={hspy.LIBRARY}:{REFUSE}", places.PLACE, *SHORT], self.directory / "run",
                        expect=None, preload=(), sample=1, interval=0, test_refuse="trace")

    def check(self, number, error, state_dir):
        refused = self.run(number, error)
        place = f"call {number} of {len(self.calls)}, {self.calls[number - 1]}, error {error}"
        assert (refused.code, refused.stdout, refused.stderr) == (
            self.usual.code, self.usual.stdout, self.usual.stderr), place
        for path in pathlib.Path(state_dir).iterdir():
            assert error in NO_ROOM or self.calls[number - 1] in {CALLS[name] for name in LEAVE_A_STATE}, (place, path)
            path.unlink()
        written = sorted(self.directory.rglob("*.hspy"))
        for path in written[-1:]:
            hspy.info(path)
        for path in written:
            path.unlink()


def test_some_calls_fail_once(directory, state_dir):
    nth, chance = Nth(directory), random.Random(7)
    for number in chance.sample(range(1, len(nth.calls)), 24):
        nth.check(number, chance.choice([errno.ENOMEM, errno.ENOSPC, errno.EMFILE, errno.EPERM]), state_dir)


@pytest.mark.slow
@pytest.mark.parametrize("error", ["ENOMEM", "ENOSPC", "EMFILE", "EPERM", "EINTR"])
def test_each_call_fails_once(error, directory, state_dir):
    nth = Nth(directory)
    for number in range(1, len(nth.calls) + 1):
        nth.check(number, getattr(errno, error), state_dir)
