"""
What each way to die leaves behind, what heapspy recover makes of it, and whose state it leaves alone.

(test_recover_kills.py kills at random moments.)
"""
import fcntl
import json
import os
import pathlib
import shlex
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time

import hspy
import pytest

CHOSEN = ["return", "exit", "_exit", "_Exit", "quick_exit", "pthread_exit", "in_thread", "in_all_threads",
          "in_handler", "in_destructor"]
KILLED = {"abort": 6, "SIGTERM": 15, "SIGKILL": 9, "SIGSEGV": 11}
# In the middle of an allocation for ever: what is kept is what it had.
IDLE = "import signal, sys; kept = [bytes(3000 + i) for i in range(500)]; print('ready', flush=True); signal.pause()"

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="takes root")


def recover(*words, code=0, cwd=None, prefix=()):
    done = subprocess.run([*prefix, str(hspy.COMMAND), "recover", *map(str, words)], cwd=cwd, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == code, f"heapspy recover {words}: {done}"
    return done


def recover_json(*words, **options):
    return json.loads(recover("--json", *words, **options).stdout)


def recovered(*words, **options):
    """The one state that recover found to tell of."""
    (one,) = [one for one in recover_json(*words, **options)["states"] if one["outcome"] == "recovered"]
    return one


def states(directory):
    return sorted(pathlib.Path(directory).glob("heapspy.*"))


def kill_one(directory, **settings):
    """A victim that was killed, with 100 blocks of 1000 bytes; returns the path of its state."""
    before = set(states(os.environ["HEAPSPY_STATE"]))
    hspy.run([hspy.victim("prog_exit"), "SIGKILL"], directory, expect=-9, **dict({"sample": 1, "interval": 0},
                                                                                **settings))
    (state,) = set(states(os.environ["HEAPSPY_STATE"])) - before
    return state


class Idle:
    """A program that waits until it is killed, at the end of the with block at the latest."""

    def __init__(self, directory, prefix=(), argv=(sys.executable, "-I", "-c", IDLE), cwd=None, preexec=None,
                 **settings):
        self.process = subprocess.Popen([*prefix, *argv], env=hspy.environment(directory, **settings), cwd=cwd,
                                        preexec_fn=preexec, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        start_new_session=True)

    def __enter__(self):
        assert self.process.stdout.readline() == b"ready\n"
        return self

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.kill()


def until(ready, patience=20):
    deadline = time.monotonic() + patience
    while not ready():
        assert time.monotonic() < deadline, ready
        time.sleep(0.01)


# Each way to die, with and without heapspy run

# With a second thread, but for the end that waits for it.
@pytest.mark.parametrize("threads, mode", [((), mode) for mode in (*CHOSEN, *KILLED)] +
                         [(("thread",), mode) for mode in (*CHOSEN, *KILLED) if mode != "pthread_exit"])
def test_what_an_end_leaves(threads, mode, tmp_path, state_dir):
    run = hspy.run([hspy.victim("prog_exit"), mode, *threads], tmp_path, expect=None, sample=1, interval=0,
                   timeout=20)
    if mode in KILLED:
        assert run.code == -KILLED[mode] and not run.snapshots and len(states(state_dir)) == 1
        one = recovered()
        assert one["snapshot"] == str(tmp_path / "000001.hspy")
    else:
        assert run.code == (0 if mode == "pthread_exit" else 42) and states(state_dir) == []
    (path,) = run.snapshots
    assert hspy.live_bytes(path, "keep_blocks") == 100000
    assert hspy.info(path)["reason"] == ("recovered" if mode in KILLED else "exit")
    assert states(state_dir) == [] and not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    assert recover().stdout == f"No states of dead processes in {state_dir}.\n"


def test_exec_keeps_what_the_image_before_has_seen(tmp_path, state_dir):
    run = hspy.run([hspy.victim("prog_exec"), "--", hspy.victim("prog_exit"), "exit"], tmp_path, expect=42, sample=1)
    assert hspy.info(run.last)["reason"] == "exit"
    (state,) = states(state_dir)
    one = recovered()
    assert one["program"] == "prog_exec" and one["state"] == str(state) and states(state_dir) == []
    info = hspy.info(one["snapshot"])
    assert hspy.live_bytes(one["snapshot"], "keep_blocks") == 100000
    # Who writes first has the directory; the other's is inside. The next image has noted when this one ended.
    assert [one["snapshot"]] == [str(path) for own in run.children() for path in hspy.snapshots(own)]
    second = hspy.info(run.last)
    assert (info["pid"], info["start_ticks"]) == (second["pid"], second["start_ticks"])
    assert 0 <= second["start_ns"] - (info["start_ns"] + info["cut_ns"]) < 1e6


def test_exec_leaves_nothing_of_what_has_seen_nothing(tmp_path, state_dir):
    """Shells and the like become other programs all the time; and with no one to write, nobody asks."""
    hspy.run(["sh", "-c", f"exec env {shlex.quote(hspy.victim('prog_exit'))} exit"], tmp_path, expect=42, sample="1GiB")
    assert states(state_dir) == []
    hspy.run([hspy.victim("prog_exec"), "--", hspy.victim("prog_exit"), "exit"], tmp_path, expect=42, sample=1,
             writer="off")
    assert states(state_dir) == []


def test_a_long_life_counts_without_a_sample(tmp_path, state_dir):
    hspy.run([hspy.victim("prog_exec"), "wait", "1.1", "--", hspy.victim("prog_exit"), "exit"], tmp_path, expect=42,
             sample="1GiB")
    assert len(states(state_dir)) == 1
    assert hspy.info(recovered()["snapshot"])["cut_ns"] > 1.1e9


def test_exec_of_what_is_not_profiled(tmp_path, state_dir):
    """The pid and the start time are those of a living process; the image is another one."""
    argv = [hspy.victim("prog_exec"), "--", "/usr/bin/env", "-u", "LD_PRELOAD", "/bin/sleep", "60"]
    with subprocess.Popen(argv, env=hspy.environment(tmp_path, sample=1)) as process:
        try:
            until(lambda: os.readlink(f"/proc/{process.pid}/exe").endswith("sleep"))
            assert sorted(one["program"] for one in recover_json()["states"]) == ["env", "prog_exec"]
            assert states(state_dir) == [] and process.poll() is None
        finally:
            process.kill()


def test_a_failed_exec_changes_nothing(tmp_path, state_dir):
    run = hspy.run([hspy.victim("prog_exec"), "fail", "--", hspy.victim("prog_exit"), "exit"], tmp_path, expect=42,
                   sample=1)
    snapshot = recovered()["snapshot"]
    assert hspy.live_bytes(snapshot, "keep_blocks") == 100000
    assert hspy.live_bytes(snapshot, "keep_after_failure") == 50000
    assert run.stderr == ""


@pytest.mark.parametrize("mode", ["double", "daemon", "fork_exec", "vfork_exec", "chain", "system"])
def test_brief_processes_leave_nothing(mode, tmp_path, state_dir):
    hspy.run([hspy.victim("prog_fork"), mode], tmp_path, expect=None)
    until(lambda: states(state_dir) == [])


# The time of the end

def test_a_process_that_did_nothing_was_last_seen_when_it_did(tmp_path, state_dir):
    with Idle(tmp_path, sample=1, writer="external") as idle:
        time.sleep(1.5)
        idle.kill()
    one = recovered()
    assert one["age_s"] < 1.4, "it did nothing in the last second"
    info = hspy.info(one["snapshot"])
    assert abs(info["cut_wall_ns"] - info["start_wall_ns"] - info["cut_ns"]) < 1e6


def test_it_comes_behind_the_snapshots_that_are_there(tmp_path, state_dir):
    """Each of them is a sign of life, too: of an idle process they are the only one."""
    threaded = "import threading; threading.Thread(target=int).start();" + IDLE
    argv = [sys.executable, "-I", "-c", threaded]
    with Idle(tmp_path, sample=1, writer="thread", interval="100ms", argv=argv) as idle:
        until(lambda: len(hspy.snapshots(tmp_path)) >= 5)
        idle.kill()
    before = [hspy.info(path) for path in hspy.snapshots(tmp_path)]
    # A hole, as pruning makes them: the number is not used again.
    hspy.snapshots(tmp_path)[1].unlink()
    (tmp_path / f".{idle.process.pid}.tmp").write_bytes(b"half a file")
    one = recovered()
    info = hspy.info(one["snapshot"])
    assert info["number"] == before[-1]["number"] + 1
    assert info["cut_ns"] > before[-1]["cut_ns"] and info["cut_wall_ns"] > before[-1]["cut_wall_ns"]
    assert not list(tmp_path.glob(".*.tmp"))
    assert json.loads(hspy.heapspy("diff", "--json", tmp_path))["b"]["reason"] == "recovered"
    assert hspy.heapspy("trend", tmp_path)


def test_heapspy_run_is_killed_and_its_program_later(tmp_path, state_dir):
    argv, env = hspy.started("run", [sys.executable, "-I", "-c", IDLE], tmp_path, {"sample": 1, "interval": 0})
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          start_new_session=True) as run:
        try:
            assert run.stdout.readline() == b"ready\n"
            (child,) = hspy.children_of(run.pid)
            time.sleep(2.5)
            # It is the run's business while that is there, even when it does nothing for it.
            run.send_signal(signal.SIGSTOP)
            os.kill(child, signal.SIGKILL)
            until(lambda: pathlib.Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
            report = recover_json()
            assert [one["outcome"] for one in report["states"]] == ["claimed"] and len(states(state_dir)) == 1
        finally:
            os.killpg(run.pid, signal.SIGKILL)
    one = recovered()
    # The run's heartbeats, once a second, tell that its program lived.
    assert one["age_s"] > 1 and states(state_dir) == []
    assert hspy.info(one["snapshot"])["number"] == 1 and one["snapshot"].startswith(str(tmp_path))


# Whose it is: pid, start time, boot, namespace

def patch(state, offset, data):
    with open(state, "r+b") as out:
        out.seek(offset)
        out.write(data)


def header(state):
    """Where the words of a state are that the tests change: found, so that the layout may change."""
    data = pathlib.Path(state).read_bytes()[:8192]
    _, pid, start_ticks = pathlib.Path(state).name.split(".")[1:4]
    start_ticks = int(start_ticks.split("-")[0])
    identity = data.index(struct.pack("<Q", start_ticks))
    boot = bytes.fromhex(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "").strip())
    assert struct.unpack_from("<I", data, 16) == (int(pid),)
    return {"start_ticks": identity, "boot_id": data.index(boot),
            "pid_namespace": data.index(struct.pack("<Q", os.stat("/proc/self/ns/pid").st_ino))}


