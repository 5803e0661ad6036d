"""What compare.py runs: operations, the server loop, whole programs. Each run is one variant, once.

A workload has name, title, cases (what its table rows are called) and run(variant, size, directory),
which returns ({case: {figure: value}}, output): the output must be that of the bare program.
"""
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile

from compare_variants import Wrong, clean_environment, snapshot_info

TIMEOUT = 300


class Bench:
    """Where things are, and one way to run a program."""

    def __init__(self, build, quick):
        self.dir = build / "tests" / "bench"
        self.command = build / "analyzer" / "heapspy"
        self.quick = quick
        self.cpus = sorted(os.sched_getaffinity(0))

    def launch(self, argv, variant, directory, *, cpu=None, stdin=None, times=1, extra=()):
        """(reports of launch.c, stdout), after the program ended well."""
        words = [self.dir / "launch"]
        if cpu is not None:
            words += ["-c", cpu]
        words += ["-n", times]
        for name, value in [*variant.environment(directory).items(), *extra]:
            words += ["-e", f"{name}={value}"]
        report = pathlib.Path(directory) / "report"
        with open(stdin or os.devnull, "rb") as source:
            done = subprocess.run([*map(str, words), report, *map(str, argv)], stdin=source,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=directory,
                                  env=clean_environment(), timeout=TIMEOUT, check=False)
        reports = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
        if done.returncode or not reports or any(one["status"] for one in reports):
            status = done.returncode or reports and reports[0]["status"]
            raise Wrong(f"ended with {status}: {done.stderr.decode(errors='replace').strip()[-200:]}")
        return reports, done.stdout


class Ops:
    """Some operations of prog_ops in one process."""

    def __init__(self, bench, ops, threads=1, live=0, only=None):
        self.bench, self.ops, self.threads, self.live = bench, ops, threads, live
        self.only = only
        self.title = f"operations, {threads} thread{'s' if threads > 1 else ''}, {live} live samples"
        self.name = f"ops-{threads}t-{live}"

    def n(self, variant):
        fewer = 10 if self.bench.quick else 1
        return {"heaptrack": 100000, "tc-heapprof": 10000}.get(variant.name, 0) // fewer or None

    def run(self, variant, _size, directory):
        words = [self.bench.dir / "prog_ops_cxx", "-t", self.threads, "-l", self.live]
        n = self.n(variant) or (900000 if self.bench.quick else None)
        cpu = self.bench.cpus[-1] if self.threads == 1 else None
        _, out = self.bench.launch([*words, *(["-n", n] if n else []), *self.ops], variant, directory, cpu=cpu)
        if variant.name == "heapspy" and self.live:
            _, n_live = snapshot_info(self.bench.command, f"{directory}/heapspy")
            if n_live < 0.99 * self.live:
                raise Wrong(f"{n_live} live samples, not {self.live}")
        found = [json.loads(line) for line in out.splitlines()]
        return ({one["op"]: {"ns": one["ns"]} for one in found},
                [(one["op"], one["threads"], one["live"]) for one in found])


class Program:
    """A program that reads a file or nothing, and ends."""

    def __init__(self, bench, name, title, argv, *, sizes, stdin=None, result=None, cpu=True, extra=()):
        """argv(size) and stdin(size) give words and a path; result: a file made by the program that counts as
        its output; sizes: of the work, under "full", "heaptrack" and "heapprof"."""
        self.bench, self.name, self.title, self.argv = bench, name, title, argv
        self.sizes, self.stdin, self.result, self.cpu = sizes, stdin, result, cpu
        self.extra = extra

    def run(self, variant, size, directory):
        amount = self.sizes[size]
        (report,), out = self.bench.launch(
            self.argv(amount), variant, directory, cpu=self.bench.cpus[-1] if self.cpu else None,
            stdin=self.stdin and self.stdin(amount), extra=self.extra)
        if self.result:
            out += (pathlib.Path(directory) / self.result).read_bytes()
        if not out:
            raise Wrong("no output")
        return {self.name: report}, hashlib.sha256(out).hexdigest()


SQL = """CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, score REAL, doc TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n})
INSERT INTO t SELECT i, 'name ' || (i * 7919 % 10007), i * 0.37, json_object('k', i, 'v', printf('%020d', i)) FROM n;
CREATE INDEX by_name ON t(name, score);
SELECT count(*), sum(score) FROM t WHERE name LIKE 'name 1%';
SELECT name, count(*), group_concat(id) FROM t GROUP BY name ORDER BY 2 DESC, 1 LIMIT 50;
SELECT sum(json_extract(doc, '$.k')), max(json_extract(doc, '$.v')) FROM t;
UPDATE t SET doc = json_set(doc, '$.w', name) WHERE id % 3 = 0;
SELECT sum(length(a.doc)), sum(a.score * b.score) FROM t a JOIN t b ON a.id = b.id + 1;
"""

PYTHON = """import json, sys
words = {}
for turn in range(int(sys.argv[1])):
    rows = [{"id": i, "name": "name %d" % (i * 7919 % 10007), "tags": ["t%d" % (i % j) for j in range(1, 9)],
             "text": "x" * (i % 700)} for i in range(3000)]
    again = json.loads(json.dumps(rows))
    for row in again:
        words.setdefault(row["name"], []).append(row["text"] + row["tags"][turn % 8])
    words = {name: texts[-4:] for name, texts in words.items()}
print(len(words), sum(len(text) for texts in words.values() for text in texts))
"""

