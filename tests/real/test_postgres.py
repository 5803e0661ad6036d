"""PostgreSQL, not as root: a session that prepares statements without end."""
import os
import pathlib
import pwd
import random
import re
import shutil
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


@pytest.fixture(scope="module")
def owner():
    """Keyword arguments for subprocess: who runs the server, which refuses root."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@pytest.fixture(scope="module")
def place(owner):
    """A directory with a new cluster that the server's user may reach; pytest's own are closed to others."""
    path = pathlib.Path(subprocess.run(["mktemp", "-d", "/tmp/heapspy-pg.XXXXXX"], check=True,
                                       stdout=subprocess.PIPE, text=True, **owner).stdout.strip())
    subprocess.run([BIN / "initdb", "-D", path / "new", "-A", "trust", "--no-sync", "-U", "tester",
                    "--locale=C.UTF-8"], stdout=subprocess.DEVNULL, check=True, timeout=120, cwd=path, **owner)
    yield path
    shutil.rmtree(path)


class Session:
    """psql with one session, answering as long as it is asked."""

    def __init__(self, place, port, owner):
        self.process = subprocess.Popen(
            ["psql", "-h", place, "-p", str(port), "-U", "tester", "-XqtA", "postgres"], bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=place, **owner)

    def ask(self, text):
        self.process.stdin.write(text.encode() + b"\\echo :end-of-batch:\n")
        heard = bytearray()
        while not heard.endswith(b":end-of-batch:\n"):
            part = self.process.stdout.read(1 << 16)
            assert part, f"psql ended: {bytes(heard[-500:])!r}"
            heard += part
        return bytes(heard)

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(30)


def dialogue():
    """Batches of SQL; the statements that are prepared stay."""
    dice = random.Random(5432)
    yield "create table word (id int primary key, name text, at int unique);\n"
    yield ("insert into word select i, md5(i::text), i * 7919 % 1000003 from generate_series(1, 20000) i;\n"
           "select count(*), min(name), sum(at) from word;\n")
    for start in range(0, STATEMENTS, 100):
        for i in range(start, start + 100):
            yield (f"prepare s{i} as select {i}, relname from pg_class where oid > $1 and relname like "
                   f"'x{i}%';\n")
        key = dice.randrange(20000)
        yield (f"execute s{dice.randrange(start + 100)}(0);\n"
               f"select * from word where id between {key} and {key + 20} order by at;\n"
               f"update word set name = repeat(name, 3) where id = {key} returning length(name);\n" +
               dice.choice((f"insert into word values ({key + 1}, 'twice', 0);\n", "selekt 1;\n",
                            "select 1 / 0;\n", "execute nobody(1);\n", "select nobody from word;\n",
                            f"prepare s{start} as select 1;\n", "begin; selekt; select 1; rollback;\n")))
    yield "select count(*) from pg_prepared_statements;\n"


def grouped(pieces, size=20000):
    """The pieces in larger batches, so that there are fewer answers to wait for."""
    batch = ""
    for piece in pieces:
        batch += piece
        if len(batch) >= size:
            yield batch
            batch = ""
    yield batch


def messages(log):
    """The server's messages, without process ids, times and other numbers."""
    return re.sub(r"[\d.]+", "0", log)


def serve(mode, place, owner):
    """One run: everything that must not depend on heapspy, and the pid of the session."""
    # The same names for each run: messages contain them.
    home = place / "home"
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run(["mkdir", home], check=True, **owner)
    subprocess.run(["cp", "-a", place / "new", home / "data"], check=True, **owner)
    port = hspy.free_port()
    server = hspy.Server(
        [BIN / "postgres", "-D", home / "data", "-p", str(port), "-k", home, "-c", "fsync=off",
         "-c", "listen_addresses=127.0.0.1", "-c", "log_line_prefix=", "-c", "log_checkpoints=off"],
        home / "run", settings={"interval": "250ms", "sample": "64KiB"}, mode=mode,
        errors=home / "stderr", cwd=home, **owner)
    with server:
        server.wait_until(lambda: "ready to accept connections" in server.errors.read_text())
        session = Session(home, port, owner)
        try:
            pid = int(session.ask("select pg_backend_pid();\n").split()[0])

            def seen():
                # A session has one thread: preloaded alone, it writes where it allocates.
                session.ask("select length(string_agg(relname, '')) from pg_class, generate_series(1, 50);\n")
                return list(server.dir.glob(f"*.{pid}.*/*.hspy"))

            if mode != "bare":
                server.wait_until(seen)
            answers = [session.ask(batch) for batch in grouped(dialogue())]
        finally:
            assert session.end() == 0
        code = server.end()
    return (answers, code, server.log.read_text(), messages(server.stderr())), pid


@pytest.fixture(scope="module")
def bare(place, owner):
    return serve("bare", place, owner)[0]


@pytest.mark.other_user
def test_session_that_prepares_statements_without_end(mode, place, owner, bare):
    heard, pid = serve(mode, place, owner)
    assert hspy.first_difference(heard[0], bare[0]) is None
    assert heard[0][-1].split()[-2] == str(STATEMENTS).encode()
    assert heard[1] == bare[1] == 0
    assert heard[2:] == bare[2:]
    (session,) = (place / "home" / "run").glob(f"*.{pid}.*")
    rows = hspy.diff(f"{session}@first", f"{session}@last")["rows"]
    assert hspy.names_of(rows[:3]) & {"PrepareQuery", "StorePreparedStatement", "CreateCachedPlan",
                                      "CompleteCachedPlan", "SaveCachedPlan"}, rows[:3]
    assert rows[0]["bytes"] > STATEMENTS * 1000
