"""heapspy snapshot PID: a process is read from outside, as it runs, as it stands still, or not at all."""
import ctypes
import json
import os
import random
import signal
import subprocess
import threading
import time

import hspy
import pytest

PATIENCE_S = 30
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def until(ready):
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, f"never: {ready}"
        time.sleep(0.01)


def snapshot(*words, **options):
    return subprocess.run([str(hspy.COMMAND), "snapshot", *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options)


def expect_refusal(done, *words, code=3):
    """One clear line."""
    assert done.returncode == code and not done.stdout, done
    assert done.stderr.startswith("heapspy: ") and len(done.stderr.splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


class Victim:
    """A program that takes lines and answers them, under the library, to the end of a with block."""

    def __init__(self, *argv, directory, preexec=None, preload=(hspy.LIBRARY,), prefix=(), **settings):
        self.process = subprocess.Popen(
            [*prefix, *map(str, argv)], env=hspy.environment(directory, preload, **settings), preexec_fn=preexec,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def write(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def rest(self):
        self.write("rest")
        return json.loads(self.process.stdout.readline())

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)
        until(lambda: hspy.pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


def job(directory, **settings):
    return Victim(hspy.victim("prog_job"), "tty", directory=directory, sample=1, interval=0, **settings)


def rounds(directory, **settings):
    return Victim(hspy.victim("prog_rounds"), 8, directory=directory, sample=1, interval=0, **settings)


def written(done, note=""):
    """The file that it says it has written, with no word beside it but note."""
    assert done.returncode == 0, done.stderr
    path, _, size = done.stdout.rstrip("\n").partition("  (")
    assert size.endswith("B)") and done.stderr == note
    return hspy.pathlib.Path(path)


def test_what_it_writes(tmp_path):
    with job(tmp_path) as victim:
        first = written(snapshot(victim.pid))
        second = written(snapshot(victim.pid, "--label", "half time"))
        assert snapshot(victim.pid, "-q").stdout == ""
        own = written(snapshot(victim.pid, "-o", tmp_path / "own.hspy"))
    assert [path.name for path in hspy.snapshots(tmp_path)] == ["000001.hspy", "000002.hspy", "000003.hspy",
                                                                "own.hspy"]
    for path in (first, second, own):
        assert hspy.live_bytes(path, "keep_blocks") == 100000 and (path.stat().st_mode & 0o777) == 0o600
        assert hspy.info(path)["pid"] == victim.pid and hspy.info(path)["rss_bytes"] > 0
    assert hspy.info(first)["reason"] == "request"
    assert hspy.live_bytes(f"{tmp_path}@mark:half time", "keep_blocks") == 100000


def test_a_file_that_exists_is_refused(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "behind")
    with job(tmp_path / "run") as victim:
        for name in ("precious", "link"):
            expect_refusal(snapshot(victim.pid, "-o", tmp_path / name), "exist", code=4)
        expect_refusal(snapshot(victim.pid, "-o", tmp_path / "no" / "where"), "No such file", code=4)
    assert (tmp_path / "precious").read_text() == "precious" and not (tmp_path / "behind").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "precious"]


def check_consistent(path):
    """Readable, without a warning, and the sums of its sections agree."""
    for words in (("dump", path), ("top", path)):
        done = hspy.command(*words)
        assert done.returncode == 0 and not done.stderr, done.stderr
    found = hspy.dump(path)
    assert not found["info"]["flags"], found["info"]["flags"]
    return found


def churn(tmp_path, times, state_max):
    with rounds(tmp_path / "run", state_max=state_max) as victim:
        victim.write("go")
        # What the program's start has allocated is a handful among these.
        until(lambda: hspy.info(written(snapshot(victim.pid)))["samples"] > 10000)
        last = 0
        for number in range(1, times + 1):
            path = written(snapshot(victim.pid, "-o", tmp_path / f"{number}.hspy"))
            info = hspy.info(path)
            assert not info["flags"] and info["level"] == 0, info
            # A thread that was interrupted between adding a block to the total and beginning to
            # count the next one is read as if it had both: a block of up to 3000 bytes each.
            assert last - 8 * 3000 <= info["bytes_seen"] <= info["bytes_seen_end"] + 8 * 3000
            last = info["bytes_seen_end"]
            if number % 20 == 1:
                check_consistent(path)
            # No more than its eight times 500 slots, and what is between a malloc and its slot.
            held = hspy.sites(path) if number % 20 == 1 else {}
            assert sum(site[1] for name, site in held.items() if name.startswith("by_")) <= 8 * 500 + 8
            if number % 10 == 0:
                truth = victim.rest()
                found = hspy.sites(written(snapshot(victim.pid, "-o", tmp_path / f"rest-{number}.hspy")))
                for name, site in truth.items():
                    assert found[name] == (site["live_bytes"], site["live"], site["bytes"], site["n"]), name
                victim.write("go")


def test_while_eight_threads_churn(tmp_path):
    churn(tmp_path, 40, "64MiB")


@pytest.mark.slow
def test_two_hundred_times_while_eight_threads_churn(tmp_path):
    churn(tmp_path, 200, "64MiB")


def test_a_stopped_process(tmp_path):
    with rounds(tmp_path) as victim:
        victim.write("go")
        until(lambda: hspy.sites(written(snapshot(victim.pid))).get("by_malloc"))
        victim.stop()
        first, second = (hspy.dump(written(snapshot(victim.pid))) for _ in range(2))
        for key in ("live", "stacks"):
            assert first.get(key) == second.get(key)
        assert first["info"]["bytes_seen"] == second["info"]["bytes_seen"] > 0


def look(pid, **options):
    """What live and doctor say of a process, as json."""
    live = subprocess.run([str(hspy.COMMAND), "live", "--json", "--count", "2", "--every", "100ms", str(pid)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options)
    doctor = subprocess.run([str(hspy.COMMAND), "doctor", "--json", str(pid)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options)
    return live, doctor


def check_kept_blocks(pid, **options):
    """All three readers find the blocks of keep_blocks()."""
    path = written(snapshot(pid, **options))
    assert hspy.live_bytes(path, "keep_blocks") == 100000
    live, doctor = look(pid, **options)
    assert live.returncode == 0, live
    readings = [json.loads(line) for line in live.stdout.splitlines()]
    assert len(readings) == 2 and all(hspy.by_function(reading)["keep_blocks"]["live"]["bytes"] == 100000
                                      for reading in readings), live.stdout
    assert doctor.returncode in (0, 1) and json.loads(doctor.stdout)["checks"], doctor
    return path


def test_live_and_doctor_of_a_stopped_process(tmp_path):
    with job(tmp_path) as victim:
        victim.stop()
        check_kept_blocks(victim.pid)


PTRACE_ATTACH, PTRACE_DETACH = 16, 17


def test_a_process_under_a_debugger(tmp_path):
    """In a stop of ptrace there is nobody who could answer, nor may a second one attach."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p
    with job(tmp_path) as victim:
        if ptrace(PTRACE_ATTACH, victim.pid, None, None):
            pytest.skip(f"no ptrace here: {os.strerror(ctypes.get_errno())}")
        os.waitpid(victim.pid, os.WUNTRACED)
        try:
            check_kept_blocks(victim.pid)
        finally:
            ptrace(PTRACE_DETACH, victim.pid, None, None)


def test_a_process_that_is_deadlocked_in_its_allocator(tmp_path):
    """Its own snapshots go on, too: their writer allocates nothing."""
    with Victim(hspy.victim("prog_stuck"), directory=tmp_path, sample=1, interval="200ms",
                preload=(hspy.LIBRARY, hspy.victim("lib_stuck.so"))) as victim:
        until(lambda: all("futex" in open(f"/proc/{victim.pid}/task/{tid}/wchan", encoding="ascii").read()
                          or tid != str(victim.pid) for tid in os.listdir(f"/proc/{victim.pid}/task")))
        check_kept_blocks(victim.pid)
        before = len(hspy.snapshots(tmp_path))
        until(lambda: len(hspy.snapshots(tmp_path)) > before + 2)


def test_a_program_whose_main_thread_has_left(tmp_path):
    script = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); " \
        "print('ready', flush=True); ctypes.CDLL(None).pthread_exit(None)"
    with Victim("/usr/bin/python3", "-I", "-c", script, directory=tmp_path, sample="4KiB", interval=0) as victim:
        until(lambda: hspy.pathlib.Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
        info = hspy.info(written(snapshot(victim.pid)))
        assert info["pid"] == victim.pid and info["samples"] > 0


def test_nothing_changes_in_the_process(tmp_path):
    """Its descriptors, threads and time of its own stay what they are."""
    with job(tmp_path) as victim:
        def look():
            stat = hspy.pathlib.Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()
            return sorted(os.listdir(f"/proc/{victim.pid}/fd")), stat[0], stat[11:13], stat[17], \
                hspy.pathlib.Path(f"/proc/{victim.pid}/status").read_text().split("voluntary_ctxt_switches")[1]
        until(lambda: look()[1] == "S")
        before = look()
        for _ in range(5):
            written(snapshot(victim.pid))
        assert look() == before


# What cannot be read.

def test_no_such_process(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    expect_refusal(snapshot(gone.pid), f"no process {gone.pid}")
    zombie = subprocess.Popen(["true"])
    until(lambda: "Z" in hspy.pathlib.Path(f"/proc/{zombie.pid}/stat").read_text().rpartition(")")[2])
    expect_refusal(snapshot(zombie.pid), f"no process {zombie.pid}")
    zombie.wait()


@pytest.mark.parametrize("word", ["abc", "0", "-1", "1x", "", "99999999999", "1.5"])
def test_no_process_id(word):
    done = snapshot("--", word)
    expect_refusal(done, code=2)


def test_a_process_that_is_not_under_heapspy(tmp_path):
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            expect_refusal(snapshot(other.pid), "not under heapspy", "heapspy run")
        finally:
            other.kill()


def test_a_process_that_is_passed_through(tmp_path):
    script = "sleep 60 & echo ready; echo $!; read x; kill $!"
    with Victim("/bin/sh", "-c", script, directory=tmp_path, children="none") as victim:
        child = int(victim.process.stdout.readline())
        until(lambda: os.readlink(f"/proc/{child}/exe").endswith("sleep"))
        until(lambda: "passed through" in snapshot(child).stderr)
        expect_refusal(snapshot(child), "passed through", f"heapspy doctor {child}")
        written(snapshot(victim.pid))
        victim.write("")
        assert victim.process.wait(PATIENCE_S) == 0


FORKER = """
import os, sys, signal
pid = os.fork()
if pid == 0:
    signal.pause()
print("ready", flush=True)
print(pid, flush=True)
sys.stdin.read()
os.kill(pid, 9)
"""


def test_a_forked_child_without_a_state_of_its_own(tmp_path):
    with Victim("/usr/bin/python3", "-I", "-c", FORKER, directory=tmp_path, sample="1GiB") as victim:
        child = int(victim.process.stdout.readline())
        expect_refusal(snapshot(child), "forked child")
        written(snapshot(victim.pid))
        victim.process.stdin.close()
        assert victim.process.wait(PATIENCE_S) == 0


@as_root
@pytest.mark.other_user
def test_a_process_of_another_user(tmp_path):
    """As nobody: refused. As root: into a directory of root's, not one of the other's choosing."""
    hspy.need_look_at_others()

    def nobody():
        os.setgroups([])
        os.setgid(hspy.NOBODY)
        os.setuid(hspy.NOBODY)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chmod(theirs, 0o777)
    ours = tmp_path / "ours"
    ours.mkdir()
    with job(tmp_path / "root") as victim:
        expect_refusal(snapshot(victim.pid, user=hspy.NOBODY, group=hspy.NOBODY, extra_groups=[], cwd="/"),
                       "another user")
    with job(theirs, preexec=nobody) as victim:
        path = written(snapshot(victim.pid, cwd=ours), f"heapspy: note: process {victim.pid} belongs to another "
                       "user, whose choice of a directory is not followed: written into the working directory\n")
        assert path == ours / f"heapspy.prog_job.{victim.pid}" / "000001.hspy"
        done = snapshot(victim.pid, "-q", cwd=ours)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        written(snapshot(victim.pid, "-o", ours / "own.hspy", cwd=ours))
        assert path.stat().st_uid == 0 and hspy.live_bytes(path, "keep_blocks") == 100000
    assert not list(theirs.rglob("*.hspy")) or all(p.stat().st_uid == hspy.NOBODY for p in theirs.rglob("*.hspy"))


def as_user(number):
    return {"user": number, "group": number, "extra_groups": [], "cwd": "/"}


@as_root
@pytest.mark.other_user
@pytest.mark.parametrize("reader", ["live", "doctor"])
def test_other_readers_and_another_user(tmp_path, reader):
    """One clear line, and nothing of what is inside."""
    hspy.need_look_at_others()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, hspy.NOBODY, hspy.NOBODY)
    with Victim(hspy.victim("prog_job"), "tty", directory=theirs, sample=1, interval=0,
                preexec=lambda: (os.setgroups([]), os.setgid(hspy.NOBODY), os.setuid(hspy.NOBODY))) as victim:
        live, doctor = look(victim.pid)
        assert live.returncode == 0 and "keep_blocks" in live.stdout, live
        assert doctor.returncode in (0, 1) and json.loads(doctor.stdout)["checks"], doctor
        live, doctor = look(victim.pid, **as_user(hspy.NOBODY - 1))
        if reader == "live":
            expect_refusal(live, "another user")
        else:
            assert doctor.returncode in (1, 3) and "keep_blocks" not in doctor.stdout + doctor.stderr, doctor
            assert "user" in doctor.stdout + doctor.stderr, doctor


def child_below(pid):
    """The victim below unshare and its shell, as seen from here."""
    children = hspy.children_of(pid)
    return child_below(children[0]) if children else pid


BOX = """
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
cd "$1"
mkdir -p usr proc dev/shm tmp app old etc
for name in bin lib lib64 sbin; do ln -s "usr/$name" "$name"; done
mount --rbind /usr usr
mount -t proc none proc
mount -t tmpfs none dev/shm
touch dev/null && mount --bind /dev/null dev/null
cp "$2" app/library.so
cp "$3" app/program
shift 3
pivot_root . old
umount -l old
cd /
exec env LD_PRELOAD=/app/library.so "$@"
"""


@as_root
@pytest.mark.parametrize("flags", [["-m", "-p", "-f"], ["-U", "-r", "-m", "-p", "-f"]],
                         ids=["as_root_outside", "root_of_its_own_users"])
def test_a_process_in_a_box(tmp_path, state_dir, flags):
    """
    A file tree, processes and a /dev/shm of its own, as in a container: its state is found by its memory map, and
    its program, which is nowhere else, by /proc/PID/root.
    """
    box = tmp_path / "box"
    box.mkdir()
    if subprocess.run(["unshare", *flags, "mount", "-t", "tmpfs", "none", box], check=False,
                      stderr=subprocess.PIPE).returncode:
        pytest.skip("no such namespaces here")
    env = {key: value for key, value in hspy.environment("/tmp/run", (), sample=1, interval=0).items()
           if key != "HEAPSPY_STATE"}
    process = subprocess.Popen(
        ["unshare", *flags, "sh", "-c", BOX, "sh", box, hspy.LIBRARY, hspy.victim("prog_job"), "/app/program", "tty"],
        env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line == "ready\n", process.stderr.read()
        pid = child_below(process.pid)
        assert pid != process.pid and not os.path.exists("/app/program")
        path = check_kept_blocks(pid)
        info = hspy.info(path)
        assert info["pid"] != pid and path.parent.parent == hspy.pathlib.Path.cwd()
        assert "private" not in " ".join(info["flags"]), info
    finally:
        for pid in (child_below(process.pid), process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.communicate()


@as_root
def test_a_process_in_another_mount_namespace(tmp_path, state_dir):
    hspy.need_mounts()
    script = 'mount -t tmpfs none "$2" && mount -t tmpfs none "$1" && shift 2 && exec "$@"'
    inside = tmp_path / "inside"
    inside.mkdir()
    with Victim(hspy.victim("prog_job"), "tty", directory=inside / "run", sample=1, interval=0, state=state_dir,
                prefix=["unshare", "-m", "sh", "-c", script, "sh", inside, state_dir]) as victim:
        path = written(snapshot(victim.pid, cwd=tmp_path))
        assert path.parent == tmp_path / f"heapspy.prog_job.{victim.pid}"
        assert hspy.live_bytes(path, "keep_blocks") == 100000
    # Nothing of it in the place that its directory has in our view; the shell was there before the mount.
    assert all(hspy.info(path)["comm"] != "prog_job" for path in inside.rglob("*.hspy"))


def test_a_private_state(tmp_path):
    with job(tmp_path, state="anon") as victim:
        assert hspy.live_bytes(written(snapshot(victim.pid)), "keep_blocks") == 100000


def test_a_state_without_a_name(tmp_path, state_dir):
    with job(tmp_path) as victim:
        for name in os.listdir(state_dir):
            os.unlink(os.path.join(state_dir, name))
        assert hspy.live_bytes(written(snapshot(victim.pid)), "keep_blocks") == 100000


def test_a_state_that_is_cut_short(tmp_path, state_dir):
    with job(tmp_path) as victim:
        victim.stop()
        (name,) = os.listdir(state_dir)
        for size in (20000, 5000, 100, 0):
            os.truncate(os.path.join(state_dir, name), size)
            done = snapshot(victim.pid)
            assert done.returncode in (3, 4) and len(done.stderr.splitlines()) == 1, done


def test_a_state_that_is_overwritten_meanwhile(tmp_path, state_dir):
    """With random bytes, over and over: a file that is readable, or one line. The process stands still."""
    rng = random.Random(5)
    with rounds(tmp_path / "run") as victim:
        victim.write("go")
        until(lambda: hspy.info(written(snapshot(victim.pid)))["samples"] > 20000)
        victim.stop()
        (name,) = os.listdir(state_dir)
        ended = threading.Event()
        with open(os.path.join(state_dir, name), "r+b", buffering=0) as state:
            whole = state.read()

            def overwrite():
                while not ended.is_set():
                    at = rng.choice([rng.randrange(64), rng.randrange(8192), rng.randrange(len(whole))])
                    os.pwrite(state.fileno(), rng.randbytes(rng.choice([1, 8, 64])), at)
                    if rng.random() < 0.3:
                        os.pwrite(state.fileno(), whole[:8192], 0)
                    time.sleep(0.0002)
            thread = threading.Thread(target=overwrite)
            thread.start()
            try:
                ends = [snapshot(victim.pid, "-o", tmp_path / f"{number}.hspy") for number in range(60)]
            finally:
                ended.set()
                thread.join()
    for number, done in enumerate(ends):
        assert done.returncode in (0, 3, 4), done
        assert len(done.stderr.splitlines()) == (done.returncode != 0), done.stderr
        if done.returncode == 0:
            read = hspy.command("dump", tmp_path / f"{number}.hspy")
            assert read.returncode in (0, 3) and len(read.stderr.splitlines()) <= 2, read.stderr
    codes = [done.returncode for done in ends]
    assert codes.count(0) and not list(tmp_path.glob("*.tmp")), codes
