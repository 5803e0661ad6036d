"""The second reader (snapshot_format.py, made from docs/format.md) and heapspy agree on the bytes."""
import json
import os
import subprocess

import conftest
import pytest
import scenario
import snapshot_format as sf


@pytest.mark.parametrize("data, checksum", [
    (b"", 0xEF46DB3751D8E999), (b"a", 0xD24EC4F1A98C6E5B), (b"abc", 0x44BC2CF5AD770999),
    (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1)])
def test_checksum(data, checksum):
    """Published values of XXH64, seed 0."""
    assert sf.xxh64(data) == checksum


@pytest.mark.parametrize("value", [0, 1, -1, 127, 128, -129, 2**47 - 1, -2**47, 2**63 - 1, -2**63])
def test_zigzag(value):
    assert sf.unzigzag(sf.zigzag(value)) == value


def agree(heapspy, path):
    """Everything heapspy dump says is what the second reader finds."""
    with open(path, "rb") as file:
        ours = sf.Snapshot.decode(file.read())
    done = heapspy("dump", "--json", "--live", "--stacks", path)
    assert done.code == 0, done.err
    theirs = json.loads(done.out)
    info = theirs["info"]
    for name in sf.INFO_NAMES:
        if name not in ("flags", "reason", "start_id", "boot_id"):
            assert info[name] == ours.info[name], name
    assert int(info["start_id"], 16) == ours.info["start_id"]
    assert info["boot_id"] == ours.info["boot_id"].hex()
    assert list(info["losses"].values()) == ours.losses
    for name in ours.more.keys() & info.keys():
        expected = ours.more[name]
        if name == "limit_kind":
            expected = [None, "cgroup v2", "cgroup v1", "RLIMIT_AS"][expected]
        assert info[name] == expected, name
    assert [(m["serial"], m["path"], int(m["start"], 16), int(m["end"], 16), int(m["load_bias"], 16),
             m["build_id"] or "") for m in theirs["modules"]] == [
        (m.serial, m.path, m.start, m.end, m.bias, m.build_id.hex()) for m in ours.modules]
    assert theirs["threads"] == ours.threads
    assert len(theirs["stacks"]) == len(ours.stacks)
    for their, our in zip(theirs["stacks"], ours.stacks):
        assert their["id"] == our.id and their["approx_from"] == our.approx_from
        assert [(int(f["pc"], 16), f["module"], f["exact"]) for f in their["frames"]] == [
            (f.pc, f.module, f.exact) for f in our.frames]
        assert tuple(their[key] for key in "nSBVC") == our.allocated
        assert tuple(their["thinned"].values()) == (our.thinned or (0,) * 5)
        assert {d["bucket"]: (d["n"], d["B"], d["C"]) for d in their["deaths"]} == our.deaths
    assert [(int(s["address"], 16), s["size"], s["birth_ns"], s["stack"], s["u"], s["thread"],
             s["birth_level"], s["level"]) for s in theirs["live"]] == [
        (s.address, s.size, s.birth_ns, s.stack, s.u, s.thread, s.birth_level, s.level)
        for s in ours.live]
    assert [(t["time_ns"], t["bytes_seen"], t["live_samples"]) for t in theirs["ticks"]] == ours.ticks
    return ours


def test_made_up_snapshot(heapspy, tmp_path):
    s = scenario.moments()[1]
    s.stacks[1].thinned = (-3, 5, -2**40, 2**62, -1)
    s.stacks[2].flags, s.stacks[2].approx_from = 0x2F, 3
    s.stacks.append(sf.Stack(2**32 - 1, []))
    s.stacks.append(sf.Stack(77, [sf.Frame(2**48 - 1), sf.Frame(0, 2, True), sf.Frame(5, 2)],
                             allocated=(2**64 - 1,) * 5, deaths={0: (1, 2, 3), 47: (4, 5, 6)}))
    s.ticks = [(10**9, 2**40, 7), (2 * 10**9, 2**41, 8)]
    s.losses = list(range(16))
    s.more = dict(half_bytes=[1, 2**63], half_peak_bytes=[2**40, 3], half_other_bytes=[4, 2**41], older_peak_bytes=5,
                  older_peak_level=15, limit_kind=3, limit_bytes=2**62, limit_used_bytes=6)
    s.live[0].level, s.live[0].birth_level = 15, 14
    agree(heapspy, s.write(tmp_path / "a.hspy"))


def test_sections_in_any_order_and_unknown_ones(heapspy, tmp_path):
    s = scenario.moments()[1]
    s.more = {"half_bytes": [1, 2]}
    bodies = dict(reversed(s.sections().items()))
    bodies[sf.INFO] += b"a field of a later writer"
    bodies[99] = b"a section of a later writer"
    del bodies[sf.TICKS]
    (tmp_path / "a.hspy").write_bytes(sf.assemble(bodies))
    assert agree(heapspy, str(tmp_path / "a.hspy")).info["number"] == 2


def test_snapshot_of_a_real_program(heapspy, tmp_path):
    library = conftest.BUILD / "preload" / "libheapspy.so"
    done = subprocess.run(
        ["/usr/bin/python3", "-c", "import threading, json\nkeep = [str(i) * 9 for i in range(20000)]\n"
         "t = threading.Thread(target=lambda: keep.append(bytes(3000000)))\nt.start()\nt.join()"],
        env=dict(os.environ, LD_PRELOAD=str(library), HEAPSPY_DIR=str(tmp_path / "run"),
                 HEAPSPY_SAMPLE="4KiB", PYTHONMALLOC="malloc"),
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60, check=True)
    paths = sorted((tmp_path / "run").glob("*.hspy"))
    assert paths, done.stderr
    last = [agree(heapspy, str(path)) for path in paths][-1]
    assert len(last.stacks) > 5 and last.info["samples"] > 100
