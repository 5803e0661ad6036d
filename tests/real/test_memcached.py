"""memcached, whose slabs are a few large blocks and whose hash table grows in a thread of its own.

Debian strips it and its functions are static: the module and the sizes are what can be told. The sizes
are exact: memcached counts its slab pages and its hash table itself, and blocks that are larger than the
sampling interval by far are all sampled.
"""
import os
import random
import shutil

import hspy
import pytest

pytestmark = pytest.mark.skipif(not shutil.which("memcached"), reason="memcached is not installed")
KEYS = 110000
MIB = 1 << 20


def connect(port):
    return hspy.Connection(port, b"mn\r\n", b"MN\r\n")


def dialogue():
    """Batches of commands; small items fill the hash table, larger ones the slabs."""
    dice = random.Random(11211)

    def command(number):
        key = b"key:%d" % dice.randrange(number + 1)
        kind = dice.randrange(16)
        value = b"%x" % dice.getrandbits(dice.choice((16, 64, 4096)))
        yield b"set key:%d %d 0 %d\r\n%s\r\n" % (number, number % 7, len(value), value)
        if kind < 4:
            yield b"get %s key:%d nothing\r\n" % (key, number)
        elif kind == 4:
            yield b"delete %s\r\n" % key
        elif kind == 5:
            yield b"append %s 0 0 3\r\nxyz\r\n" % key
        elif kind == 6:
            yield b"incr %s 1\r\n" % key
        elif kind == 7:
            yield b"cas %s 0 0 1 0\r\nx\r\n" % key
        elif kind == 8:
            yield dice.choice((b"bogus\r\n", b"get\r\n", b"set %s 0 0 -1\r\n" % key,
                               b"get %s\r\n" % (b"k" * 251), b"touch %s 0\r\n" % key,
                               b"add %s 0 0 2\r\nno\r\n" % key, b"mg %s s v\r\n" % key,
                               b"set %s 0 0 2\r\nlong\r\n" % key))

    for start in range(0, KEYS, 250):
        yield b"".join(word for number in range(start, start + 250) for word in command(number))
    yield b"set huge 0 0 %d\r\n%s\r\n" % (2 * MIB, b"x" * (2 * MIB))
    yield b"flush_all 1000000\r\nversion\r\nverbosity 0\r\n"


def counts(port):
    """What memcached says of its own blocks: bytes of slab pages, of the hash table, whether that grows now."""
    with connect(port) as client:
        words = dict(line.split()[1:3] for line in client.ask(b"stats\r\nstats slabs\r\n").splitlines()
                     if line.startswith(b"STAT ") and len(line.split()) == 3)
    return int(words[b"total_malloced"]), int(words[b"hash_bytes"]), int(words[b"hash_is_expanding"])


def serve(mode, place, judge=None):
    """One run through the dialogue; returns everything that must not depend on heapspy."""
    port = hspy.free_port()
    # One worker, and no threads that move items about: with them a bare server's answers differed once,
    # in one of some sixty runs, from those that it gave preloaded and under run.
    with hspy.Server(["memcached", "-l", "127.0.0.1", "-p", port, "-U", "0", "-m", "256", "-t", "1",
                      "-o", "hashpower=16,no_lru_crawler,no_lru_maintainer,slab_automove=0"] + (["-u", "root"] if os.getuid() == 0 else []),
                     place / "run", settings={"interval": "250ms", "sample": "64KiB"}, mode=mode,
                     errors=place / "stderr") as server:
        server.wait_until(lambda: counts(port))
        before = counts(port)
        first = judge and server.snapshot_after_now()
        with connect(port) as client:
            answers = [client.ask(batch) for batch in dialogue()]
        # A thread of its own doubles the table, which KEYS make too small, at most once a second.
        server.wait_until(lambda: counts(port)[1:] == (2 * before[1], 0))
        last = judge and server.snapshot_after_now()
        after = counts(port)
        threads = server.threads()
        code = server.end()
    if judge:
        judge(hspy.diff(first, last), after[0] - before[0], after[1])
    return answers, code, server.log.read_text(), server.stderr(), threads


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return serve("bare", tmp_path_factory.mktemp("memcached"))


def test_memcached(mode, tmp_path, bare):
    def judge(report, slabs, table):
        grown = [row for row in report["rows"] if row["bytes"] > 0]
        assert slabs > 16 * MIB and table == MIB
        assert grown[0]["where"]["module"].endswith("/memcached"), grown[0]
        low, high = grown[0]["ci"]
        assert low <= slabs <= high and high - low < slabs / 20, (slabs, grown[0])
        # The new table is another site; the old one, made at the start, is gone.
        assert any(row["where"]["module"].endswith("/memcached") and
                   row["ci"][0] <= table <= row["ci"][1] for row in grown[1:3]), grown[:5]

    answers, code, out, err, threads = serve(mode, tmp_path, judge)
    assert hspy.first_difference(answers, bare[0]) is None
    assert code == bare[1] == 0
    assert (out, err) == bare[2:4]
    assert threads == bare[4] + (mode == "preload"), "heapspy run adds no thread, the preload one"
