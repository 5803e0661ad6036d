"""Every resource limit, low from the start and lowered on the way: the program does as without."""
import errno
import os
import resource
import subprocess

import hspy
import places
import pytest

UNLIMITED = resource.RLIM_INFINITY


@pytest.fixture(name="directory")
def fixture_directory(monkeypatch):
    # The last of the usual places of snapshots but one.
    monkeypatch.setenv("TMPDIR", os.getcwd())
    with places.open_dir() as path:
        yield path


def limiting(name, soft, hard=None):
    number = getattr(resource, "RLIMIT_" + name)
    return lambda: resource.setrlimit(number, (soft, soft if hard is None else hard))


# Limit and value; what heapspy says of it.
AT_START = {
    "AS 32 MiB": ("AS", 32 << 20, None),
    "AS 64 MiB": ("AS", 64 << 20, None),
    "DATA 8 MiB": ("DATA", 8 << 20, None),
    "FSIZE 0": ("FSIZE", 0, "no state file"),
    "FSIZE 5000": ("FSIZE", 5000, "no state file"),
    "FSIZE 300 KiB": ("FSIZE", 300 << 10, None),
    "NOFILE 4": ("NOFILE", 4, None),
    "NPROC 0": ("NPROC", 0, None),
    "MEMLOCK 0": ("MEMLOCK", 0, None),
    "STACK 64 KiB": ("STACK", 64 << 10, None),
    "CPU 20 s": ("CPU", 20, None),
    "CORE 0": ("CORE", 0, None),
}


@pytest.mark.parametrize("user", places.USERS)
@pytest.mark.parametrize("case", AT_START)
def test_low_from_the_start(case, user, directory):
    name, value, said = AT_START[case]
    run, lines = places.beside_bare(["blocks", 3000, "fill", 2000, "thread", "wait", 0.1, "label"], directory / "run",
                                    user=user, first=limiting(name, value), interval="30ms")
    # A shell of root's may make any number of threads; so may root.
    reasons = [line for line in lines if "no state file" in line]
    assert bool(reasons) == bool(said) and len(reasons) <= 1, lines
    if value == 0 and name == "FSIZE":
        assert not run.snapshots
        (line,) = [line for line in lines if line.startswith("no snapshot")]
        assert line == "no snapshot, as long as this lasts: over the file size limit"
    for path in run.snapshots[-1:]:
        info = hspy.info(path)
        assert ("state_private" in info["flags"]) == bool(said)
        assert info["state_errno"] == (errno.EFBIG if said else 0)
    assert not places.leftovers(directory)


# Lowered to this; the error that then keeps snapshots from being written, if one does.
ON_THE_WAY = {
    "AS": (1, errno.ENOMEM),
    "DATA": (1, errno.ENOMEM),
    "FSIZE": (0, errno.EFBIG),
    "NOFILE": (0, errno.EMFILE),
    "NPROC": (0, 0),
    "MEMLOCK": (0, 0),
    "STACK": (32 << 10, 0),
    "CPU": (20, 0),
    "CORE": (0, 0),
}


@pytest.mark.parametrize("user", places.USERS)
@pytest.mark.parametrize("name", ON_THE_WAY)
def test_lowered_on_the_way(name, user, directory):
    value, error = ON_THE_WAY[name]
    words = ["blocks", 2000, "label", "limit", name, value, "wait", 0.2, "label"]
    with places.Asking([*words, "ask", "limit", name, "max", "label"], directory / "run", user=user,
                       interval="50ms") as asking:
        asking.asked()
        before = hspy.snapshots(directory / "run")
        if error:
            assert len(before) == 1
            info, told = asking.info(), asking.doctor()
            assert info["snapshot_errno"] == error and info["losses"]["snapshots"] > 1
            (line,) = told["snapshots"]
            assert "could not be written (the last: " in line and "raise the limit" in line
            assert line in places_notes(asking)
        else:
            assert len(before) > 2
        lines = asking.end()
    assert len([line for line in lines if "no snapshot" in line]) == bool(error), lines
    # All is well again: the reason stays in the snapshots, and they are written.
    assert len(hspy.snapshots(directory / "run")) > len(before)
    assert hspy.info(hspy.snapshots(directory / "run")[-1])["snapshot_errno"] == error


def places_notes(asking):
    """What top warns of in a snapshot that is taken from outside."""
    with places.open_dir() as directory:
        hspy.heapspy("snapshot", "-o", directory / "x.hspy", asking.pid)
        return places.notes(directory / "x.hspy")