def test_the_living_are_left_alone(tmp_path, state_dir):
    with Idle(tmp_path, sample=1, writer="external"):
        (state,) = states(state_dir)
        assert recover().stdout == f"No states of dead processes in {state_dir}.\n"
        assert recover_json()["states"] == []
        done = recover(state, code=3)
        assert "is alive: heapspy snapshot" in done.stderr and states(state_dir) == [state]
        os.kill(int(state.name.split(".")[2]), signal.SIGSTOP)
        assert recover_json()["states"] == [] and states(state_dir) == [state]


def test_the_living_whose_program_was_replaced(tmp_path, state_dir):
    """Its file has another name by now, and its name belongs to another file."""
    program = tmp_path / "sleep"
    shutil.copyfile(shutil.which("sleep"), program)
    program.chmod(0o755)
    idle = subprocess.Popen([program, "60"], env=hspy.environment(tmp_path / "run", sample=1, writer="external"))
    try:
        until(lambda: states(state_dir) and states(state_dir)[0].read_bytes()[:8] != bytes(8))
        program.rename(tmp_path / "sleep.old")
        shutil.copyfile(shutil.which("sleep"), program)
        assert recover_json()["states"] == [] and len(states(state_dir)) == 1
        hspy.heapspy("snapshot", "-o", tmp_path / "now.hspy", idle.pid)
    finally:
        idle.kill()
        idle.wait()
    assert len(recover_json()["states"]) == 1 and states(state_dir) == []


