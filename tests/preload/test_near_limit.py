"""Programs that come near their memory limit, in real memory groups and under RLIMIT_AS: a snapshot is
written before the end, the end loses nothing, and nothing of ours is what fills a group."""
import json
import os
import resource
import signal
import subprocess
import time

import pytest

import hspy
import hspy_run
import memory_groups

MIB = 1 << 20
LIMIT = 64 * MIB
VICTIM = hspy.victim("prog_near_limit")
# The last tenth takes a second: somebody looks in that time also on a busy machine.
LEAK = [VICTIM, "leak", 50, 128, 20]


@pytest.fixture(name="group")
def _group():
    made = memory_groups.make(LIMIT)
    yield made
    made.remove()


def reasons(directory):
    return [hspy.info(path)["reason"] for path in hspy.snapshots(directory)]


def of_reason(directory, reason):
    return [path for path in hspy.snapshots(directory) if hspy.info(path)["reason"] == reason]


def assert_names_the_leak(path, least):
    """By far the most of what is live in a snapshot, and so much at least, was made by lose_session()."""
    held = hspy.sites(path)
    lost = held["lose_session"][0]
    assert lost > least and lost > 0.9 * sum(row[0] for row in held.values()), held


def assert_near(path, share=0.9, limit=LIMIT):
    info = hspy.info(path)
    assert info["limit_bytes"] == limit and info["near_limit_ppm"] == round(share * 1000000), info
    # Memory goes on moving between the look and the cut.
    assert share * limit - 2 * MIB < info["limit_used_bytes"] <= limit, info


def recover(directory):
    """What heapspy recover makes of the state that was left behind."""
    hspy.heapspy("recover", "--state", os.environ["HEAPSPY_STATE"])
    (found,) = of_reason(directory, "recovered")
    return found


@pytest.mark.parametrize("threads", [[], ["x"]], ids=["inline", "helper"])
def test_oom_kill_without_run(threads, group, tmp_path):
    run = hspy.run([*LEAK, *threads], tmp_path / "d", preexec=group.join, expect=-signal.SIGKILL,
                   interval="30s")
    assert group.kills == 1
    near = of_reason(run.dir, "limit")
    assert 1 <= len(near) <= 5
    assert_near(near[0])
    assert_names_the_leak(near[0], 40 * MIB)
    last = recover(run.dir)
    assert_names_the_leak(last, 45 * MIB)
    # It knows what came after the last snapshot, if anything did.
    assert hspy.info(last)["samples"] >= hspy.info(near[-1])["samples"]
    assert not os.listdir(os.environ["HEAPSPY_STATE"])
    rows = hspy.by_function(hspy.diff(near[0], last))
    assert rows["lose_session"]["bytes"] > 0


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_oom_kill_under_run(inside, group, tmp_path):
    """heapspy itself in the group, or only the program."""
    argv = ["sh", "-c", f'echo 0 > "{group.path}/cgroup.procs"; exec "$0" "$@"', *LEAK]
    done = hspy_run.run(*(argv[3:] if inside else argv), dir=tmp_path / "d", interval="30s",
                        preexec=group.join if inside else None)
    assert done.returncode == 128 + signal.SIGKILL and "killed by SIGKILL" in done.stderr, done
    assert group.kills == 1
    near = of_reason(tmp_path / "d", "limit")
    assert 1 <= len(near) <= 5
    assert_near(near[0])
    assert_names_the_leak(near[0], 40 * MIB)
    assert reasons(tmp_path / "d")[-1] == "recovered"
    assert_names_the_leak(hspy.snapshots(tmp_path / "d")[-1], 45 * MIB)
    assert not os.listdir(os.environ["HEAPSPY_STATE"])


def test_a_fast_leak_leaves_its_last_state(group, tmp_path):
    """Too fast for anybody to look: a gibibyte a second."""
    run = hspy.run([VICTIM, "leak", 0, 1024, 0], tmp_path / "d", preexec=group.join, expect=-signal.SIGKILL)
    assert_names_the_leak(recover(run.dir), 40 * MIB)