@pytest.mark.parametrize("user", places.USERS)
def test_private_memory_cannot_grow(user, directory):
    """The program lives on what it has freed; the state has nothing of the kind, and stacks are cut short."""
    with places.Asking(["room", 2000, "limit", "DATA", 1, "fill", 5000, "ask", "limit", "DATA", "max", "fill", 5000],
                       directory / "run", user=user, state="anon") as asking:
        asking.asked()
        info, told = asking.info(), asking.doctor()
        lines = asking.end()
    assert info["grow_errno"] == errno.ENOMEM and info["losses"]["folded"] > 0 and info["state_errno"] == 0
    assert "could not grow (Cannot allocate memory)" in told["state"][1] and "ulimit" in told["state"][1]
    assert [line for line in lines if "the state cannot grow: out of memory" in line] == [lines[0]]
    last = hspy.info(hspy.snapshots(directory / "run")[-1])
    assert last["grow_errno"] == errno.ENOMEM and last["bytes_seen"] > info["bytes_seen"]


def own_user_threads(count, words, directory, **settings):
    """A run under a user that has no other process, with so many threads allowed."""
    uid = 60000 + os.getpid() % 5000
    os.chmod(directory, 0o1777)
    return places.beside_bare(words, directory / "run", user=uid, first=limiting("NPROC", count), **settings)


@pytest.mark.other_user
@places.root_only
@pytest.mark.parametrize("case", ["no room for it", "the program needs its place"])
def test_no_room_for_the_helper(case, directory):
    """What threads there may be are the program's; those that allocate write the snapshots."""
    if case == "no room for it":
        run, lines = own_user_threads(2, ["thread", "wait", 0.3, "label"], directory, interval="20ms")
    else:
        run, lines = own_user_threads(3, ["thread", "wait", 0.1, "thread", "wait", 0.3, "label"], directory,
                                      interval="20ms")
    assert run.truth["thread"] == 1
    assert lines == ["no helper thread: resource limit reached; the threads that allocate write the snapshots"]
    assert len(run.snapshots) > 3
    assert hspy.info(run.last)["helper_errno"] == errno.EAGAIN
    assert "raise the limit on threads" in places.notes(run.last)


@pytest.mark.parametrize("user", places.USERS)
@pytest.mark.parametrize("flags", [1, 2, 3], ids=["current", "future", "both"])
def test_locking_all_memory(flags, user, directory):
    """With the limit that Debian gives every user, of which the reserved state would be four times too much."""
    words = ["blocks", 100, "lock", flags, "blocks", 500, "fill", 500, "label"]
    run, lines = places.beside_bare(words, directory / "run", user=user,
                                    first=limiting("MEMLOCK", 8 << 20))
    assert run.stdout.startswith("lock: 0\n")
    info = hspy.info(run.last)
    if places.is_lock_limited(user) and flags & 1:
        assert lines == ["the program locks its memory, which is limited: the cap of the state is 524288 bytes "
                         "from here on"]
        assert info["state_max_bytes"] == 512 << 10
    else:
        assert not lines and info["state_max_bytes"] == 32 << 20
    assert info["samples"] > 1000 and info["rss_bytes"] < 16 << 20


@pytest.mark.other_user
@places.root_only
def test_locking_fails_as_it_would(directory):
    """Where there is no permission at all, and where the program alone is too much."""
    for limit in (0, 1 << 20):
        run, _ = places.beside_bare(["blocks", 100, "lock", 3, "blocks", 100], directory / "run", user=hspy.NOBODY,
                                    first=limiting("MEMLOCK", limit))
        assert run.stdout.startswith(f"lock: {errno.EPERM if limit == 0 else errno.ENOMEM}\n")


@pytest.mark.parametrize("user", places.USERS)
def test_a_full_log_is_not_written_to(user, directory):
    """A line over RLIMIT_FSIZE would end the program; this one has written its log up to there."""
    log = directory / "log"
    log.write_bytes(b"x" * 4096)
    log.chmod(0o666)
    with open(log, "ab") as stderr:
        done = subprocess.run(
            [places.PLACE, "blocks", "100", "limit", "FSIZE", "1", "label", "limit", "FSIZE", "max"],
            env=hspy.environment(directory / "run", verbose=1, sample=1, interval=0), stdout=subprocess.PIPE,
            stderr=stderr, preexec_fn=places.becoming(user, limiting("FSIZE", 4096, UNLIMITED)), check=False)
    assert done.returncode == 7
    said, lines = places.own_lines(log.read_text()[4096:])
    assert said == "done\n" and not lines


def test_doctor_tells_of_limits():
    for name, value, words in [
            ("FSIZE", 100 << 10, "files of 100 KiB at most (ulimit -f): no state file"),
            ("AS", 12 << 30, "the state reserves 768 MiB of it at most"),
            ("MEMLOCK", 8 << 20, "8 MiB of locked memory, which matters to a program that calls mlockall")]:
        done = subprocess.run([hspy.COMMAND, "doctor"], stdout=subprocess.PIPE, text=True, check=False,
                              preexec_fn=limiting(name, value))
        assert words in done.stdout, done.stdout
