"""Nothing to write to, nothing left, nonsense in a variable: the target never stops or changes."""
import os
import resource
import subprocess
import time

import hspy
import pytest

BAD_VALUES = {
    "HEAPSPY_DIR": "%x", "HEAPSPY_SAMPLE": "half", "HEAPSPY_INTERVAL": "-5s",
    "HEAPSPY_WRITER": "me", "HEAPSPY_UNWIND": "luck", "HEAPSPY_DEPTH": "0", "HEAPSPY_STATE": "here",
    "HEAPSPY_STATE_MAX": "12", "HEAPSPY_CHILDREN": "some", "HEAPSPY_START": "maybe",
    "HEAPSPY_VERBOSE": "very", "HEAPSPY_CPU_MAX": "1",
}


@pytest.fixture
def small_tmpfs(tmp_path):
    with hspy.small_tmpfs(tmp_path / "small", "8m") as path:
        yield path


def leftovers(directory):
    """Files that are neither snapshots nor the mark of a directory's owner."""
    return [path for path in directory.rglob("*")
            if path.is_file() and path.suffix != ".hspy" and path.name != ".owner"]


def expect_unchanged(run, stderr="done\n"):
    assert run.code == 7
    assert run.stdout == '{"live": 1000000}\n'
    assert run.stderr == stderr


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_bad_value_is_one_line_and_changes_nothing(name, tmp_path):
    run = hspy.run(["env", f"{name}={BAD_VALUES[name]}", hspy.victim("prog_basic")],
                   tmp_path / "run", expect=7, cwd=tmp_path)
    lines = run.stderr.splitlines()
    # env itself is profiled too until it becomes the victim, but has no bad value.
    assert len(lines) == 2 and lines[1] == "done", lines
    assert lines[0].startswith("heapspy: ") and "expected" in lines[0]
    assert name in lines[0] and f"'{BAD_VALUES[name]}'" in lines[0]
    assert run.stdout == '{"live": 1000000}\n'


def as_nobody():
    os.setgroups([])
    os.setgid(hspy.NOBODY)
    os.setuid(hspy.NOBODY)


@pytest.mark.other_user
@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become nobody")
def test_unwritable_directory(tmp_path):
    """As nobody, because root may write everywhere."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    for directory in (closed, closed / "below"):
        run = hspy.run([hspy.victim("prog_basic")], directory, expect=7, preexec=as_nobody, cwd="/",
                       interval="10ms")
        expect_unchanged(run)
    assert list(closed.iterdir()) == []


def test_directory_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    expect_unchanged(hspy.run([hspy.victim("prog_basic")], tmp_path / "file", expect=7))
    assert (tmp_path / "file").read_text() == "mine"


def test_full_disk(small_tmpfs):
    hspy.fill(small_tmpfs)
    run = hspy.run([hspy.victim("prog_basic"), 1000, 7, 0.5], small_tmpfs / "run", expect=7,
                   interval="50ms", sample=1)
    expect_unchanged(run)
    assert not leftovers(small_tmpfs / "run"), "half-written files stay behind"
    assert not run.snapshots


def test_disk_that_fills_up_on_the_way(small_tmpfs):
    """What was written before stays readable."""
    directory = small_tmpfs / "run"
    run = hspy.run([hspy.victim("prog_exact"), 2, 20000], directory, interval="20ms", sample=1,
                   state_max="256MiB")
    for path in run.snapshots:
        hspy.info(path)
    assert not leftovers(directory)


def test_disk_that_is_full_for_a_while(small_tmpfs):
    """Snapshots go on once there is room again."""
    hspy.fill(small_tmpfs)
    with hspy.Server([hspy.victim("prog_basic"), 1000, 7, 30], small_tmpfs / "run",
                     log=small_tmpfs.parent / "log", settings={"interval": "50ms"}) as server:
        time.sleep(0.5)
        (small_tmpfs / "ballast").unlink()
        server.wait_until(lambda: list((small_tmpfs / "run").rglob("*.hspy")), timeout=10)


@pytest.mark.parametrize("full", [False, True], ids=["8MB", "full"])
def test_state_in_a_small_tmpfs(full, small_tmpfs, tmp_path):
    """A page that cannot be backed must be refused when asked for, not fault when written."""
    if full:
        hspy.fill(small_tmpfs)
    run = hspy.run([hspy.victim("prog_exact"), 4, 50000], tmp_path / "run", state=small_tmpfs, sample=1,
                   state_max="1GiB")
    assert "by_malloc" in run.truth
    assert run.stderr == ""


@pytest.mark.parametrize("state", ["anon", "/no/such/directory", "/etc/passwd"])
def test_state_elsewhere(state, tmp_path):
    run = hspy.run([hspy.victim("prog_basic")], tmp_path, expect=7, state=state, sample=1)
    expect_unchanged(run)
    assert hspy.live_bytes(run.last, "keep_blocks") == 1000000


@pytest.mark.parametrize("blocks", [0, 1, 100])
def test_file_size_limit(blocks, tmp_path):
    """A file beyond RLIMIT_FSIZE means SIGXFSZ: state and snapshots must look first."""
    limit = blocks * 1024

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    run = hspy.run([hspy.victim("prog_exact"), 4, 20000], tmp_path, preexec=limited, sample=1,
                   interval="50ms", state_max="256MiB")
    assert "by_malloc" in run.truth and run.stderr == ""
    assert all(path.stat().st_size <= limit for path in run.snapshots)


@pytest.mark.parametrize("mebibytes", [8, 16, 64])
def test_address_space_limit(mebibytes, tmp_path):
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
    run = hspy.run([hspy.victim("prog_basic")], tmp_path, expect=7, preexec=limited, sample=1,
                   state_max="1GiB")
    expect_unchanged(run)


@pytest.mark.parametrize("limit", ["NOFILE", pytest.param("NPROC", marks=pytest.mark.other_user), "MEMLOCK",
                                   "STACK"])
def test_other_limits(limit, tmp_path):
    def limited():
        value = {"NOFILE": 3, "NPROC": 0, "MEMLOCK": 0, "STACK": 65536}[limit]
        resource.setrlimit(getattr(resource, "RLIMIT_" + limit), (value, value))
        if limit == "NPROC" and os.getuid() == 0:
            as_nobody()
    if limit == "NPROC":
        os.chmod(tmp_path, 0o777)
    run = hspy.run([hspy.victim("prog_basic")], tmp_path, expect=None, preexec=limited, sample=1,
                   interval="10ms")
    if limit == "NOFILE":
        # Three descriptors are taken by the standard streams: not even the C library can be opened.
        assert run.code == 127
    else:
        expect_unchanged(run)


def test_working_directory_that_is_gone(tmp_path):
    run = hspy.run(["sh", "-c", 'mkdir "$1"; cd "$1"; rmdir "$1"; exec "$0"', hspy.victim("prog_basic"),
                    tmp_path / "gone"], tmp_path / "run", expect=7)
    expect_unchanged(run)


def test_planted_links_are_not_followed(tmp_path):
    """Somebody else's symlink under the name of a snapshot: the file behind it stays as it is."""
    (tmp_path / "run").mkdir()
    (tmp_path / "precious").write_text("precious")
    for number in range(1, 4):
        (tmp_path / "run" / f"{number:06}.hspy").symlink_to(tmp_path / "precious")
    expect_unchanged(hspy.run([hspy.victim("prog_basic")], tmp_path / "run", expect=7))
    assert (tmp_path / "precious").read_text() == "precious"