@pytest.mark.parametrize("how", ["preload", "run", "run inside"])
def test_our_own_growth_kills_nobody(how, group, tmp_path):
    """A program that ends at four fifths of its limit, bare, and of which the state would take the rest."""
    words = [VICTIM, "dense", 54, 60000, 0.6]
    bare = subprocess.run([str(word) for word in words], preexec_fn=group.join, check=False,
                          stdout=subprocess.PIPE)
    assert bare.returncode == 0 and group.kills == 0
    settings = {"sample": 1, "interval": "30s"}
    if how == "preload":
        hspy.run(words, tmp_path / "d", preexec=group.join, **settings)
    elif how == "run":
        done = hspy_run.run("sh", "-c", f'echo 0 > "{group.path}/cgroup.procs"; exec "$0" "$@"', *words,
                            dir=tmp_path / "d", children="exec", **settings)
        assert done.returncode == 0, done.stderr
    else:
        done = hspy_run.run(*words, dir=tmp_path / "d", preexec=group.join, **settings)
        assert done.returncode == 0, done.stderr
    assert group.kills == 0
    # The end is in a snapshot, or, where that did not fit, in the state.
    if os.listdir(os.environ["HEAPSPY_STATE"]):
        hspy.heapspy("recover", "--state", os.environ["HEAPSPY_STATE"])
    assert not os.listdir(os.environ["HEAPSPY_STATE"])
    last = max((tmp_path / "d").rglob("*.hspy"), key=lambda path: path.stat().st_mtime)
    assert hspy.live_bytes(last, "lose_session") > 53 * MIB
    assert hspy.info(last)["reason"] in ("exit", "recovered")


def test_snapshots_on_tmpfs_fill_no_group(group, tmp_path, state_dir):
    """A directory for snapshots on tmpfs is charged to the group: what does not fit is not written."""
    words = [VICTIM, "dense", 58, 30000, 0.5]
    bare = subprocess.run([str(word) for word in words], preexec_fn=group.join, check=False,
                          stdout=subprocess.PIPE)
    assert bare.returncode == 0
    directory = os.path.join(state_dir, "snapshots")
    os.mkdir(directory)
    run = hspy.run(words, directory, preexec=group.join, sample=1, interval="20ms")
    assert run.code == 0 and group.kills == 0
    assert sum(path.stat().st_size for path in hspy.snapshots(directory)) < 6 * MIB


def test_files_are_no_danger(group, tmp_path):
    """A group that is full of pages of files: the kernel would take them back, so nothing is near."""
    path = tmp_path / "large"
    # Whoever reads a page first is charged for it.
    with open(path, "wb") as file:
        file.write(bytes(80 * MIB))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    script = f"import time; data = [bytearray(65536) for i in range(60)]\n" \
             f"for i in range(4):\n" \
             f"    file = open({str(path)!r}, 'rb')\n" \
             f"    while file.read(1 << 16): pass\n" \
             f"    data.append(bytearray(100000)); time.sleep(0.2)\n" \
             f"print(int(open({str(group.path)!r} + '/' + " \
             f"{'memory.current' if group.version == 2 else 'memory.usage_in_bytes'!r}).read()))"
    run = hspy.run(["/usr/bin/python3", "-c", script], tmp_path / "d", preexec=group.join, sample="16KiB",
                   interval="300ms")
    assert int(run.stdout) > 0.9 * LIMIT, "the group was not full of pages"
    assert "limit" not in reasons(run.dir)
    infos = [hspy.info(path) for path in run.snapshots]
    assert max(info["limit_used_bytes"] for info in infos) < 0.6 * LIMIT
    assert infos[-1]["limit_bytes"] == LIMIT


@pytest.mark.parametrize("mode", ["preload", "run"])
def test_staying_near_is_told_once(mode, group, tmp_path):
    with hspy.Server([VICTIM, "hold", 54, 3], tmp_path / "d", mode=mode, preexec_fn=group.join,
                     settings={"interval": "30s", "near_limit": "80%"}) as held:
        assert held.process.wait(30) == 0
    assert len(of_reason(tmp_path / "d", "limit")) == 1
    assert group.kills == 0


@pytest.mark.slow
def test_coming_back_is_told_once_an_interval(group, tmp_path):
    run = hspy.run([VICTIM, "wave", 20, 59, 4], tmp_path / "d", preexec=group.join, interval="1s", keep="off")
    times = [hspy.info(path)["cut_ns"] for path in of_reason(run.dir, "limit")]
    assert 2 <= len(times) <= 5, times
    assert all(later - earlier > 0.9e9 for earlier, later in zip(times, times[1:])), times


def test_off(group, tmp_path):
    run = hspy.run([VICTIM, "hold", 59, 1], tmp_path / "d", preexec=group.join, near_limit="off")
    assert reasons(run.dir) == ["exit"] and hspy.info(run.last)["near_limit_ppm"] == 0
    run = hspy.run([VICTIM, "hold", 40, 0.5], tmp_path / "e", preexec=group.join, near_limit="50%")
    assert reasons(run.dir) == ["limit", "exit"] and hspy.info(run.last)["near_limit_ppm"] == 500000


