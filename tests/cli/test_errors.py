"""Bad input: one clear line on stderr, exit 3, nothing on stdout, never a crash."""
import gzip
import os
import random
import struct
import tempfile

import pytest
import scenario
import snapshot_format as sf


def complain(heapspy, tmp_path, data, name="bad.hspy", command="top", options=()):
    (tmp_path / name).write_bytes(data)
    done = heapspy(command, name, *options)
    assert done.code == 3, (done.code, done.out, done.err)
    assert done.out == "" and done.err.startswith("heapspy: ") and done.err.count("\n") == 1, done.err
    return done.err


@pytest.fixture
def good():
    return scenario.moments()[1].encode()


@pytest.mark.parametrize("data, words", [
    (b"", "not a heapspy snapshot (is empty)"),
    (gzip.compress(b"x"), "looks like a gzip file"),
    (b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<H", 4), "looks like an ELF core file"),
    (b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<H", 3), "looks like an ELF file"),
    (b"some notes\n", "looks like text"),
    (b"heap profile: 1: 2 [3: 4]", "looks like a gperftools heap profile"),
    (b"heap_v2/524288\n", "looks like a jemalloc heap profile"),
    (bytes(100), "unknown content")])
def test_foreign_files(heapspy, tmp_path, data, words):
    assert words in complain(heapspy, tmp_path, data)


def test_cut_short(heapspy, tmp_path, good):
    error = complain(heapspy, tmp_path, good[:4096])
    assert f"is cut short at 4 096 of {len(good):,}".replace(",", " ") in error
    assert "use it up to there: --partial" in error
    assert "--partial" not in complain(heapspy, tmp_path, good[:400])
    assert "within its header" in complain(heapspy, tmp_path, good[:20])
    assert "within its section table" in complain(heapspy, tmp_path, good[:100])


def test_partial_uses_what_is_whole(heapspy, tmp_path, good):
    (tmp_path / "cut.hspy").write_bytes(good[:-8])
    done = heapspy("top", "cut.hspy", "--partial")
    assert done.code == 3 and "too little of 'cut.hspy' is whole (missing: LIVE)" in done.err
    done = heapspy("top", "cut.hspy", "--partial", "--metric", "allocated")
    assert done.code == 0 and "'cut.hspy' is used in part; missing: LIVE" in done.err
    assert "api+0x2010" in done.out
    done = heapspy("dump", "cut.hspy", "--partial")
    assert done.code == 0 and "stacks 4, frames 13" in done.out and "live 0" in done.out


def test_newer_format(heapspy, tmp_path):
    data = sf.assemble(scenario.moments()[0].sections(), version=3)
    error = complain(heapspy, tmp_path, data)
    assert "format 3 is newer than this heapspy (reads 1); update heapspy" in error


@pytest.mark.parametrize("kind, name", [(sf.INFO, "INFO"), (sf.STRINGS, "STRINGS"),
                                        (sf.STACKS, "STACKS"), (sf.LIVE, "LIVE")])
def test_wrong_checksum_names_the_section(heapspy, tmp_path, good, kind, name):
    table = dict((entry[0], entry[2]) for entry in sf.SECTION.iter_unpack(good[32:32 + 7 * 32]))
    data = bytearray(good)
    data[table[kind]] ^= 0x10
    error = complain(heapspy, tmp_path, bytes(data))
    assert f"is damaged: the checksum of its {name} section is wrong" in error
    data = bytearray(good)
    data[40] ^= 1
    assert "the checksum of its header is wrong" in complain(heapspy, tmp_path, bytes(data))


def test_bytes_behind_the_end(heapspy, tmp_path, good):
    assert "3 bytes follow its end" in complain(heapspy, tmp_path, good + b"end")


def test_references_that_lead_nowhere(heapspy, tmp_path):
    s = scenario.moments()[0]
    s.live.append(sf.Sample(0x1000, 16, 0, 99))
    assert "names stack 99" in complain(heapspy, tmp_path, s.encode())
    s = scenario.moments()[0]
    s.stacks[0].frames[0].module = 9
    assert "STACKS, record 0 is out of range" in complain(heapspy, tmp_path, s.encode())


def test_what_is_no_regular_file(heapspy, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    done = heapspy("top", "fifo")
    assert done.code == 3 and "not a regular file" in done.err
    done = heapspy("top", "/dev/zero")
    assert done.code == 3 and "not a regular file" in done.err


def test_huge_sparse_file_costs_nothing(heapspy, tmp_path):
    with open(tmp_path / "big.hspy", "wb") as out:
        out.truncate(5 << 30)
    done = heapspy("top", "big.hspy")
    assert done.code == 3 and "more than any snapshot can have" in done.err
    with open(tmp_path / "big.hspy", "wb") as out:
        out.truncate(3 << 30)
    done = heapspy("top", "big.hspy")
    assert done.code == 3 and "unknown content" in done.err


def test_unreadable_file(heapspy, good):
    """As another user: root can read everything."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        path = os.path.join(place, "mine.hspy")
        with open(path, "wb") as out:
            out.write(good)
        os.chmod(path, 0)
        done = heapspy("top", path, user=65534 if os.geteuid() == 0 else None)
    assert done.code == 3 and "Permission denied" in done.err


def test_random_damage_never_crashes(heapspy, tmp_path, good):
    """Some whole invocations; the thousands are in tests/fuzz, in-process."""
    rng = random.Random(3)
    scenario.moments()[0].write(tmp_path / "good.hspy")
    for _ in range(40):
        bodies = sf.disassemble(good)
        kind = rng.choice((sf.STACKS, sf.LIVE, sf.MODULES, sf.INFO, sf.STRINGS))
        body = bytearray(bodies[kind])
        for _ in range(rng.randint(1, 6)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        bodies[kind] = bytes(body)
        (tmp_path / "m.hspy").write_bytes(sf.assemble(bodies))
        for words in (("diff", "good.hspy", "m.hspy", "--force", "--by", "line"), ("dump", "m.hspy", "--live")):
            done = heapspy(*words)
            assert done.code in (0, 3), (done.code, done.err)
