"""redis-server: a dialogue answered as without heapspy, a load, a background save; the keyspace named."""
import random
import re
import shutil
import subprocess

import hspy
import pytest

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")
KEYS = 40000


def connect(port):
    return hspy.Connection(port, b"ECHO :end-of-batch:\r\n", b"$14\r\n:end-of-batch:\r\n")


def dialogue():
    """Batches of commands, each a line of words; strings of 500 bytes fill the keyspace."""
    dice = random.Random(6379)

    def command(number):
        key = b"key:%d" % dice.randrange(number + 1)
        kind = dice.randrange(12)
        yield b"SET key:%d %0500x\r\n" % (number, dice.getrandbits(1000))
        if kind < 3:
            yield b"GET %s\r\nSTRLEN %s\r\n" % (key, key)
        elif kind == 3:
            yield b"DEL %s nothing\r\n" % key
        elif kind == 4:
            yield b"APPEND %s more\r\n" % key
        elif kind == 5:
            yield b"RPUSH list %d\r\nLRANGE list -3 -1\r\n" % number
        elif kind == 6:
            yield b"ZADD sorted %d %s\r\nZRANK sorted %s\r\n" % (dice.randrange(1000), key, key)
        elif kind == 7:
            yield b"HSET hash %s %d\r\nHGET hash %s\r\n" % (key, number, key)
        elif kind == 8:
            yield b"EVAL \"return redis.call('incrby', KEYS[1], %d)\" 1 sum\r\n" % number
        elif kind == 9:
            yield dice.choice((b"BOGUS 1\r\n", b"GET\r\n", b"LPUSH %s x\r\n" % key, b"INCR %s\r\n" % key,
                               b"SET %s x EX never\r\n" % key, b"EVAL \"return nil +\" 0\r\n"))

    for start in range(0, KEYS, 200):
        yield b"".join(word for number in range(start, start + 200) for word in command(number))
    yield b"DBSIZE\r\nSORT list LIMIT 0 20 DESC\r\nZRANGE sorted 0 99 WITHSCORES\r\n"


def said(log):
    """What redis logs, without process ids, times and other numbers."""
    return sorted(re.sub(r"[\d.]+", "0", line.split(" * ")[-1].split(" # ")[-1])
                  for line in log.splitlines() if re.match(r"\d+:[A-Z] ", line))


def serve(mode, place):
    """One run: everything that must not depend on heapspy."""
    port = hspy.free_port()

    def ask(*words):
        return subprocess.run(["redis-cli", "-p", str(port), *words], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=30, check=True).stdout.strip()

    with hspy.Server(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                      "--appendonly", "no", "--dir", place, "--daemonize", "no"], place / "run",
                     settings={"interval": "250ms", "sample": "64KiB"}, mode=mode,
                     errors=place / "stderr") as server:
        server.wait_until(lambda: ask("ping") == "PONG" and (mode == "bare" or hspy.snapshots(server.dir)))
        with connect(port) as client:
            answers = [client.ask(batch) for batch in dialogue()]
        bench = subprocess.run(
            ["redis-benchmark", "-p", str(port), "-n", "20000", "-r", "100000000", "-d", "500", "-q",
             "-t", "set,get"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
            check=True)
        assert "SET:" in bench.stdout and "GET:" in bench.stdout and "rror" not in bench.stdout
        # A background save is a fork of the process while it goes on serving.
        assert ask("bgsave").startswith("Background saving")
        server.wait_until(lambda: "rdb_bgsave_in_progress:0" in ask("info", "persistence"))
        assert "rdb_last_bgsave_status:ok" in ask("info", "persistence")
        keys = int(ask("dbsize"))
        threads = server.threads()
        code = server.end()
    return answers, code, server.stderr(), said(server.log.read_text()), threads, keys


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return serve("bare", tmp_path_factory.mktemp("redis"))


def test_redis(mode, tmp_path, bare):
    answers, code, err, log, threads, keys = serve(mode, tmp_path)
    assert hspy.first_difference(answers, bare[0]) is None
    assert (code, err) == bare[1:3] == (0, "")
    assert log == bare[3]
    assert threads == bare[4] + (mode == "preload"), "heapspy run adds no thread, the preload one"
    assert keys > KEYS
    grown = hspy.diff(f"{tmp_path}/run@first", f"{tmp_path}/run@last")["rows"][:10]
    assert sum(row["bytes"] for row in grown) > keys * 500 / 2
    # The first row is the values, made where requests are read; the keys follow, made by the keyspace.
    assert {"createStringObject", "processMultibulkBuffer", "processInlineBuffer"} & hspy.names_of(grown[:1])
    assert {"dbAdd", "dictAddRaw", "setKey", "setGenericCommand"} & hspy.names_of(grown), grown
