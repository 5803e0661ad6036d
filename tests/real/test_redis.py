"""redis-server under redis-benchmark: every request answered, the growing keyspace named."""
import shutil
import socket
import subprocess

import hspy
import pytest

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def names_of(rows):
    """All function names in the rows and their stacks; Debian's redis keeps its dynamic symbols."""
    return {frame.get("function") for row in rows for stack in row["stacks"] for frame in stack["frames"]}


def test_redis(tmp_path):
    port = free_port()

    def ask(*words):
        return subprocess.run(["redis-cli", "-p", str(port), *words], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=30, check=True).stdout.strip()

    with hspy.Server(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                      "--appendonly", "no", "--dir", tmp_path, "--daemonize", "no"],
                     tmp_path / "run", settings={"interval": "250ms", "sample": "64KiB"}) as server:
        server.wait_until(lambda: ask("ping") == "PONG" and hspy.snapshots(server.dir))
        bench = subprocess.run(
            ["redis-benchmark", "-p", str(port), "-n", "60000", "-r", "100000000", "-d", "500", "-q",
             "-t", "set,get"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
            check=True)
        assert "SET:" in bench.stdout and "GET:" in bench.stdout and "rror" not in bench.stdout
        keys = int(ask("dbsize"))
        assert keys > 50000
        # A background save is a fork of the process while it goes on serving.
        assert ask("bgsave").startswith("Background saving")
        server.wait_until(lambda: "rdb_bgsave_in_progress:0" in ask("info", "persistence"))
        assert "rdb_last_bgsave_status:ok" in ask("info", "persistence")
        assert server.end() == 0
    report = hspy.diff(f"{tmp_path}/run@first", f"{tmp_path}/run@last")
    grown = report["rows"][:10]
    assert sum(row["bytes"] for row in grown) > keys * 500 / 2
    # The first row is the values, made where requests are read; the keys follow, made by the keyspace.
    first = names_of(grown[:1])
    assert {"createStringObject", "processMultibulkBuffer"} & first, grown[0]
    assert {"dbAdd", "dictAddRaw", "setKey", "setGenericCommand"} & names_of(grown), grown