@root_only
def test_without_proc_nobody_is_dead(tmp_path, state_dir):
    """From another pid namespace, too, where no signal finds the process."""
    blind = unshared("sh", "-c", 'while umount -l /proc; do :; done 2>/dev/null; exec "$@"', "sh")
    with Idle(tmp_path, sample=1, writer="external") as idle:
        (state,) = states(state_dir)
        assert "is /proc there?" in recover(prefix=blind).stderr and state.exists()
        idle.kill()
    assert recovered(prefix=blind, cwd=tmp_path)["state"] == str(state)


def test_a_file_that_somebody_has_open_is_being_made(tmp_path, state_dir):
    """By a process of another container, say. Under heapspy run, which removes what the dead left half made."""
    path = pathlib.Path(state_dir, f"heapspy.{os.geteuid()}.2147483646.5-7")
    script = 'cp /dev/null "$0"; sleep 2.5'
    with open(tmp_path / "making", "wb") as out, subprocess.Popen(
            [hspy.COMMAND, "run", "--dir", tmp_path / "run", "--", "sh", "-c", script, path], stderr=out) as run:
        until(path.exists)
        with open(path, "r+b") as maker:
            assert run.wait(30) == 0 and path.exists()
            done = recover(path)
            assert "is left alone: it is open" in done.stderr and path.exists() and maker
    assert [one["outcome"] for one in recover_json()["states"]] == ["unfinished"] and not path.exists()


