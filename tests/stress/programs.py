"""The programs of stacks.py: each a function that runs one round of work and returns what was written to stderr.

A round is the same work each time, but for what threads and clocks decide. bench, the first argument, is where and
under which environment it runs.
"""
import os
import pathlib
import pwd
import random
import shutil
import subprocess

import hspy

POSTGRES = pathlib.Path("/usr/lib/postgresql/15/bin")
ROUND_SECONDS_MAX = 600
SERVER_SECONDS_MAX = 120


class Bench:
    """A directory of its own, and programs started in it under the library."""

    def __init__(self, place, **settings):
        self.place, self.settings = pathlib.Path(place), settings

    def run(self, *words, env=None, stdin="", **options):
        """Runs a program to its end, which must be a good one; returns its stderr."""
        done = subprocess.run([str(word) for word in words], input=stdin, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, errors="replace", cwd=self.place,
                              env=dict(hspy.environment(self.place / "out", **self.settings), **(env or {})),
                              timeout=ROUND_SECONDS_MAX, check=False, **options)
        if done.returncode != 0:
            raise RuntimeError(f"{words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stderr

    def server(self, *words, **options):
        (self.place / "stderr").unlink(missing_ok=True)  # of the round before
        return hspy.Server(words, self.place / "out", settings=self.settings, cwd=self.place,
                           errors=self.place / "stderr", **options)


CXX_HEAD = """
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>
template <int N> struct tower { static int value(int x) { return tower<N - 1>::value(x * 3 + N) ^ N; } };
template <> struct tower<0> { static int value(int x) { return x; } };
"""
CXX_UNIT = """
struct kind{n} {{
	std::map<std::string, std::vector<std::shared_ptr<kind{n}>>> children;
	std::variant<int, double, std::string, std::unordered_map<int, std::string>> value;
	virtual ~kind{n}() = default;
	virtual int sum(const std::function<int(const kind{n} &)> &of) const
	{{
		int result = of(*this) + tower<{depth}>::value({n});
		for (const auto &[name, list] : children)
			for (const auto &child : list)
				result += child ? child->sum(of) : int(name.size());
		return result;
	}}
}};
std::string text{n}(const kind{n} &k)
{{
	std::ostringstream out;
	std::vector<std::pair<std::string, int>> rows;
	for (const auto &[name, list] : k.children)
		rows.emplace_back(name, list.size() + {n});
	std::sort(rows.begin(), rows.end(), [](auto &a, auto &b) {{ return a.second > b.second || a.first < b.first; }});
	for (auto &[name, count] : rows)
		out << name << ' ' << count << '\\n';
	try {{
		return std::regex_replace(out.str(), std::regex("a{n}(b|c)*"), "$1");
	}} catch (const std::regex_error &e) {{
		return e.what();
	}}
}}
"""


def compile_cxx(bench, compiler):
    dice = random.Random(1)
    source = bench.place / "a.cc"
    source.write_text(CXX_HEAD + "".join(CXX_UNIT.format(n=n, depth=dice.randrange(20, 60)) for n in range(12)))
    return [bench.run(compiler, "-std=c++17", "-O2", "-g", "-c", source, "-o", bench.place / "a.o")]


def clang(bench):
    return compile_cxx(bench, "clang++")


def gcc(bench):
    return compile_cxx(bench, "g++")


PYTHON = """
import bz2, collections, ctypes, hashlib, json, lzma, pickle, re, sqlite3, threading, zlib
import xml.etree.ElementTree as tree
def work(n):
    made = [json.loads(json.dumps({"a": list(range(i % 50)), "b": "x" * i})) for i in range(n)]
    words = re.findall(r"\\d+", str(made))
    text = " ".join(words).encode()
    assert zlib.decompress(zlib.compress(text)) == bz2.decompress(bz2.compress(text)) == text
    assert lzma.decompress(lzma.compress(text[:5000])) == text[:5000]
    assert pickle.loads(pickle.dumps(made)) == made
    return hashlib.sha256(text).hexdigest()
threads = [threading.Thread(target=work, args=(120,)) for _ in range(3)]
for thread in threads: thread.start()
base = sqlite3.connect(":memory:")
base.create_function("twice", 1, lambda value: value * 2)
base.create_collation("back", lambda a, b: (a < b) - (a > b))
base.execute("create table t (a, b)")
base.executemany("insert into t values (?, ?)", ((i, str(i) * 5) for i in range(2000)))
base.execute("select count(*), sum(twice(a)) from t where b like '%7%' "
             "group by a % 9 order by b collate back").fetchall()
order = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
values = (ctypes.c_int * 500)(*[i * 7919 % 1009 for i in range(500)])
libc = ctypes.CDLL(None)
libc.qsort(values, len(values), 4, order(lambda a, b: len(str([a[0]])) and a[0] - b[0]))
assert list(values) == sorted(values)
root = tree.fromstring("<a>" + "<b c='d'>e</b>" * 2000 + "</a>")
assert len(tree.tostring(root)) > 2000
for i in range(300):
    exec(compile(f"def f{i}(a, *b, c={i}): return [a + d for d in b if d > c]", "<made>", "exec"))
    try: int("x" * i)
    except ValueError as error: str(error)
def down(n): return [n] + down(n - 1) if n else []
for _ in range(20): down(300)
work(400)
for thread in threads: thread.join()
"""


def python3(bench):
    return [bench.run("/usr/bin/python3", "-I", "-c", PYTHON, env={"PYTHONMALLOC": "malloc"})]


LUA = ("local t = {} for i = 1, 300 do t[i] = cjson.encode({i, tostring(i)}) end "
       "return redis.call('set', KEYS[1], table.concat(t)) and cmsgpack.pack(t)")


def redis(bench):
    port = hspy.free_port()

    def ask(*words):
        return subprocess.run(["redis-cli", "-p", str(port), *words], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=True).stdout.strip()

    def load(*words):
        subprocess.run(["redis-benchmark", "-p", str(port), "-q", "-r", "100000", *words], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=ROUND_SECONDS_MAX)

    with bench.server("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
                      "--dir", bench.place, "--hz", "100") as server:
        server.wait_until(lambda: ask("ping") == "PONG", SERVER_SECONDS_MAX)
        load("-n", "20000", "-d", "400", "-t", "set,get,incr,lpush,rpush,lpop,sadd,hset,zadd,spop,lrange_100,mset")
        load("-n", "2000", "eval", LUA, "1", "key:__rand_int__")
        for command in ("bgsave", "bgrewriteaof"):
            server.wait_until(lambda: "in_progress:1" not in ask("info", "persistence"), SERVER_SECONDS_MAX)
            assert "rror" not in ask(command)
            load("-n", "3000", "-d", "100", "-t", "set,hset,zadd")
        server.wait_until(lambda: "in_progress:1" not in ask("info", "persistence"), SERVER_SECONDS_MAX)
        assert "rdb_last_bgsave_status:ok" in ask("info", "persistence")
        ask("flushall")
        assert server.end(SERVER_SECONDS_MAX) == 0
    return [server.output()]


POSTGRES_TABLES = """
create table word (id int primary key, name text, at int, body jsonb);
insert into word select i, repeat(md5(i::text), 20), i * 7919 % 100003, jsonb_build_object('a', i, 'b', md5(i::text))
  from generate_series(1, 30000) i;
create index on word (at); analyze word;
create function long_text(n int) returns text language plpgsql as
  $$ declare t text := ''; begin for i in 1 .. n loop t := t || repeat(md5(i::text), 40); end loop; return t; end $$;
"""
POSTGRES_PARALLEL = """
set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set parallel_tuple_cost = 0;
set min_parallel_table_scan_size = 0; set jit = off;
select at % 10, count(*), max(name), sum(length(name)) from word group by 1 order by 1;
select count(*) from word a join word b on a.at = b.id where a.name < b.name;
"""
# The second query allocates below the code that was made for it: big values, in functions called from there.
POSTGRES_JIT = """
set jit = on; set jit_above_cost = 0; set jit_inline_above_cost = 0; set jit_optimize_above_cost = 0;
set max_parallel_workers_per_gather = 0;
select at % {n}, count(*), avg(length(name) * {n}) from word
  where id % 3 = {n} % 3 and name > '{n}' group by 1 order by 2;
select sum(length(repeat(name, 15 + id % {n}) || upper(repeat(name, 30)) || body::text)) from word where id % 3 = 0;
select sum(length(long_text(id % 40))) from word where id < 300;
"""


def postgres(bench):
    account = {}
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(bench.place, user.pw_uid, user.pw_gid)
    data = bench.place / "data"
    shutil.rmtree(data, ignore_errors=True)
    texts = [bench.run(POSTGRES / "initdb", "-D", data, "-A", "trust", "--no-sync", "-U", "tester",
                       "--locale=C.UTF-8", **account)]
    port = str(hspy.free_port())
    reach = ["-h", str(bench.place), "-p", port, "-U", "tester"]

    def client(*words, text=None):
        subprocess.run([*words], input=text, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       cwd=bench.place, timeout=ROUND_SECONDS_MAX, check=True)

    def sql(text):
        client("psql", *reach, "-XqtA", "-v", "ON_ERROR_STOP=1", "postgres", text=text)

    with bench.server(POSTGRES / "postgres", "-D", data, "-p", port, "-k", bench.place, "-c", "fsync=off", "-c",
                      "listen_addresses=", "-c", "max_parallel_workers=2", **account) as server:
        server.wait_until(lambda: "ready to accept connections" in server.errors.read_text(), SERVER_SECONDS_MAX)
        sql(POSTGRES_TABLES)
        client(POSTGRES / "pgbench", *reach, "-i", "-q", "-s", "1", "postgres")
        client(POSTGRES / "pgbench", *reach, "-n", "-c", "2", "-t", "500", "-C", "postgres")
        client(POSTGRES / "pgbench", *reach, "-n", "-c", "2", "-t", "2000", "postgres")
        for n in range(3, 9):
            sql(POSTGRES_PARALLEL)
            sql(POSTGRES_JIT.format(n=n))
        assert server.end(SERVER_SECONDS_MAX) == 0
    return texts + [server.output()]


NODE = """
const zlib = require('zlib'), crypto = require('crypto'), vm = require('vm'), fs = require('fs');
const { Worker, isMainThread } = require('worker_threads');
function work(n) {
	for (let i = 0; i < n; i++) {
		const text = JSON.stringify({ i, list: Array.from({ length: i % 40 }, (_, k) => 'x' + k) });
		const packed = zlib.deflateSync(text);
		if (zlib.inflateSync(packed).toString() !== text) throw new Error('zlib');
		crypto.createHash('sha256').update(text).digest('hex');
		new Function('a', `let s = ${i}; for (const c of a) s += c.length; return s + ${i};`)(['a', 'bc']);
		text.replace(new RegExp(`x(${i}|[0-9])+`, 'g'), m => m.toUpperCase());
		new vm.Script(`(function () { return [${i}, 2].map(x => x * ${i}); })()`).runInThisContext();
		Buffer.allocUnsafeSlow(5000 + i).fill(1);
		[5, 3, 1].sort((a, b) => Buffer.from('q'.repeat(9000 + i)).length && a - b);
		if (i % 10 === 0) fs.readdirSync('/');
	}
}
if (isMainThread) {
	const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 9, 2, 96, 0, 0, 96, 1, 127, 1, 127, 2, 7, 1, 1, 97,
		1, 98, 0, 0, 3, 2, 1, 1, 7, 5, 1, 1, 99, 0, 1, 10, 8, 1, 6, 0, 16, 0, 32, 0, 11]);
	const made = new WebAssembly.Instance(new WebAssembly.Module(wasm),
		{ a: { b: () => Buffer.allocUnsafeSlow(20000) } });
	const workers = [0, 1].map(() => new Worker(__filename));
	let left = workers.length;
	for (const worker of workers)
		worker.on('exit', () => --left || console.log('done'));
	for (let i = 0; i < 500; i++)
		if (made.exports.c(i) !== i) throw new Error('wasm');
	work(3000);
} else {
	work(300);
}
"""


def node(bench):
    script = bench.place / "work.js"
    script.write_text(NODE)
    return [bench.run("node", script)]


EXCEPTIONS = """
#include <cstdio>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
struct guard {
	std::vector<int> &out;
	~guard() { out.push_back(int(out.size())); }
};
[[gnu::noinline]] static int fall(int depth, std::vector<int> &out)
{
	guard g{ out };
	if (depth % 7 == 0) {
		try {
			return fall(depth - 1, out) + 1;
		} catch (const std::out_of_range &e) {
			throw std::runtime_error(std::string(e.what()) + std::to_string(depth));
		} catch (const std::runtime_error &e) {
			throw std::out_of_range(std::string(e.what()).substr(0, 40) + std::string(100, 'x'));
		}
	}
	if (depth == 1)
		return std::string("short").at(depth * 10);
	return fall(depth - 1, out) + int(out.size());
}
static long storm(int n)
{
	long caught = 0;
	for (int i = 0; i < n; i++) {
		std::vector<int> out;
		std::function<int(int)> f = [&out](int d) { return fall(d, out); };
		try {
			f(5 + i % 30);
		} catch (const std::exception &e) {
			std::exception_ptr kept = std::current_exception();
			try {
				std::rethrow_exception(kept);
			} catch (...) {
				caught += std::string(e.what()).size() > 0;
			}
		}
	}
	return caught;
}
int main()
{
	std::vector<std::thread> threads;
	std::vector<long> caught(3);
	for (int i = 0; i < 3; i++)
		threads.emplace_back([i, &caught] { caught[i] = storm(3000); });
	for (auto &thread : threads)
		thread.join();
	auto later = std::async(std::launch::async, [] { return storm(300) ? throw std::logic_error("end") : 0; });
	try {
		later.get();
	} catch (const std::logic_error &) {
		return caught == std::vector<long>{ 3000, 3000, 3000 } ? 0 : 1;
	}
	return 2;
}
"""


def exceptions(bench):
    source = bench.place / "storm.cc"
    if not source.exists():
        source.write_text(EXCEPTIONS)
        subprocess.run(["g++", "-O2", "-pthread", source, "-o", bench.place / "storm"], check=True)
    return [bench.run(bench.place / "storm")]


SQL = """
create table t (a integer primary key, b text, c real);
with recursive n(x) as (select 1 union all select x + 1 from n where x < 20000)
  insert into t select x, hex(x * 7919 % 10007) || ' ' || x, x / 7.0 from n;
create index i on t (b);
create virtual table f using fts5 (word);
insert into f select b from t;
select count(*) from f where f match '3* OR "39 1"';
select highlight(f, 0, '[', ']') from f where f match '31*' order by rank limit 9;
select count(*), max(length(b)) from t where b like '%37%';
select json_group_array(json_object('a', a, 'b', b)) from (select a, b from t order by b desc limit 500);
with recursive f(x, y) as (select 0, 1 union all select y, x + y from f limit 50) select max(x) from f;
select b, sum(c) over (partition by a % 50 order by b rows 3 preceding) from t where a < 3000;
begin; update t set b = b || printf('%.*c', a % 200, 'z') where a % 3 = 0; rollback;
create trigger g after insert on t begin insert into f values (new.b); end;
insert into t (b) select substr(b, 2) from t where a < 3000;
select group_concat(distinct substr(b, 1, 3)) from t;
vacuum;
"""


def sqlite3(bench):
    return [bench.run("sqlite3", "-batch", ":memory:", stdin=SQL)]


def keytool(bench, *options):
    store = bench.place / "keys"
    store.unlink(missing_ok=True)
    words = ("keytool", *("-J" + option for option in options), "-keystore", store, "-storepass", "secret12")
    return [bench.run(*words, "-genkeypair", "-alias", "a", "-keyalg", "RSA", "-keysize", "3072", "-dname", "CN=a"),
            bench.run(*words, "-list", "-v"),
            bench.run(*words, "-certreq", "-alias", "a", "-file", bench.place / "request")]


def java(bench):
    return keytool(bench)


def java_fp(bench):
    return keytool(bench, "-XX:+PreserveFramePointer")
