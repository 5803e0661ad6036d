"""Directories that are full, closed, gone or not what they seem: the program does as without, and
heapspy says what it could not have: before, in the process, in its snapshots.

Namespaces of mounts are made by unshare(1), so that nothing stays mounted.
"""
import contextlib
import errno
import os
import pathlib
import re
import shutil
import stat
import subprocess

import hspy
import places
import pytest
from places import root_only

WORK = ["blocks", 3000, "label", "fill", 1000, "label"]


@pytest.fixture(name="directory")
def fixture_directory(monkeypatch):
    # The last of the usual places of snapshots but one.
    monkeypatch.setenv("TMPDIR", os.getcwd())
    with places.open_dir() as path:
        yield path


def in_namespace(mounts, user):
    """What starts a command after some mounts that nobody else sees, as the other user."""
    hspy.need_mounts()
    change = f"setpriv --reuid {user} --regid {user} --clear-groups " if user is not None else ""
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", f'{mounts} && exec {change}"$0" "$@"']


@contextlib.contextmanager
def tmpfs(directory, options="8m"):
    with hspy.small_tmpfs(directory / "tmpfs", options) as path:
        yield path


def file_system(path):
    return subprocess.run(["stat", "-f", "-c", "%T", path], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def on_disk():
    for base in ("/tmp", "/var/tmp", hspy.BUILD):
        if file_system(base) not in ("tmpfs", "ramfs") and os.access(base, os.W_OK):
            path = pathlib.Path(base) / f"heapspy-tests.disk.{os.getpid()}"
            path.mkdir()
            path.chmod(0o1777)
            try:
                yield path
            finally:
                shutil.rmtree(path)
            return
    pytest.skip("no file system but tmpfs")


# Where the state is to be

@contextlib.contextmanager
def full(directory):
    with tmpfs(directory) as path:
        hspy.fill(path)
        yield path


@contextlib.contextmanager
def read_only(directory):
    with tmpfs(directory) as path:
        subprocess.run(["mount", "-o", "remount,ro", path], check=True)
        yield path


@contextlib.contextmanager
def closed(directory):
    (directory / "closed").mkdir(mode=0o755)
    yield directory / "closed"


@contextlib.contextmanager
def no_exec(directory):
    with tmpfs(directory, "8m,noexec,nosuid,nodev") as path:
        yield path


@contextlib.contextmanager
def named(path):
    yield path


# How to make it; the error, what HEAPSPY_VERBOSE, doctor beforehand and top say.
STATES = {
    "full": (full, errno.ENOSPC, "no space left", "free", "No space left on device"),
    "read-only": (read_only, errno.EROFS, "read-only file system", "cannot be written", "Read-only file system"),
    "missing": (lambda d: named(d / "none"), errno.ENOENT, "does not exist", "not there", "No such file"),
    "a file": (lambda d: named("/etc/passwd"), errno.ENOTDIR, "not a directory", "is no tmpfs", "Not a directory"),
    "on disk": (lambda d: on_disk(), errno.EMEDIUMTYPE, "not on tmpfs", "is no tmpfs", "not on tmpfs"),
    "noexec": (no_exec, 0, None, "writable", None),
}


@root_only
@pytest.mark.parametrize("user", places.USERS)
@pytest.mark.parametrize("case", STATES)
def test_place_of_the_state(case, user, directory):
    make, error, said, beforehand, noted = STATES[case]
    with make(directory) as place:
        assert beforehand in places.host(HEAPSPY_STATE=str(place))["state"]
        run, lines = places.beside_bare(WORK, directory / "run", user=user, state=place)
        with places.Asking([*WORK, "ask"], directory / "asking", user=user, state=place) as asking:
            asking.asked()
            told = asking.doctor()
            asking.end()
        if case != "a file":
            assert not list(pathlib.Path(place).glob("heapspy.*"))
    info = hspy.info(run.last)
    assert info["state_errno"] == error and ("state_private" in info["flags"]) == bool(error)
    assert len(run.snapshots) == 3 and info["losses"]["snapshots"] == 0
    if error:
        (line,) = lines
        assert re.fullmatch(f"no state file {place}/heapspy[^ ]*: {said}; private memory serves", line)
        assert noted in places.notes(run.last) and "HEAPSPY_STATE" in places.notes(run.last)
        assert noted in told["state"][1]
    else:
        assert not lines and len(told["state"]) == 1 and places.notes(run.last) == ""


@pytest.mark.other_user
@root_only
def test_state_directory_of_another_user(directory):
    with closed(directory) as place:
        run, lines = places.beside_bare(WORK, directory / "run", user=hspy.NOBODY, state=place)
    assert len(lines) == 1 and "permission denied; private memory serves" in lines[0]
    assert hspy.info(run.last)["state_errno"] == errno.EACCES


@root_only
@pytest.mark.parametrize("user", places.USERS)
def test_state_directory_fills_up_on_the_way(user, directory):
    """A step that fails takes nothing from who shares the place; with room again the state grows."""
    with tmpfs(directory) as place:
        with places.Asking(["fill", 500, "ask", "fill", 20000, "ask", "fill", 20000, "label"], directory / "run",
                           user=user, state=place) as asking:
            asking.asked()
            hspy.fill(place)
            spare = place / "spare"
            with open(place / "ballast", "r+b") as ballast:
                ballast.truncate(os.path.getsize(place / "ballast") - (40 << 10))
            asking.go()
            asking.asked()
            before, told = asking.info(), asking.doctor()
            assert before["grow_errno"] == errno.ENOSPC and before["level"] > 0
            assert "could not grow (No space left on device)" in told["state"][1]
            # 40 KiB were too little for a step, and are there for others.
            spare.write_bytes(bytes(32 << 10))
            spare.unlink()
            (place / "ballast").unlink()
            lines = asking.end()
        assert not list(place.iterdir())
    assert [line for line in lines if "cannot grow" in line] == [lines[0]] and "no space left" in lines[0]
    last = hspy.snapshots(directory / "run")[-1]
    assert hspy.info(last)["state_bytes"] > before["state_bytes"]
    assert "make room in the state directory" in places.notes(last)
    # The exact count is not touched by all this.
    assert hspy.info(last)["flags"] == ""


# Where snapshots go

DIRECTORIES = {
    "full": (full, errno.ENOSPC),
    "read-only": (read_only, 0),
    "noexec": (no_exec, 0),
    "missing parent": (lambda d: named(d / "none" / "run"), 0),
    "below a file": (lambda d: named("/etc/passwd/run"), 0),
    "a name too long": (lambda d: named(d / ("x" * 300)), 0),
    "% in the middle": (lambda d: named(f"{d}/%c/run"), 0),
}
ELSEWHERE = {"read-only", "missing parent", "below a file", "a name too long", "% in the middle"}


@root_only
@pytest.mark.parametrize("user", places.USERS)
@pytest.mark.parametrize("case", DIRECTORIES)
def test_place_of_snapshots(case, user, directory):
    """One that cannot be: the usual places serve. One that is full: nothing else is filled instead."""
    make, error = DIRECTORIES[case]
    cwd = pathlib.Path.cwd()
    with make(directory) as place:
        run, lines = places.beside_bare(WORK, place if case != "full" else place / "run", user=user, cwd=None)
        elsewhere = list(cwd.rglob("*.hspy"))
        if error:
            assert lines == ["no snapshot, as long as this lasts: no space left"]
            assert not places.leftovers(place / "run") and not elsewhere
        elif case in ELSEWHERE:
            (line,) = lines
            assert line.startswith("HEAPSPY_DIR='") and "cannot be used (" in line and "snapshots go to" in line
            assert len(elsewhere) == 3
        else:
            assert not lines and len(run.snapshots) == 3 and not elsewhere


@root_only
@pytest.mark.parametrize("user", places.USERS)
def test_snapshot_directory_is_full_for_a_while(user, directory):
    with tmpfs(directory) as place:
        with places.Asking(["blocks", 1000, "label", "ask", "label", "label", "ask", "label"], place / "run",
                           user=user) as asking:
            asking.asked()
            hspy.fill(place)
            asking.go()
            asking.asked()
            (line,) = asking.doctor()["snapshots"]
            assert line.startswith("2 snapshots could not be written (the last: No space left on device)")
            assert "make room in their directory" in line
            assert asking.info()["snapshot_errno"] == errno.ENOSPC
            (place / "ballast").unlink()
            assert asking.end() == ["no snapshot, as long as this lasts: no space left"]
        assert [path.name for path in hspy.snapshots(place / "run")] == [
            "000001.hspy", "000002.hspy", "000003.hspy"]
        assert "2 snapshots could not be written" in places.notes(place / "run" / "000003.hspy")


@pytest.mark.parametrize("user", places.USERS)
def test_the_name_of_a_directory_is_too_long_for_a_setting(user, directory):
    run, lines = places.beside_bare(WORK, directory / ("x/" * 260), user=user)
    (line,) = lines
    assert line.startswith("HEAPSPY_DIR='") and "expected a path of up to 500 bytes" in line and not run.snapshots
    done = hspy.command("run", "--dir", f"{directory}/{'x/' * 260}", "--", places.PLACE)
    assert done.returncode == 125 and "a path of up to 500 bytes" in done.stderr and not done.stdout


def test_a_name_that_only_the_process_knows(directory):
    """Nobody makes what stands before the last part of it; if it is there, it serves."""
    done = hspy.command("run", "--dir", f"{directory}/%c/run", "--sample", "1", "--", places.PLACE, "label")
    (elsewhere,) = pathlib.Path.cwd().glob("heapspy.prog_place.*")
    assert done.returncode == 7 and f"{elsewhere.name}\n" in done.stderr and len(hspy.snapshots(elsewhere)) == 2
    (directory / "prog_place").mkdir()
    _, lines = places.beside_bare(WORK, f"{directory}/%c/run")
    assert not lines and len(hspy.snapshots(directory / "prog_place" / "run")) == 3


# What the process does to itself

@pytest.mark.parametrize("user", places.USERS)
@pytest.mark.parametrize("mask", ["0", "777"])
def test_umask(mask, user, directory, state_dir):
    """0600 and 0700 whatever it is, before the start and after; and the owner can read it all again."""
    for words, first in ((["umask", mask, *WORK, "ask"], None), ([*WORK, "ask"], lambda: os.umask(int(mask, 8)))):
        with places.Asking(words, directory / "run", user=user, first=first) as asking:
            asking.asked()
            (state,) = pathlib.Path(state_dir).iterdir()
            assert stat.S_IMODE(state.stat().st_mode) == 0o600
            assert not asking.end()
        assert len(hspy.snapshots(directory / "run")) == 3 and len(list((directory / "run").iterdir())) == 4
        assert stat.S_IMODE((directory / "run").stat().st_mode) == 0o700
        for path in (directory / "run").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        shutil.rmtree(directory / "run")


@pytest.mark.parametrize("user", places.USERS)
def test_umask_of_heapspy_run(user, directory):
    done = subprocess.run([hspy.COMMAND, "run", "--dir", directory / "new" / "er" / "run", "--sample", "1", "--",
                           places.PLACE, *map(str, WORK)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=places.becoming(user, lambda: os.umask(0o777)), check=False)
    assert done.returncode == 7, done.stderr
    assert hspy.snapshots(directory / "new" / "er" / "run")
    for path in (directory / "new", directory / "new" / "er" / "run"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@root_only
def test_root_changes_the_directory_it_calls_root(directory, state_dir):
    """Neither directory can be reached any more. What is there stays, and the state waits for recover."""
    (directory / "jail").mkdir()
    with places.Asking(["blocks", 1000, "label", "chroot", directory / "jail", "fill", 3000, "label", "ask", "blocks",
                        10], directory / "run") as asking:
        asking.asked()
        info, told = asking.info(), asking.doctor()
        lines = asking.end()
    assert info["snapshot_errno"] == errno.ENOENT and info["losses"]["snapshots"] == 1 and "snapshots" in told
    assert lines[-1] == "no snapshot, as long as this lasts: does not exist" and len(lines) == 2
    assert len(hspy.snapshots(directory / "run")) == 1 and not list((directory / "jail").iterdir())
    (state,) = pathlib.Path(state_dir).iterdir()
    assert state.stat().st_size


@root_only
def test_the_new_root_has_places_for_snapshots(directory):
    """Those that are usual: the run goes on there, in a directory of its own."""
    (directory / "jail" / "tmp").mkdir(parents=True)
    (directory / "jail" / "tmp").chmod(0o1777)
    with places.Asking(["blocks", 1000, "label", "chroot", directory / "jail", "user", hspy.NOBODY, "fill", 3000,
                        "label"], directory / "run") as asking:
        asking.end()
    assert len(hspy.snapshots(directory / "run")) == 1
    after = sorted((directory / "jail" / "tmp").rglob("*.hspy"))
    assert len(after) == 2 and {path.stat().st_uid for path in after} == {hspy.NOBODY}
    assert hspy.info(after[0])["label"] == "label"


@root_only
def test_rights_are_dropped(directory):
    """The directory is root's and closed: later snapshots go where the new user may write."""
    with places.Asking(["blocks", 1000, "label", "user", hspy.NOBODY, "fill", 1000, "label"], directory / "run") as asking:
        pid = asking.pid
        (line,) = asking.end()
    assert line.startswith(f"HEAPSPY_DIR='{directory}/run' cannot be used (permission denied); snapshots go to ")
    assert len(hspy.snapshots(directory / "run")) == 1
    after = hspy.snapshots(f"heapspy.prog_place.{pid}")
    assert [hspy.info(path)["reason"] for path in after] == ["label", "exit"]
    assert hspy.by_function(hspy.top(after[-1])).keys() >= {"blocks"}


@pytest.mark.parametrize("user", places.USERS)
def test_the_working_directory_goes(user, directory, monkeypatch):
    """The default place of snapshots is in it; then it is $TMPDIR's turn."""
    (directory / "gone").mkdir()
    (directory / "gone").chmod(0o777)
    (directory / "tmp").mkdir()
    (directory / "tmp").chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(directory / "tmp"))
    with places.Asking(["blocks", 1000, "ask", "label"], "heapspy-run", user=user, cwd=directory / "gone") as asking:
        asking.asked()
        (directory / "gone").rmdir()
        lines = asking.end()
    assert len(lines) == 1 and "HEAPSPY_DIR='heapspy-run' cannot be used (does not exist)" in lines[0]
    assert len(hspy.snapshots(directory / "tmp" / f"heapspy.prog_place.{asking.pid}")) == 2


@pytest.mark.parametrize("user", places.USERS)
def test_a_filter_comes(user, directory):
    """From then on the library makes no call: who reads its snapshots, or asks doctor, learns why."""
    words = ["blocks", 1000, "label", "filter", "bad", "label", "filter", "good", "label", "fill", 1000, "ask"]
    with places.Asking(words, directory / "run", user=user) as asking:
        asking.asked()
        assert asking.info()["flags"] == "seccomp"
        assert "the program set a filter of system calls" in asking.doctor()["seccomp"][0]
        lines = asking.end()
    coming = ("the program sets a filter of system calls: none is made from here on, and snapshots are taken from "
              "outside only")
    assert lines == [coming, "the filter was refused: all goes on as before", coming]
    assert [hspy.info(path)["flags"] for path in hspy.snapshots(directory / "run")] == ["", ""]


# Where the whole system is another one

NO_PROC = "mount -t tmpfs none /proc"
NO_SHM = "mount -t tmpfs none /dev/shm && mount -o remount,ro /dev/shm"
READ_ONLY_ROOT = "mount -o remount,bind,ro / && mount --bind -o ro /tmp /tmp"


@root_only
@pytest.mark.parametrize("user", places.USERS)
def test_without_proc(user, directory):
    words = in_namespace(NO_PROC, user)
    run, lines = places.beside_bare([*WORK, "fork", *WORK], directory / "run", argv=words, interval="20ms")
    info = hspy.info(run.last)
    assert lines == [] and info["comm"] == "prog_place" and info["exe"] == places.PLACE
    assert info["rss_bytes"] == 0 and info["start_ticks"] == 0
    assert "blocks" in hspy.by_function(hspy.top(run.last))
    assert len(run.children()) == 1


@root_only
@pytest.mark.parametrize("user", places.USERS)
def test_without_dev_shm(user, directory, monkeypatch):
    monkeypatch.delenv("HEAPSPY_STATE")
    words = in_namespace(NO_SHM, user)
    run, lines = places.beside_bare(WORK, directory / "run", argv=words)
    assert len(lines) == 1 and "no state file /dev/shm/heapspy." in lines[0]
    assert hspy.info(run.last)["state_errno"] == errno.EROFS


@root_only
@pytest.mark.parametrize("user", places.USERS)
def test_read_only_root(user, directory):
    """No place at all for snapshots; the state is on another file system, and is read from outside."""
    words = in_namespace(READ_ONLY_ROOT, user)
    run, lines = places.beside_bare(WORK, directory / "run", argv=words)
    assert not run.snapshots and len(lines) == 2, lines
    assert "cannot be used (read-only file system)" in lines[0]
    assert lines[1] == "no snapshot, as long as this lasts: read-only file system"


def copy_with_libraries(jail, *files):
    """Puts files and the libraries they need where they are."""
    wanted = set(map(str, files))
    for path in files:
        listed = subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True, check=True).stdout
        wanted |= set(re.findall(r"(/\S+) \(0x", listed))
    for path in wanted:
        target = jail / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for path in jail.rglob("*"):
        path.chmod(0o755)


@root_only
@pytest.mark.parametrize("user", places.USERS)
def test_started_in_a_jail(user, directory):
    """Without /proc, /dev and /tmp; snapshots go to the one place that can be written."""
    copy_with_libraries(directory / "jail", places.PLACE, hspy.LIBRARY, "/usr/bin/env")
    (directory / "jail" / "out").mkdir()
    (directory / "jail" / "out").chmod(0o1777)
    spec = ["--userspec", f"{user}:{user}"] if user is not None else []
    jailed = ["chroot", *spec, "--groups=", directory / "jail", "/usr/bin/env"]
    bare = hspy.run([*jailed, places.PLACE, *WORK], "/out/run", preload=(), expect=7)
    loaded = hspy.run([*jailed, f"LD_PRELOAD={hspy.LIBRARY}", places.PLACE, *WORK], "/out/run", preload=(), expect=7,
                      sample=1, interval=0, verbose=1)
    lines = places.expect_same(bare, loaded)
    assert len(lines) == 1 and "does not exist; private memory serves" in lines[0]
    snapshots = hspy.snapshots(directory / "jail" / "out" / "run")
    assert len(snapshots) == 3
    assert hspy.info(snapshots[-1])["state_errno"] == errno.ENOENT
    assert hspy.info(snapshots[-1])["exe"] == places.PLACE