def test_several_at_once(tmp_path, state_dir):
    """Each state becomes one snapshot, whoever of them writes it."""
    for number in range(8):
        kill_one(tmp_path / str(number))
    at_once = [subprocess.Popen([hspy.COMMAND, "recover", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(4)]
    outcomes = []
    for one in at_once:
        out, err = one.communicate(timeout=60)
        assert one.returncode == 0, err
        outcomes += [state["outcome"] for state in json.loads(out)["states"]]
    assert outcomes.count("recovered") == 8 and states(state_dir) == []
    assert [len(hspy.snapshots(tmp_path / str(number))) for number in range(8)] == 8 * [1]


def test_one_that_another_one_is_at(tmp_path, state_dir):
    state = kill_one(tmp_path)
    with open(state, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = recover()
        assert "is another heapspy recover's at this moment" in done.stderr and state.exists()
    assert recovered()["state"] == str(state)


# In a namespace of its own, behind the program's back: a library that is linked with ours.
SECOND = """
import ctypes, os, signal
kept = [bytes(3000 + i) for i in range(100)]
libc = ctypes.CDLL(None)
libc.dlmopen.restype = ctypes.c_void_p
assert libc.dlmopen(ctypes.c_long(-1), os.environ["SECOND"].encode(), 2), "no second copy"
kept += [bytes(100000) for i in range(50)]
print("ready", flush=True)
signal.pause()
"""


def test_a_second_copy_of_the_library(tmp_path, monkeypatch):
    """It is not the next image of its process: the first goes on, and what it has seen is kept."""
    monkeypatch.setenv("SECOND", str(hspy.LIBRARY))
    monkeypatch.setenv("HEAPSPY_STATE", os.environ["HEAPSPY_STATE"])
    state_dir = os.environ["HEAPSPY_STATE"]
    with Idle(tmp_path, argv=[sys.executable, "-I", "-c", SECOND], sample=1, interval=0) as idle:
        assert len(states(state_dir)) == 2
        idle.kill()
    first = min(recover_json()["states"], key=lambda one: one["state"])
    assert first["outcome"] == "recovered" and first["live_bytes"] > 5e6


def test_an_exec_without_descriptors_keeps_the_state_before(tmp_path, state_dir):
    """What cannot be looked at is not removed."""
    script = ("import os, resource, sys\nkept = [bytes(3000 + i) for i in range(100)]\n"
              "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))\n"
              "try:\n    while True: os.set_inheritable(os.dup(0), True)\nexcept OSError: pass\n"
              "os.close(19)\nos.execv(sys.argv[1], sys.argv[1:])")
    hspy.run([sys.executable, "-I", "-c", script, hspy.victim("prog_exit"), "exit"], tmp_path, expect=42, sample=1)
    (one,) = recover_json()["states"]
    assert one["program"].startswith("python") and one["outcome"] == "recovered"


def test_a_number_that_somebody_else_has_now(tmp_path, state_dir):
    """The pid of a living process, of another start time: nobody has the state mapped."""
    state = kill_one(tmp_path)
    parts = state.name.split(".")
    other = state.with_name(".".join([*parts[:2], str(os.getpid()), *parts[3:]]))
    patch(state, 16, struct.pack("<I", os.getpid()))
    state.rename(other)
    assert recovered()["pid"] == os.getpid() and states(state_dir) == []


def test_a_state_of_an_earlier_boot(tmp_path, state_dir):
    state = kill_one(tmp_path)
    patch(state, header(state)["boot_id"], bytes(range(16)))
    one = recovered()
    assert one["live_bytes"] == 100000 and one["snapshot"] == str(tmp_path / "000001.hspy")


def test_a_half_made_state_goes(tmp_path, state_dir):
    path = pathlib.Path(state_dir, f"heapspy.{os.geteuid()}.2147483646.5-7")
    path.write_bytes(bytes(65536))
    report = recover_json()
    assert [one["outcome"] for one in report["states"]] == ["unfinished"] and report["removed"] == 1
    assert states(state_dir) == []


def unshared(*words):
    """The words behind which a command runs in pid and mount namespaces of its own."""
    prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *words]
    if subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("no namespaces to be had here")
    return prefix


def test_a_process_of_another_pid_namespace(tmp_path, state_dir):
    """As of a container that shares the directory: seen while it lives, recovered when it is dead; not in its place."""
    with Idle(tmp_path / "theirs", prefix=unshared("env", f"LD_PRELOAD={hspy.LIBRARY}"), preload=(), sample=1,
              writer="external") as idle:
        (state,) = [path for path in states(state_dir) if ".2." in path.name or ".1." in path.name]
        assert state.exists()
        assert [one for one in recover_json()["states"] if one["state"] == str(state)] == []
        idle.kill()
    (tmp_path / "here").mkdir()
    one = next(one for one in recover_json(cwd=tmp_path / "here")["states"] if one["state"] == str(state))
    assert one["outcome"] == "recovered" and one["snapshot"].startswith(f"{tmp_path}/here/heapspy.")
    assert not (tmp_path / "theirs").exists() and not state.exists()


def test_containers_that_share_their_directories(tmp_path, state_dir):
    """In each the service is process 1, on the same volume for snapshots and the same tmpfs for states."""
    prefix = unshared("env", f"LD_PRELOAD={hspy.LIBRARY}")
    volume = tmp_path / "volume"
    volume.mkdir()

    def runs():
        """The start times of the processes in each directory."""
        return sorted([hspy.info(path)["start_ns"] for path in hspy.snapshots(directory)]
                      for directory, _, names in os.walk(volume) if any(name.endswith(".hspy") for name in names))

    script = "import os, time\nprint(os.getpid(), flush=True)\nwhile True: time.sleep(.001); bytes(1000)"
    services = [subprocess.Popen([*prefix, sys.executable, "-I", "-c", script],
                                 env=hspy.environment(volume / "%c.%p", (), sample=1, interval="50ms"),
                                 stdout=subprocess.PIPE, start_new_session=True) for _ in range(4)]
    try:
        for service in services:
            assert service.stdout.readline() == b"1\n"
        until(lambda: len(list(volume.rglob("000002.hspy"))) == 4)
        assert len(states(state_dir)) == 4
    finally:
        for service in services:
            os.killpg(service.pid, signal.SIGKILL)
            service.wait()
            service.stdout.close()
    until(lambda: len(states(state_dir)) == 4 and len(recover_json("--dry-run")["states"]) == 4)
    report = recover_json(cwd=tmp_path)
    assert [one["outcome"] for one in report["states"]] == 4 * ["recovered"] and states(state_dir) == []
    assert len(runs()) == 4 and all(len(set(starts)) == 1 for starts in runs()), "each directory holds one process"


def test_a_look_from_inside_a_namespace(tmp_path, state_dir):
    """Who does not see a process cannot say that it is dead, but for the state that nobody has mapped any more."""
    with Idle(tmp_path, sample=1, writer="external") as idle:
        (state,) = states(state_dir)
        done = recover(prefix=unshared())
        assert "is left alone: it is of another pid namespace" in done.stderr and state.exists()
        idle.kill()
    assert recovered(prefix=unshared(), cwd=tmp_path)["state"] == str(state) and not state.exists()


def test_a_state_whose_children_live(tmp_path, state_dir):
    """They have it mapped as well; its process is dead all the same."""
    script = "import os, signal\nif os.fork() == 0:\n    print('ready', flush=True)\n    signal.pause()\nsignal.pause()"
    with Idle(tmp_path, argv=[sys.executable, "-I", "-c", script], sample=1, writer="external") as idle:
        os.kill(idle.process.pid, signal.SIGKILL)
        idle.process.wait()
        report = recover_json()
        assert [(one["outcome"], one["pid"]) for one in report["states"]] == [("recovered", idle.process.pid)]
        os.killpg(idle.process.pid, signal.SIGKILL)


@root_only
@pytest.mark.other_user
def test_states_of_other_users(tmp_path, state_dir):
    """Root makes snapshots of them, but not where they say; another user sees none that are not its own."""
    def nobody():
        os.setgid(hspy.NOBODY)
        os.setuid(hspy.NOBODY)
    theirs, here = tmp_path / "theirs", tmp_path / "here"
    for path in (tmp_path.parent, tmp_path):
        path.chmod(0o755)
    theirs.mkdir()
    os.chown(theirs, hspy.NOBODY, hspy.NOBODY)
    here.mkdir()
    hspy.run([hspy.victim("prog_exit"), "SIGKILL"], theirs, expect=-9, preexec=nobody, sample=1, cwd="/")
    mine = kill_one(tmp_path / "mine")
    as_nobody = ["setpriv", f"--reuid={hspy.NOBODY}", f"--regid={hspy.NOBODY}", "--clear-groups"]
    assert [one["state"] for one in recover_json("--dry-run", prefix=as_nobody, cwd="/")["states"]] == \
        [str(path) for path in states(state_dir) if path != mine]
    # Without the right to take a lease of a file of others, the number decides.
    report = recover_json(cwd=here, prefix=["setpriv", "--bounding-set=-lease", "--inh-caps=-lease"])
    assert len(report["states"]) == 2 and states(state_dir) == []
    of_theirs = next(one for one in report["states"] if one["uid"] == hspy.NOBODY)
    assert of_theirs["outcome"] == "recovered" and of_theirs["snapshot"].startswith(f"{here}/heapspy.prog_exit.")
    assert os.stat(of_theirs["snapshot"]).st_uid == 0 and os.listdir(theirs) == []
    assert stat.S_IMODE(os.stat(of_theirs["snapshot"]).st_mode) == 0o600


@root_only
@pytest.mark.parametrize("way", ["absolute", "relative", "link", "cwd"])
def test_root_does_not_follow_a_directory_that_others_can_lead_elsewhere(way, tmp_path, state_dir):
    """Which a state can say that was root's, and that its process could write to without any rights."""
    theirs, ours, here = (tmp_path / name for name in ("theirs", "ours", "here"))
    for path in (theirs, ours, here):
        path.mkdir()
    os.chown(theirs, hspy.NOBODY, hspy.NOBODY)
    (tmp_path / "link").symlink_to(theirs)
    (ours / "file").touch()
    # The last: where it would go when its own directory cannot be.
    directory = {"absolute": theirs / "out", "relative": "../theirs/out", "link": tmp_path / "link" / "out",
                 "cwd": ours / "file"}[way]
    hspy.run([hspy.victim("prog_exit"), "SIGKILL"], directory, expect=-9, sample=1, interval=0,
             cwd=theirs if way == "cwd" else ours)
    done = recover(cwd=here)
    assert way == "cwd" or "written into the working directory" in done.stderr
    assert list(here.rglob("*.hspy")) and not os.listdir(theirs)


@root_only
def test_root_follows_a_directory_of_its_own(tmp_path, state_dir):
    (tmp_path / "ours" / "below").mkdir(parents=True)
    kill_one(tmp_path / "ours" / "below" / "out")
    assert recovered(cwd="/")["snapshot"] == str(tmp_path / "ours" / "below" / "out" / "000001.hspy")


# What is there

def test_options(tmp_path, state_dir):
    state = kill_one(tmp_path / "run")
    done = recover("--dry-run")
    assert str(state) in done.stdout and done.stdout.endswith("1 state to recover.  Next: heapspy recover\n")
    assert states(state_dir) == [state] and not (tmp_path / "run").exists()
    done = recover("--keep", "-o", tmp_path / "chosen")
    (path,) = (tmp_path / "chosen").rglob("*.hspy")
    assert path.parent.name.startswith("prog_exit.") and str(path) in done.stdout
    assert done.stdout.endswith(f"1 state recovered.  Next: heapspy top {path.parent}\n")
    assert states(state_dir) == [state] and not (tmp_path / "run").exists()
    assert "97.7 KiB" in done.stdout and "exact" in done.stdout and "prog_exit" in done.stdout
    os.environ["HEAPSPY_STATE"] = str(tmp_path)
    assert recover("--state", state_dir, "-q").stdout == ""
    assert states(state_dir) == [] and hspy.info(tmp_path / "run" / "000001.hspy")["reason"] == "recovered"


def test_a_state_by_its_name(tmp_path, state_dir):
    """With its directory, without it, and a copy by another name, which stays."""
    first, second, third = (kill_one(tmp_path / name) for name in "abc")
    copy = tmp_path / "copy"
    shutil.copy(first, copy)
    assert recovered(first)["state"] == str(first) and states(state_dir) == sorted([second, third])
    assert recovered(second.name)["state"] == str(second) and states(state_dir) == [third]
    assert recovered(state_dir)["state"] == str(third) and states(state_dir) == []
    one = recovered(copy)
    assert one["removed"] is False and copy.exists() and one["live_bytes"] == 100000


def test_damaged_states(tmp_path, state_dir):
    damaged = {}
    for what, (offset, data) in {"does not begin": (0, b"not a st"), "another version": (8, b"\xff\x00\x00\x00"),
                                 "its sizes contradict": (12, b"\xff\xff\xff\x7f")}.items():
        state = kill_one(tmp_path / "never")
        patch(state, offset, data)
        damaged[what] = state
    cut = kill_one(tmp_path / "never")
    os.truncate(cut, 5000)
    good = kill_one(tmp_path / "run")
    done = recover(code=3)
    lines = done.stderr.splitlines()
    assert len(lines) == 4 and all(line.startswith("heapspy: '") for line in lines)
    for what, state in damaged.items():
        assert any(what in line and str(state) in line for line in lines), (what, lines)
    assert all(line.endswith("; heapspy recover --remove-damaged removes it") for line in lines)
    assert "1 state recovered, 4 states not, see above" in done.stdout
    assert good not in states(state_dir) and len(states(state_dir)) == 4
    recover("--remove-damaged", code=3)
    assert states(state_dir) == [] and not (tmp_path / "never").exists()
    recover()


def test_many_damaged_states(tmp_path, state_dir):
    """As an update of the library leaves them: some lines, not hundreds."""
    state = kill_one(tmp_path / "never")
    patch(state, 8, b"\xff\x00\x00\x00")
    for i in range(30):
        shutil.copy(state, state.with_name(f"{state.name}{i}"))
    done = recover(code=3)
    lines = done.stderr.splitlines()
    assert len(lines) == 11 and lines[-1] == "heapspy: 21 states more cannot be dealt with; heapspy recover --json " \
        "tells of all"
    assert "31 states not, see above" in done.stdout
    assert len([one for one in recover_json(code=3)["states"] if "another version" in one["reason"]]) == 31


def test_what_is_no_state(tmp_path, state_dir):
    """Traps in the directory are not walked into; a file of another name is not removed, whatever is asked."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    names = [pathlib.Path(state_dir, f"heapspy.{os.geteuid()}.2147483646.5-{i}") for i in range(3)]
    names[0].symlink_to(target)
    os.mkfifo(names[1])
    names[2].mkdir()
    assert recover("--remove-damaged").stdout == f"No states of dead processes in {state_dir}.\n"
    assert states(state_dir) == sorted(names)
    assert "is a symbolic link" in recover(names[0], code=3).stderr
    assert "does not begin as a state does" in recover("--remove-damaged", target, code=3).stderr
    target.write_bytes(b"")
    recover("--remove-damaged", target, code=3)
    assert target.exists()
    assert "cannot find" in recover(tmp_path / "nothing", code=3).stderr
    assert "cannot list" in recover("--state", target, code=3).stderr


def test_no_room_for_the_snapshot(tmp_path, state_dir):
    """The state stays until there is."""
    state = kill_one(tmp_path / "run")
    with hspy.small_tmpfs(tmp_path / "small", "64k") as small:
        hspy.fill(small)
        done = recover("-o", small, code=4)
        assert "cannot write" in done.stderr and states(state_dir) == [state]
    assert recovered()["live_bytes"] == 100000 and states(state_dir) == []


def test_a_state_that_has_lost_its_name(tmp_path, state_dir):
    """As the end of a session takes the files of its user away: the process goes on, and writes its end."""
    script = "import sys; kept = [bytes(3000) for _ in range(500)]; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-I", "-c", script], env=hspy.environment(tmp_path, sample=1),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        for state in states(state_dir):
            state.unlink()
        assert recover_json()["states"] == []
        process.stdin.close()
        assert process.wait(20) == 0
    assert [hspy.info(path)["reason"] for path in hspy.snapshots(tmp_path)] == ["exit"]


# Sweeping

def grow(state, mib):
    with open(state, "r+b") as out:
        os.posix_fallocate(out.fileno(), 0, int(mib * (1 << 20)))


def test_sweep(tmp_path, monkeypatch):
    """More than half of the file system of the dead: the oldest go, and only those."""
    with hspy.small_tmpfs(tmp_path / "states", "8m") as small:
        monkeypatch.setenv("HEAPSPY_STATE", str(small))
        with Idle(tmp_path / "idle", sample="4KiB", writer="external"):
            (alive,) = states(small)
            other_boot = kill_one(tmp_path / "run")
            patch(other_boot, header(other_boot)["boot_id"], bytes(range(16)))
            elsewhere = kill_one(tmp_path / "run")
            patch(elsewhere, header(elsewhere)["pid_namespace"], struct.pack("<Q", 1))
            dead = []
            for _ in range(3):
                dead.append(kill_one(tmp_path / "run"))
                # On a full directory the victim itself would sweep.
                grow(dead[-1], 1)
            hspy.run(["/bin/true"], tmp_path / "true")
            assert states(small) == sorted([alive, other_boot, elsewhere, *dead]), "3 MiB may stay"
            grow(dead[2], 2.9)
            said = hspy.run(["/bin/true"], tmp_path / "true", verbose=1).stderr
            assert "1 states of dead processes removed" in said, said
            assert states(small) == sorted([alive, other_boot, elsewhere, *dead[1:]])
            grow(dead[1], 2.5)
            hspy.run(["/bin/true"], tmp_path / "true")
            assert states(small) == sorted([alive, other_boot, elsewhere, dead[2]])
        assert {one["outcome"] for one in recover_json("--dry-run")["states"]} == {"recoverable"}


def test_what_may_not_go_counts_for_nothing(tmp_path, monkeypatch):
    """Whether it is older or younger than the dead: it may be alive, elsewhere."""
    with hspy.small_tmpfs(tmp_path / "states", "8m") as small:
        monkeypatch.setenv("HEAPSPY_STATE", str(small))
        dead = kill_one(tmp_path / "run")
        grow(dead, 2)
        other_boot = kill_one(tmp_path / "run")
        patch(other_boot, header(other_boot)["boot_id"], bytes(range(16)))
        grow(other_boot, 3)
        hspy.run(["/bin/true"], tmp_path / "true")
        assert states(small) == sorted([dead, other_boot])
        grow(dead, 4.2)
        hspy.run(["/bin/true"], tmp_path / "true")
        assert states(small) == [other_boot]


@root_only
def test_sweep_from_another_time_namespace(tmp_path, monkeypatch):
    """A living process has another start time there."""
    prefix = ["unshare", "-T", "--fork", "--boottime", "864000", "env", f"LD_PRELOAD={hspy.LIBRARY}"]
    if subprocess.run([*prefix[:-2], "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("no time namespace to be had here")
    with hspy.small_tmpfs(tmp_path / "states", "4m") as small:
        monkeypatch.setenv("HEAPSPY_STATE", str(small))
        with Idle(tmp_path / "idle", sample=1, writer="external", state_max="256KiB") as idle:
            (state,) = states(small)
            grow(state, 2.2)
            hspy.run([*prefix, "/bin/true"], tmp_path / "true", preload=())
            assert states(small) == [state]
            assert recover_json(prefix=prefix[:-2])["states"] == [] and state.exists()
            idle.kill()
        hspy.run([*prefix, "/bin/true"], tmp_path / "true", preload=())
        assert states(small) == []


def test_sweep_of_images_that_exec_has_replaced(tmp_path, monkeypatch):
    with hspy.small_tmpfs(tmp_path / "states", "4m") as small:
        monkeypatch.setenv("HEAPSPY_STATE", str(small))
        argv = [hspy.victim("prog_exec"), "--", sys.executable, "-I", "-c", IDLE]
        with Idle(tmp_path / "idle", argv=argv, sample=1, writer="external", state_max="256KiB"):
            before, now = sorted(states(small), key=lambda path: int(path.name.rpartition("-")[2]))
            grow(before, 2.2)
            hspy.run(["/bin/true"], tmp_path / "true")
            assert states(small) == [now]
