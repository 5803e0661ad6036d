"""The sqlite3 shell, which answers statements from stdin out of a database in memory that grows."""
import os
import re
import shutil
import threading

import hspy
import pytest

pytestmark = pytest.mark.skipif(not shutil.which("sqlite3"), reason="sqlite3 is not installed")
ROWS = 60000
# Ends by exit() with everything still held; at the end of stdin the shell would free it first.
CODE = 7

DIALOGUE = f"""create table word (id integer primary key, name text unique, body text);
.parameter init
.parameter set @many {ROWS}
insert into word select value, printf('name %x', value * 7919 % 1000003), hex(zeroblob(100))
  from (with recursive n(value) as (select 1 union all select value + 1 from n where value < @many)
        select value from n);
select count(*), sum(length(body)), min(name), max(name) from word;
insert into word values (1, 'twice', '');
insert into word values (-1, 'name 1eef', '');
select nobody from word;
selekt 1;
delete from word where id % 1000 = 0;
update word set body = upper(name) where id % 100 = 7;
select * from word where id between 7 and 2000 order by name limit 50;
select json_group_array(id) from word where id % 5000 = 7;
.mode box
select id, name, length(body) as size from word order by name desc limit 20;
.mode quote
select name, body, null, 1.0 / 3 from word where id % 300 = 7 limit 40;
.bogus
select id from word where name like '%abc%' order by id;
select 'pages', page_count from pragma_page_count;
pragma integrity_check;
.print end
.exit {CODE}
"""
# Allocates a little and answers nothing.
WARM_UP = "select 1 where length(hex(zeroblob(100000))) < 0;\n"


def fifo_writer(server, fifo):
    """A descriptor to write to a fifo, as soon as the server has opened it for reading."""
    writer = []
    server.wait_until(lambda: writer.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)) or True)
    os.set_blocking(writer[0], True)
    return writer[0]


def serve(mode, place):
    """One run: everything that must not depend on heapspy."""
    fifo = place / "warm-up"
    os.mkfifo(fifo)
    with hspy.Server(["sqlite3", "-batch", ":memory:"], place / "run", stop=None, mode=mode,
                     settings={"interval": "100ms", "sample": "64KiB"},
                     errors=place / "stderr") as server:
        # The shell counts the lines of a file that is read apart, so messages stay the same.
        def feed():
            with server.process.stdin as stdin:
                stdin.write(f".read {fifo}\n{DIALOGUE}".encode())

        feeder = threading.Thread(target=feed)
        feeder.start()
        with open(fifo_writer(server, fifo), "w", buffering=1) as warm_up:
            warm_up.write(WARM_UP * 10)
            if mode != "bare":
                server.wait_until(lambda: warm_up.write(WARM_UP) and hspy.snapshots(server.dir))
        feeder.join()
        code = server.process.wait(30)
    return server.log.read_bytes(), server.stderr(), code


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return serve("bare", tmp_path_factory.mktemp("sqlite"))


def test_sqlite(mode, tmp_path, bare):
    assert bare[2] == CODE and bare[0].endswith(b"end\n") and len(bare[0].splitlines()) > 100
    assert bare[1].count("rror") >= 5, bare[1]
    heard = serve(mode, tmp_path)
    assert hspy.first_difference(heard[0].splitlines(), bare[0].splitlines()) is None
    assert heard[1:] == bare[1:]
    rows = hspy.diff(f"{tmp_path}/run@first", f"{tmp_path}/run@last")["rows"]
    # The pages of the database: static functions of the stripped library, below names that it exports.
    assert "/libsqlite3.so" in rows[0]["where"]["module"], rows[0]
    assert "sqlite3_step" in hspy.names_of(rows[:1]), rows[0]
    # The shell knows how many there are; with some 230 samples six sigma are allowed.
    held = 4096 * int(re.search(rb"'pages',(\d+)\n", heard[0]).group(1))
    assert ROWS * 200 < held and held * 0.6 < rows[0]["bytes"] < held * 1.6, (held, rows[0])
