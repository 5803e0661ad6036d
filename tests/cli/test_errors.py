"""Bad input: one clear line on stderr, exit 3, nothing on stdout, never a crash."""
import gzip
import os
import random
import struct
import subprocess
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


@pytest.mark.other_user
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


def test_run_refuses_before_it_starts_anything(heapspy, tmp_path):
    """Wrong usage and values end with 125, so that they are never taken for the command's own code."""
    for words, message in [
            ((), "usage: heapspy run [OPTION]... "),
            (("--wombat", "true"), "unknown option '--wombat'"),
            (("--intervall", "1s", "true"), "unknown option '--intervall'; did you mean --interval?"),
            (("--sample",), "option --sample needs a value"),
            (("--sample", "lots", "true"), "--sample 'lots' cannot be used: expected bytes such as"),
            (("--sample=0", "true"), "--sample '0' cannot be used"),
            (("--interval", "soon", "true"), "--interval 'soon' cannot be used: expected a time from 10ms on such as"),
            (("--interval", "4ms", "true"), "--interval '4ms' cannot be used: expected a time from 10ms on"),
            (("--depth", "257", "true"), "--depth '257' cannot be used: expected a number of frames"),
            (("--writer", "me", "true"), "--writer 'me' cannot be used: expected auto, "),
            (("--state-max", "1", "true"), "--state-max '1' cannot be used: expected a size from"),
            (("--dir", "%x", "true"), "--dir '%x' cannot be used: expected a path")]:
        done = heapspy("run", *words)
        assert done.code == 125 and done.out == "", (words, done.code, done.err)
        assert done.err.startswith(f"heapspy: {message}") and done.err.count("\n") == 1, done.err
    done = heapspy("run", "true", HEAPSPY_CHILDREN="some")
    assert done.code == 125 and done.err.startswith("heapspy: HEAPSPY_CHILDREN='some' cannot be used: expected ")
    assert not list(tmp_path.iterdir())


def test_run_tells_what_cannot_be_started(heapspy, tmp_path):
    (tmp_path / "notes").write_text("no program\n")
    done = heapspy("run", "./nothing")
    assert done.code == 127 and "./nothing" in done.err and done.err.startswith("heapspy: ")
    done = heapspy("run", "--", "no-such-program-anywhere")
    assert done.code == 127 and "no-such-program-anywhere" in done.err
    done = heapspy("run", "./notes")
    assert done.code == 126 and "./notes" in done.err
    done = heapspy("run", ".")
    assert done.code == 126 and done.err.startswith("heapspy: ")


def test_run_of_a_static_program_names_the_topic(heapspy, tmp_path):
    (tmp_path / "api.c").write_text("int main(void) { return 7; }\n")
    subprocess.run(["gcc", "-static", "-o", "api", "api.c"], cwd=tmp_path, check=True)
    done = heapspy("run", "./api")
    assert done.code == 125 and done.out == ""
    assert done.err == "heapspy: api is statically linked: preloading cannot work. See heapspy help static\n"
    assert heapspy("help", "static").code == 0


def test_processes_that_cannot_be_read(heapspy):
    nobody = "2147483647"
    for command in ("snapshot", "live"):
        done = heapspy(command, nobody)
        assert done.code == 3 and f"no process {nobody} is running" in done.err, done.err
        done = heapspy(command, os.getpid())
        assert done.code == 3 and f"process {os.getpid()} is not under heapspy" in done.err, done.err
        assert done.out == "" and done.err.count("\n") <= 2
    done = heapspy("snapshot", "server")
    assert done.code == 2 and "'server' is not a process id" in done.err
    done = heapspy("doctor", nobody)
    assert done.code == 3 and f"no process {nobody} is running" in done.err


def test_output_that_cannot_be_written(heapspy, tmp_path):
    scenario.write_run(tmp_path / "run")
    for command in ("diff", "top", "dump"):
        done = heapspy(command, "run", "-q", "-o", "no/such/out.txt")
        assert done.code == 4 and done.err.startswith("heapspy: cannot write 'no/such/out.txt': No such file")
        done = heapspy(command, "run", "-q", "-o", "/dev/full")
        assert done.code == 4 and done.err == "heapspy: cannot write '/dev/full': No space left on device\n"


def untidy_run(directory):
    """Snapshots of all kinds and reasons, numbers with gaps, a raised interval, lost samples."""
    first, second, last = (sf.Snapshot.decode(s.encode()) for s in scenario.moments())
    second.info.update(number=5, reason=3, label="loaded")
    peak = sf.Snapshot.decode(second.encode())
    peak.info.update(number=9, reason=5, label="", cut_ns=12 * scenario.MINUTE)
    last.info.update(number=12, level=1)
    last.live = [s for s in last.live if s.size > scenario.MIB or s.u < 2**31]
    for s in last.live:
        s.level = 1
    last.losses[2] = 3
    directory.mkdir()
    for s in (first, second, peak, last):
        s.write(directory / f"{s.info['number']:06}.hspy")
    return directory


def test_untidy_runs_are_compared(heapspy, tmp_path):
    untidy_run(tmp_path / "run")
    lost = "heapspy: 3 samples were lost after A: growth is a lower bound\n"
    peak = "taken when the heap was at its highest so far; that is rather too much than too little"
    for words, said, warned in [
            (("run",), "0:01:00 -> 0:20:00 (exit)   mean interval 1 MiB (before: mean interval 512 KiB)", lost),
            (("run@1", "run@5"), "0:01:00 -> 0:10:00 (loaded)   mean interval 512 KiB", ""),
            (("run@mark:loaded", "run@9"), "0:10:00 (loaded) -> 0:12:00 (peak)", ""),
            (("run@9", "run"), f"A: {peak}", lost),
            (("run@1", "run@peak"), f"B: {peak}", "")]:
        done = heapspy("diff", *words)
        assert done.code == 0 and said in done.out, (words, done.out)
        warnings = [line for line in done.err.splitlines(True) if " have no symbols" not in line]
        assert "".join(warnings) == warned
        if warned:
            assert heapspy("diff", *words, "-q").err == ""
    done = heapspy("diff", "run@1", "run@3")
    assert done.code == 3 and done.err == "heapspy: 'run' has no readable snapshot 3 (it has 4, 1..12)\n"
    for name in (5, 9, 12):
        (tmp_path / "run" / f"{name:06}.hspy").unlink()
    done = heapspy("diff", "run")
    assert done.code == 3 and done.err.startswith("heapspy: 'run' holds one snapshot (at 0:01:00): nothing to compare")
    done = heapspy("top", "run", "-q")
    assert done.code == 0 and done.err == "" and " at 0:01:00 " in done.out