CPLUSPLUS = """#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
template <int N> struct record {{ std::string name; std::vector<int> value; int sum[N]; }};
{units}
"""
UNIT = """long run{i}(const std::vector<std::string> &in) {{
	std::map<std::string, std::unique_ptr<record<{i} + 1>>> found;
	for (auto &text : in) {{
		auto &place = found[text + "{i}"];
		if (!place) place = std::make_unique<record<{i} + 1>>();
		place->name += text; place->value.push_back((int)text.size() + {i});
		std::sort(place->value.begin(), place->value.end());
	}}
	long sum = 0;
	for (auto &[name, one] : found) for (int v : one->value) sum += v * (long)name.size();
	return sum;
}}
"""


class Inputs:
    """Files that programs read, made once; removed with the object's directory."""

    def __init__(self):
        self.held = tempfile.TemporaryDirectory(prefix="heapspy-bench-inputs.")
        self.dir = pathlib.Path(self.held.name)

    def sql(self, n):
        return self.made(f"{n}.sql", lambda: SQL.format(n=n))

    def python(self):
        return self.made("work.py", lambda: PYTHON)

    def cplusplus(self, n):
        """Preprocessed, so that the headers' files are not read again each time."""
        path = self.dir / f"{n}.ii"
        if not path.exists():
            source = self.made(f"{n}.cc", lambda: CPLUSPLUS.format(
                units="".join(UNIT.format(i=i) for i in range(n))))
            subprocess.run(["g++", "-E", "-P", "-o", path, source], check=True)
        return path

    def made(self, name, text):
        path = self.dir / name
        if not path.exists():
            path.write_text(text())
        return path


def compiler():
    """The compiler proper: g++ only starts it."""
    done = subprocess.run(["g++", "-print-prog-name=cc1plus"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def programs(bench, inputs):
    """Programs and the server loop; sizes are about half a second of work without a profiler."""
    quick = bench.quick
    return [
        Program(bench, "server_loop", "server loop, 4 threads", lambda n: [bench.dir / "server_loop", n],
                sizes={"full": 20000 if quick else 120000, "heaptrack": 20000, "heapprof": 3000}, cpu=False),
        Program(bench, "sqlite3", "sqlite3, in memory", lambda n: ["sqlite3", ":memory:"], stdin=inputs.sql,
                sizes={"full": 20000 if quick else 100000, "heaptrack": 20000, "heapprof": 5000}),
        Program(bench, "python3", "python3", lambda n: ["/usr/bin/python3", "-s", inputs.python(), n],
                sizes={"full": 3 if quick else 10, "heaptrack": 3, "heapprof": 1}),
        Program(bench, "python3-malloc", "python3, PYTHONMALLOC=malloc",
                lambda n: ["/usr/bin/python3", "-s", inputs.python(), n], extra=[("PYTHONMALLOC", "malloc")],
                sizes={"full": 3 if quick else 10, "heaptrack": 3, "heapprof": 1}),
        Program(bench, "cc1plus", "g++ -O2 (cc1plus)",
                lambda n: [compiler(), "-quiet", "-O2", inputs.cplusplus(n), "-o", "out.s"], result="out.s",
                sizes={"full": 1 if quick else 4, "heaptrack": 1, "heapprof": 0}),
    ]


class Start:
    """The shortest program there is, many times in a row."""
    name, title = "start", "start and end of a process"

    def __init__(self, bench):
        self.bench = bench
        self.times = 10 if bench.quick else 60

    def run(self, variant, _size, directory):
        reports, _ = self.bench.launch(["/bin/true"], variant, directory, times=self.times,
                                       cpu=self.bench.cpus[-1])
        if variant.name == "heapspy":  # which leaves no file of a program without a sample
            _, said = self.bench.launch(["sh", "-c", "exec /bin/true 2>&1"], variant, directory,
                                        extra=[("HEAPSPY_VERBOSE", 1)])
            if b"profiling true" not in said:
                raise Wrong("heapspy does not say that it profiles")
        ms = sorted(1e3 * one["wall"] for one in reports)
        return {"start": {"ms": ms[len(ms) // 2]}}, ""


class Memory:
    """What is resident in programs that hold much: blocks, live samples, threads."""
    name, title = "memory", "memory"

    def __init__(self, bench):
        self.bench = bench
        self.cases = {  # words for prog_ops; who it is for
            "heap of 16 MiB": (["-n", 146000, "hold"], "all"),
            "heap of 256 MiB": (["-n", 2336000, "hold"], "fast"),
            "1 thread": (["-n", 1, "threads"], "fast"),
            "101 threads": (["-n", 101, "threads"], "fast"),
            "200 000 live samples": (["-n", 146000, "-l", 200000, "hold"], "glibc"),
        }
        if not bench.quick:
            self.cases["heap of 1 GiB"] = (["-n", 9344000, "hold"], "fast")

    def run(self, variant, _size, directory):
        found = {}
        for case, (words, whose) in self.cases.items():
            if whose == "fast" and variant.slow or whose == "glibc" and not variant.glibc:
                continue
            _, out = self.bench.launch([self.bench.dir / "prog_ops", *words], variant, directory)
            found[case] = {"peak_kib": json.loads(out)["kib"]}
        return found, ""