def test_a_limit_above(group, tmp_path):
    """The group of the process has none, the one above it has."""
    inside = group.child("inside")
    run = hspy.run([VICTIM, "hold", 59, 1], tmp_path / "d", preexec=inside.join)
    assert reasons(run.dir) == ["limit", "exit"]
    assert_near(run.snapshots[0])


@pytest.mark.parametrize("mode", ["preload", pytest.param("run", marks=pytest.mark.slow)])
def test_a_limit_that_changes(mode, group, tmp_path):
    group.set_limit(200 * MIB)
    directory = tmp_path / "d"
    with hspy.Server([VICTIM, "hold", 54, 20], directory, mode=mode, preexec_fn=group.join,
                     settings={"interval": "2s", "near_limit": "80%"}) as held:
        held.wait_until(lambda: group.used > 54 * MIB)
        held.wait_until(lambda: hspy.snapshots(directory))
        assert not of_reason(directory, "limit")
        group.set_limit(LIMIT)
        held.wait_until(lambda: len(of_reason(directory, "limit")) == 1)
        assert_near(of_reason(directory, "limit")[0], 0.8)
        # Raised, and a while later lowered again.
        group.set_limit(None)
        written = len(hspy.snapshots(directory))
        held.wait_until(lambda: len(hspy.snapshots(directory)) > written + 1)
        group.set_limit(LIMIT)
        held.wait_until(lambda: len(of_reason(directory, "limit")) == 2)
        held.kill()


@pytest.mark.parametrize("mode", ["preload", "run"])
@pytest.mark.parametrize("threads", [[], ["x"]], ids=["alone", "threads"])
def test_address_space(mode, threads, tmp_path):
    """RLIMIT_AS: malloc fails at its end, and the program goes on or gives up as it likes."""
    limit = 400 * MIB if threads else 120 * MIB
    at_once = 330 if threads else 85

    def lower():
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

    with hspy.Server([VICTIM, "leak", at_once, 256, 20, *threads], tmp_path / "d", mode=mode, preexec_fn=lower,
                     settings={"interval": "30s"}) as victim:
        code = victim.process.wait(60)
    assert code == 99, victim.output()
    near = of_reason(tmp_path / "d", "limit")
    assert 1 <= len(near) <= 5
    info = hspy.info(near[0])
    assert (info["limit_kind"], info["limit_bytes"]) == ("RLIMIT_AS", limit)
    assert 0.9 * limit - 2 * MIB < info["limit_used_bytes"] <= limit
    assert_names_the_leak(near[0], 20 * MIB)


def test_a_snapshot_near_the_limit_in_words(group, tmp_path):
    """It is an ordinary one to every command."""
    run = hspy.run([VICTIM, "hold", 59, 1], tmp_path / "d", preexec=group.join)
    assert reasons(run.dir) == ["limit", "exit"]
    assert "(limit)" in hspy.heapspy("diff", f"{run.dir}@1", f"{run.dir}@2")
    assert hspy.top(f"{run.dir}@1")["moment"]["reason"] == "limit"
    assert "NEAR_LIMIT" not in hspy.heapspy("top", f"{run.dir}@first")


@pytest.mark.parametrize("value", ["90", "100%", "1000%", "-1%", "%", "many"])
def test_values_that_are_refused(value, tmp_path):
    done = hspy.command("run", "--near-limit", value, "--dir", tmp_path, "true")
    assert done.returncode == 125, done
    assert f"--near-limit '{value}' cannot be used: expected a share of the memory limit" in done.stderr


def test_doctor_tells(tmp_path):
    with hspy.Server([VICTIM, "hold", 1, 20], tmp_path / "d", settings={"near_limit": "75%"}) as victim:
        victim.wait_until(lambda: os.listdir(os.environ["HEAPSPY_STATE"]))
        said = json.loads(hspy.heapspy("doctor", "--json", victim.process.pid))
        assert "HEAPSPY_NEAR_LIMIT" in json.dumps(said), said
        victim.kill()


def test_no_descriptor_is_kept(group, tmp_path):
    """Between looks, and after them."""
    with hspy.Server([VICTIM, "hold", 59, 20], tmp_path / "d", preexec_fn=group.join) as victim:
        victim.wait_until(lambda: of_reason(tmp_path / "d", "limit"))
        pid, seen = victim.process.pid, set()
        for _ in range(30):
            seen.update(os.listdir(f"/proc/{pid}/fd"))
            time.sleep(0.01)
        # A look takes a moment: what is open at one of these times only is not kept.
        kept = set(os.listdir(f"/proc/{pid}/fd"))
        assert kept <= {"0", "1", "2"} or kept & set(os.listdir(f"/proc/{pid}/fd")) <= {"0", "1", "2"}, seen
        victim.kill()
