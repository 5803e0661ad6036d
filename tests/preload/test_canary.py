"""No contents of the memory ever: secrets in blocks, stacks, data, environment, arguments come out nowhere."""
import os
import pathlib
import resource
import subprocess
import time

import hspy
import pytest

PATIENCE_S = 60
CANARY = b"CANARY-in-"
SECRETS = {"SECRET": "CANARY-in-environment", "PASSWORD": "x" * 3000 + "CANARY-in-environment"}
ARGUMENTS = ["--password=CANARY-in-arguments", "CANARY-in-arguments"]


def until(ready):
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, f"never: {ready}"
        time.sleep(0.01)


def start(directory, preload=(hspy.LIBRARY,), preexec=None, stderr=None, **settings):
    process = subprocess.Popen([hspy.victim("prog_canary"), *ARGUMENTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=stderr, env=dict(hspy.environment(directory, preload, **settings), **SECRETS),
                               preexec_fn=preexec)
    assert process.stdout.readline() == b"ready\n"
    return process


def check(where, data):
    """The secret in no form that a copy would have: whole, or from any byte on."""
    at = data.find(b"CANARY")
    assert at < 0, (where, data[max(at - 60, 0):at + 60])
    assert b"NARY-i" not in data, where


def see(*words, codes=(0, 1)):
    done = subprocess.run([str(hspy.COMMAND), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE_S, check=False)
    assert done.returncode in codes, (words, done)
    check(words, done.stdout + done.stderr)


def check_files(*places):
    n = 0
    for place in places:
        for path in pathlib.Path(place).rglob("*"):
            if path.is_file():
                check(path, path.read_bytes())
                n += 1
    return n


@pytest.mark.parametrize("sample", ["1", "512KiB"])
@pytest.mark.parametrize("unwind", ["cfi", "fp"])
def test_no_contents(tmp_path, state_dir, sample, unwind):
    """State, snapshots, every command's output, what HEAPSPY_VERBOSE says; and the secret is there, to be found."""
    victim = start(tmp_path / "run", sample=sample, unwind=unwind, interval="100ms", verbose=1, stderr=subprocess.PIPE)
    try:
        until(lambda: len(hspy.snapshots(tmp_path / "run")) >= 3)
        memory = pathlib.Path(f"/proc/{victim.pid}/environ").read_bytes()
        assert CANARY in memory
        assert check_files(state_dir) == 1
        for words in (("snapshot", victim.pid), ("snapshot", victim.pid, "-o", tmp_path / "run" / "own.hspy"),
                      ("live", "--count", "2", "--every", "100ms", victim.pid), ("live",), ("doctor", victim.pid),
                      ("doctor", "--json", victim.pid), ("doctor",)):
            see(*words, codes=(0, 1, 2))
        _, said = victim.communicate(timeout=PATIENCE_S)
        assert victim.returncode == 0 and said
        check("stderr", said)
    finally:
        victim.kill()
        victim.wait()
    assert check_files(tmp_path) >= 5
    last = hspy.snapshots(tmp_path / "run")[-1]
    assert hspy.info(last)["samples"] > 0
    for words in (("top",), ("top", "--json"), ("top", "--csv"), ("dump", "--live", "--stacks"), ("dump", "--json"),
                  ("trend",), ("diff",), ("churn",)):
        see(*words, tmp_path / "run", codes=(0, 1, 3))


def test_no_contents_by_run_and_after_a_kill(tmp_path, state_dir):
    """Neither through heapspy run, whose program has a command line, nor out of what a dead process left."""
    done = subprocess.run([str(hspy.COMMAND), "run", "-v", "--dir", str(tmp_path / "one"), "--sample", "1", "--",
                           hspy.victim("prog_canary"), *ARGUMENTS], env=dict(os.environ, **SECRETS), check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE_S)
    assert done.returncode == 0, done
    check("run", done.stdout + done.stderr)
    victim = start(tmp_path / "two", sample=1, interval=0)
    victim.kill()
    victim.communicate()
    assert check_files(state_dir) == 1
    see("recover")
    assert check_files(tmp_path, state_dir) >= 2


def core_bytes(directory, preload, state):
    """What a core of the program takes when it aborts; None where the machine writes none."""
    directory.mkdir()
    victim = start(directory, preload, sample=1, interval=0, state_max="32MiB", state=state, preexec=lambda: (
        os.chdir(directory), resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)))
    victim.send_signal(6)
    victim.communicate(timeout=PATIENCE_S)
    cores = list(directory.glob("core*"))
    return cores[0].stat().st_size if cores else None


@pytest.mark.parametrize("state", ["file", "anon"])
def test_the_state_is_in_no_core(tmp_path, state_dir, state):
    """
    A core grows by the library's own data and what threads keep for samples, not by the state. The kernel says so of
    the mapping; and where it writes cores into the working directory, they are compared.
    """
    place = state_dir if state == "file" else "anon"
    victim = start(tmp_path / "run", sample=1, interval=0, state=place)
    try:
        smaps = pathlib.Path(f"/proc/{victim.pid}/smaps").read_text().split("VmFlags:")
        if state == "file":
            flags = [smaps[i + 1].split("\n")[0].split() for i, part in enumerate(smaps) if "/heapspy." in part]
            assert flags and all("dd" in of_one for of_one in flags), flags
    finally:
        victim.kill()
        victim.communicate()
    with_state = core_bytes(tmp_path / "with", (hspy.LIBRARY,), place)
    if with_state is None:
        pytest.skip("this machine writes no core into the working directory")
    bare = core_bytes(tmp_path / "bare", (), place)
    print(f"core: bare {bare >> 10} KiB, with heapspy {with_state >> 10} KiB")
    assert with_state < bare + (6 << 20), (with_state, bare)
