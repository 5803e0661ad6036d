"""Children in every way: the parent's figures stay right, children have their own, nothing hangs."""
import json
import os
import select
import subprocess

import doors
import hspy
import hspy_run
import pytest

ALL = ["fork", "_Fork", "raw", "thread_fork", "double", "daemon", "fork_exec", "vfork_exec", "spawn",
       "chain"]
FORKED = ["fork", "_Fork", "raw", "thread_fork", "double", "daemon"]
# The first process ends, or becomes another one, before it allocates for itself.
NO_PARENT = ["daemon", "chain"]


def run_mode(mode, directory, **settings):
    """Runs prog_fork to the end of its last process; returns the run and that process's pid."""
    readable, writable = os.pipe()
    try:
        run = hspy.run([hspy.victim("prog_fork"), mode, writable], directory, pass_fds=[writable],
                       sample=1, interval="250ms", **settings)
    finally:
        os.close(writable)
    said = b""
    while True:
        assert select.select([readable], [], [], 30)[0], "the last process hangs"
        part = os.read(readable, 100)
        if not part:
            break
        said += part
    os.close(readable)
    return run, int(said)


def figures(directory):
    found = hspy.sites(hspy.snapshots(directory)[-1])
    return {name: found.get(name, (0, 0))[:2] for name in ("keep_before", "keep_here")}


def directory_of(run, pid):
    """Where one process wrote; None if it did not. DIR is the first writer's, whoever that is."""
    found = [directory for directory in [run.dir, *run.children()]
             if any(hspy.info(path)["pid"] == pid for path in hspy.snapshots(directory))]
    assert len(found) < 2, found
    if found:
        assert all(hspy.info(path)["pid"] == pid for path in hspy.snapshots(found[0])), "processes mixed"
        if found[0] != run.dir:
            assert found[0].name.startswith(f"prog_fork.{pid}.")
    return found[0] if found else None


def expect_parent(run, mode):
    if mode not in NO_PARENT:
        assert figures(directory_of(run, run.truth["pid"])) == {
            "keep_before": (50000, 50), "keep_here": (100000, 100)}


@pytest.mark.parametrize("mode", ALL)
def test_every_process_has_its_own_figures(mode, tmp_path):
    run, child = run_mode(mode, tmp_path)
    expect_parent(run, mode)
    # What a child inherited is not its own: it starts empty.
    assert figures(directory_of(run, child)) == {"keep_before": (0, 0), "keep_here": (100000, 100)}


@pytest.mark.parametrize("mode", FORKED)
def test_children_of_a_process_without_a_state_file(mode, tmp_path):
    """They cannot see that a parent is profiled, but know: its directory stays its own."""
    run, child = run_mode(mode, tmp_path, state="anon")
    if mode not in NO_PARENT:
        assert figures(run.dir) == {"keep_before": (50000, 50), "keep_here": (100000, 100)}
    assert directory_of(run, child).parent == run.dir


OWN_MEMORY = ["fork", "_Fork", "SYS_fork", "clone", "clone3"]
OUR_MEMORY = ["vfork", "vm"]
PLUGIN = hspy.victim("lib_frame_a.so")


def fork_ways(directory, way, children, threads, blocks, *, loader=True, **options):
    """Runs prog_fork_ways; it fails if a child hangs or ends in another way than it should."""
    words = [hspy.victim("prog_fork_ways"), way, children, threads, blocks] + [PLUGIN] * loader
    run = hspy.run(words, directory, **{"sample": 1, **options})
    assert run.truth == {"hung": 0, "wrong": 0}
    return run


def made_by(run, name):
    """Blocks and bytes that a function of the first process has made, and holds."""
    held_bytes, held, made_bytes, made = hspy.sites(run.last).get(name, (0, 0, 0, 0))
    return made, made_bytes, held, held_bytes


def expect_nothing_left(run, state_dir):
    assert os.listdir(state_dir) == []
    assert not [path for path in run.dir.rglob("*") if path.suffix == ".tmp"]
    assert all(hspy.snapshots(path) for path in run.children()), "an empty directory"


@pytest.mark.parametrize("way", OWN_MEMORY + OUR_MEMORY)
def test_a_million_blocks_of_a_child(way, tmp_path, state_dir):
    """They are in the figures of whose memory it is, and nowhere else."""
    run = fork_ways(tmp_path, way, 1, 0, 1000000)
    assert made_by(run, "keep_here") == (100, 100000, 100, 100000)
    assert made_by(run, "child_churn")[0] == (1000000 if way in OUR_MEMORY else 0)
    assert made_by(run, "child_churn")[2] == 0
    expect_nothing_left(run, state_dir)


