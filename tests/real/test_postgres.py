"""PostgreSQL, not as root: a session that prepares statements without end."""
import os
import pathlib
import pwd
import shutil
import socket
import subprocess

import hspy
import pytest

BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
pytestmark = [
    pytest.mark.skipif(not BIN.is_dir(), reason="postgresql-15 is not installed"),
    pytest.mark.skipif(os.getuid() != 0 and os.getuid() < 1000,
                       reason="needs root, to become the user postgres, or an ordinary user"),
]
STATEMENTS = 8000


@pytest.fixture
def owner():
    """Keyword arguments for subprocess: who runs the server, which refuses root."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@pytest.fixture
def place(owner):
    """A directory that the server's user may reach; pytest's own are closed to others."""
    path = pathlib.Path(subprocess.run(["mktemp", "-d", "/tmp/heapspy-pg.XXXXXX"], check=True,
                                       stdout=subprocess.PIPE, text=True, **owner).stdout.strip())
    yield path
    shutil.rmtree(path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_session_that_prepares_statements_without_end(place, owner):
    subprocess.run([BIN / "initdb", "-D", place / "data", "-A", "trust", "--no-sync", "-U", "tester"],
                   stdout=subprocess.DEVNULL, check=True, timeout=120, cwd=place, **owner)
    port = free_port()
    psql = ["psql", "-h", place, "-p", str(port), "-U", "tester", "-XqtA", "-v", "ON_ERROR_STOP=1",
            "postgres"]

    def ask(text):
        return subprocess.run(psql, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120, check=True, cwd=place, **owner).stdout

    server = hspy.Server(
        [BIN / "postgres", "-D", place / "data", "-p", str(port), "-k", place, "-c", "fsync=off",
         "-c", "listen_addresses=127.0.0.1"],
        place / "run", settings={"interval": "500ms", "sample": "64KiB"}, cwd=place, **owner)
    with server:
        server.wait_until(lambda: ask("select 1;") == "1\n")
        prepare = "".join(f"prepare s{i} as select {i}, relname from pg_class where oid > $1 and relname "
                          f"like 'x{i}%';\n" for i in range(STATEMENTS))
        answer = ask("select pg_backend_pid();\nselect pg_sleep(1.5);\n" + prepare +
                     "select count(*) from pg_prepared_statements;\nselect pg_sleep(1.5);\n")
        assert server.end() == 0
    lines = answer.split()
    assert lines[-1] == str(STATEMENTS)
    (session,) = [path for path in (place / "run").iterdir() if f".{lines[0]}." in path.name]
    rows = hspy.diff(f"{session}@first", f"{session}@last")["rows"]
    names = {frame.get("function") for row in rows[:3] for stack in row["stacks"]
             for frame in stack["frames"]}
    assert names & {"PrepareQuery", "StorePreparedStatement", "CreateCachedPlan", "CompleteCachedPlan",
                    "SaveCachedPlan"}, (rows[:3], names)
    assert rows[0]["bytes"] > STATEMENTS * 1000