@pytest.mark.parametrize("way", ["fork", "again", "atfork", "exec", "vfork", "spawn", "system", "popen"])
def test_children_of_threads_that_allocate(way, tmp_path, state_dir):
    """They throw, walk over the loaded objects, load and unload a library."""
    run = fork_ways(tmp_path, way, 25, 8, 300)
    assert made_by(run, "keep_here") == (100, 100000, 100, 100000)
    assert made_by(run, "child_churn")[0] == (25 * 300 if way == "vfork" else 0)
    expect_nothing_left(run, state_dir)


@pytest.mark.parametrize("way", ["_Fork", "SYS_fork", "clone3"])
def test_bare_clones_of_threads_that_allocate(way, tmp_path, state_dir):
    """libc's malloc may be locked in such a child for ever, so it is another one here."""
    run = fork_ways(tmp_path, way, 25, 8, 300, preload=[hspy.LIBRARY, hspy.victim("lib_bump.so")])
    assert made_by(run, "keep_here") == (100, 100000, 100, 100000)
    expect_nothing_left(run, state_dir)


def test_forks_while_snapshots_are_written(tmp_path, state_dir):
    run = fork_ways(tmp_path, "fork", 80, 4, 100, interval="10ms")
    assert len(run.snapshots) > 5
    for path in run.snapshots:
        assert hspy.info(path)["pid"] == hspy.info(run.last)["pid"]
    assert made_by(run, "keep_here") == (100, 100000, 100, 100000)
    expect_nothing_left(run, state_dir)


@pytest.mark.parametrize("allocator", doors.ALLOCATORS)
def test_forks_with_each_allocator_under_heapspy_run(allocator, tmp_path, state_dir):
    words = [hspy.victim("prog_fork_ways"), "fork", 25, 6, 300, PLUGIN]
    chosen = {} if allocator == "glibc" else {"allocator": allocator}
    done = hspy_run.run(*words, dir=tmp_path / "run", sample=1, **chosen)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"hung": 0, "wrong": 0}
    assert hspy.sites(hspy.snapshots(tmp_path / "run")[-1])["keep_here"] == (100000, 100, 100000, 100)
    assert os.listdir(state_dir) == []


@pytest.mark.parametrize("mode", ["vfork_first", "vfork_thread"])
def test_a_vfork_child_does_not_take_a_forked_childs_state(mode, tmp_path, state_dir):
    run, child = run_mode(mode, tmp_path)
    found = figures(directory_of(run, child))
    assert found["keep_here"] == (100000, 100)
    expect_nothing_left(run, state_dir)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_vfork_child_writes_no_snapshot(tmp_path):
    """It may be another user, elsewhere, under limits of its own."""
    run, _ = run_mode("vfork_other", tmp_path)
    assert run.snapshots
    # Where it would have gone: the working directory is open to all, the other one is not.
    assert os.listdir(".") == []


def test_the_parent_of_a_daemon_ends_in_order_under_heapspy_run(tmp_path, state_dir):
    """It leaves inside libc, unseen; its last snapshot is not one of a process that was killed."""
    readable, writable = os.pipe()
    with os.fdopen(readable) as said:
        try:
            done = subprocess.run(
                hspy_run.words(hspy.victim("prog_fork"), "daemon", writable, dir=tmp_path / "run", sample=1),
                env=hspy_run.plain_environment(), pass_fds=[writable], stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        finally:
            os.close(writable)
        assert done.returncode == 0 and said.read(), done.stderr
    moments = {hspy.info(path)["pid"]: path
               for path in (hspy.snapshots(place)[-1] for place in hspy_run.directories(tmp_path))}
    assert len(moments) == 2
    assert {hspy.info(path)["reason"] for path in moments.values()} == {"exit"}
    held = sorted(hspy.live_bytes(path, "keep_before") for path in moments.values())
    assert held == [0, 50000]
    assert not any("bytes_lower" in hspy.info(path)["flags"] for path in moments.values())
    assert os.listdir(state_dir) == []


CHAIN = """
import os, sys
for depth in range(6):
    kept = [bytearray(3000) for _ in range(100)]
    pid = os.fork()
    if pid:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os._exit(code)
kept = [bytearray(3000) for _ in range(100)]
states = {line.split(None, 5)[5] for line in open("/proc/self/maps") if "/heapspy." in line}
print(len(states))
"""


def test_a_chain_of_forks_keeps_no_old_states(tmp_path):
    run = hspy.run(["/usr/bin/python3", "-I", "-c", CHAIN], tmp_path, sample="4KiB")
    assert run.stdout == "2\n"


def test_a_forked_childs_time_begins_at_the_fork(tmp_path):
    script = ("import os, time\n"
              "if os.fork() == 0:\n"
              "    time.sleep(1.2)\n"
              "    kept = bytearray(1 << 24)\n"
              "else:\n"
              "    os.wait()\n")
    run = hspy.run(["/usr/bin/python3", "-I", "-c", script], tmp_path, sample="1MiB")
    (child,) = run.children()
    info = hspy.info(hspy.snapshots(child)[-1])
    assert info["cut_ns"] >= 1150000000, info
    # What it had allocated before its first sample counts, too.
    assert info["bytes_seen"] >= 1 << 24


@pytest.mark.parametrize("call", ["fork", "free"])
def test_children_forked_inside_our_code_leave_the_parents_figures_alone(call, tmp_path):
    """By a handler, at each seventh instruction; the child goes on in there before its parent does."""
    n = 300
    run = hspy.run([hspy.victim("prog_left"), call, 1, 7, n], tmp_path, sample=1, interval=0, cpu_max="off",
                   preload=[hspy.LIBRARY, hspy.victim("lib_bump.so")])
    info = hspy.info(run.last)
    # Counted twice where the fork came in the middle of the counting itself.
    assert 100 * n <= info["bytes_seen"] <= 100 * (n + 8)
    assert n <= info["samples"] <= n + 45
    if call == "free":
        assert n - 8 <= info["deaths"] <= n + 8


@pytest.mark.parametrize("mode", ALL)
def test_children_exec_profiles_new_programs_only(mode, tmp_path):
    run, child = run_mode(mode, tmp_path, children="exec")
    expect_parent(run, mode)
    assert (directory_of(run, child) is not None) == (mode not in FORKED)


@pytest.mark.parametrize("mode", ALL)
def test_children_none_profiles_the_first_process_only(mode, tmp_path):
    run, child = run_mode(mode, tmp_path, children="none")
    expect_parent(run, mode)
    # A program that becomes another one by exec stays the same process.
    if mode != "chain":
        assert directory_of(run, child) is None


def test_shell_with_many_short_children(tmp_path):
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do ls / | sort | wc -l; done"
    run = hspy.run(["sh", "-c", script], tmp_path, sample=1)
    assert len(set(run.stdout.split())) == 1 and len(run.stdout.split()) == 10


def test_python_pool_of_processes(tmp_path):
    """fork from a process with threads and a dynamic loader at work, many times."""
    script = ("import multiprocessing as m\n"
              "with m.get_context('fork').Pool(4) as pool:\n"
              "    print(sum(pool.map(len, [[0] * n for n in range(500)])))\n")
    run = hspy.run(["/usr/bin/python3", "-c", script], tmp_path, sample="64KiB", interval="100ms")
    assert run.stdout == f"{sum(range(500))}\n"


@pytest.mark.slow
def test_ten_thousand_forks_whose_children_throw_and_load(tmp_path, state_dir):
    run = fork_ways(tmp_path, "fork", 10000, 8, 100, timeout=3000)
    assert made_by(run, "keep_here") == (100, 100000, 100, 100000)
    assert made_by(run, "child_churn")[0] == 0 and len(run.children()) < 5000
    expect_nothing_left(run, state_dir)


@pytest.mark.slow
def test_ten_thousand_forks_of_a_threaded_program(tmp_path):
    script = ("import os, threading\n"
              "stop = []\n"
              "def work():\n"
              "    while not stop: [bytes(700) for _ in range(100)]\n"
              "threads = [threading.Thread(target=work) for _ in range(4)]\n"
              "[t.start() for t in threads]\n"
              "for _ in range(10000):\n"
              "    pid = os.fork()\n"
              "    if pid == 0:\n"
              "        import ctypes; ctypes.CDLL('libz.so.1'); os._exit(0)\n"
              "    assert os.waitpid(pid, 0)[1] == 0\n"
              "stop.append(1)\n"
              "print('done')\n")
    run = hspy.run(["/usr/bin/python3", "-c", script], tmp_path, sample=1, timeout=900)
    assert run.stdout == "done\n"
