"""HEAPSPY_UNWIND=libunwind and =compare: the system's libunwind in place of our unwinder, and it and libgcc beside
it. And =fp, which is compared with our own.

In compare mode each process says at its end how many stacks all have walked and how they agree. Here are some
thousands of stacks; tests/stress/stacks.py compares millions.
"""
import os
import re
import shutil
import subprocess

import hspy
import pytest
import unwinders

OBJECT = hspy.LIBRARY.with_name("libheapspy-libunwind.so")


def check_all_equal(report, at_least):
    assert report["compared"] >= at_least, report
    assert report["equal"] == report["equal_libunwind"] == report["equal_libgcc"] == report["compared"], report
    check_own_ways(report)


def check_own_ways(report):
    """Reuse and rows yield what a fresh walk and the slow one do; and all is counted."""
    assert sum(report[name] for name in unwinders.CLASSES) == report["compared"], report
    assert report["reuse_differs"] == report["slow_differs"] == 0, report
    assert sum(report[f"fp_{name}"] for name in ("equal", "shorter", "different")) == report["again"], report
    assert report["compared"] <= report["again"] <= report["compared"] + report["left_out"], report


PYTHON = """
import json, re, sqlite3, threading, zlib
def work(n):
    made = [json.loads(json.dumps({"a": list(range(i % 50)), "b": "x" * i})) for i in range(n)]
    words = re.findall(r"\\d+", str(made))
    return len(zlib.decompress(zlib.compress(" ".join(words).encode())))
threads = [threading.Thread(target=work, args=(200,)) for _ in range(3)]
for thread in threads: thread.start()
base = sqlite3.connect(":memory:")
base.create_function("twice", 1, lambda value: value * 2)
base.execute("create table t (a, b)")
base.executemany("insert into t values (?, ?)", ((i, str(i) * 5) for i in range(2000)))
print(base.execute("select count(*), sum(twice(a)) from t where b like '%7%'").fetchall(), work(300))
try: int("x")
except ValueError: pass
for thread in threads: thread.join()
"""
CXX = """
#include <map>
#include <regex>
#include <string>
#include <vector>
int count(const std::string &text)
{
	std::map<std::string, std::vector<int>> found;
	std::regex word("[a-z]+");
	for (std::sregex_iterator i(text.begin(), text.end(), word), end; i != end; ++i)
		found[i->str()].push_back(i->position());
	return found.size();
}
"""
SQL = """
create table t (a integer primary key, b text);
with recursive n(x) as (select 1 union all select x + 1 from n where x < 20000)
  insert into t select x, hex(x * 7919 % 10007) || ' ' || x from n;
create index i on t (b);
select count(*), max(length(b)) from t where b like '%37%';
select json_group_array(a) from (select a from t order by b desc limit 50);
with recursive f(x, y) as (select 0, 1 union all select y, x + y from f limit 50) select max(x) from f;
select name, sql from sqlite_schema;
"""


def test_python(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONMALLOC", "malloc")
    run = hspy.run(["/usr/bin/python3", "-I", "-c", PYTHON], tmp_path, unwind="compare", sample="4KiB", interval=0,
                   cpu_max="off")
    assert run.stdout.startswith("[(")
    (report,) = unwinders.reports(run.stderr)
    check_all_equal(report, 3000)
    # While one thread is at it the others wait for a moment, then go on without.
    assert report["left_out"] < report["compared"], report


def test_cxx_compiler(tmp_path):
    (tmp_path / "a.cc").write_text(CXX, encoding="ascii")
    run = hspy.run(["g++", "-fsyntax-only", tmp_path / "a.cc"], tmp_path / "out",
                   unwind="compare", sample="16KiB", interval=0, cpu_max="off")
    # The compiler itself, which cc1plus is, and the driver that starts it.
    driver, compiler = sorted(unwinders.reports(run.stderr), key=lambda report: report["compared"])
    check_all_equal(driver, 1)
    check_all_equal(compiler, 3000)
    assert compiler["left_out"] == 0


@pytest.mark.skipif(not shutil.which("sqlite3"), reason="sqlite3 is not installed")
def test_sqlite(tmp_path):
    run = hspy.run(["sqlite3", "-batch", ":memory:", SQL], tmp_path, unwind="compare", sample=512, interval=0,
                   cpu_max="off")
    assert "12586269025" not in run.stderr and "7778742049" in run.stdout
    (report,) = unwinders.reports(run.stderr)
    check_all_equal(report, 3000)
    assert report["left_out"] == 0


def test_libraries_at_the_same_address(tmp_path):
    """libunwind has to be told that code was unloaded: else it goes on by the rules of the library before."""
    run = hspy.run([hspy.victim("prog_reload"), hspy.victim("lib_frame_a.so"), hspy.victim("lib_frame_b.so"), 200],
                   tmp_path, unwind="compare", sample=1)
    assert run.truth["same_address"] > 100
    (report,) = unwinders.reports(run.stderr)
    check_all_equal(report, 400)


def test_forked_child_counts_its_own_stacks(tmp_path):
    script = ("import os\n"
              "kept = [bytearray(1000) for _ in range(5000)]\n"
              "child = os.fork()\n"
              "kept.extend(bytearray(1000) for _ in range(100))\n"
              "if not child: os._exit(0)\n"
              "os.waitpid(child, 0)\n")
    run = hspy.run(["/usr/bin/python3", "-I", "-c", script], tmp_path, unwind="compare", sample=1)
    child, parent = unwinders.reports(run.stderr)
    check_all_equal(child, 50)
    check_all_equal(parent, 5000)
    assert child["compared"] < 4000


def test_stacks_with_little_room_are_left_to_our_own_walk(tmp_path):
    """libunwind needs more stack than a thread of 16 KiB, a signal stack of 8 KiB or a coroutine has."""
    for mode in ("compare", "libunwind"):
        run = hspy.run([hspy.victim("prog_small_stack")], tmp_path / mode, unwind=mode, sample=1)
        assert hspy.live_bytes(run.last, "keep_small") == run.truth["keep_small"]
        if mode == "compare":
            (report,) = unwinders.reports(run.stderr)
            assert report["left_out"] > 15000 and report["compared"] == report["equal"], report
            check_own_ways(report)
            assert report["again"] > 15000


@pytest.mark.parametrize("mode", ["compare", "libunwind"])
def test_low_descriptors_are_the_programs(mode, tmp_path):
    """libunwind's pipe has numbers that a program which closes everything does not use again at once."""
    script = ("import os\n"
              "first = os.open('/dev/null', os.O_RDONLY)\n"
              "os.closerange(3, 1024)\n"
              "files = [open(f'{n}.txt', 'w+b', buffering=0) for n in range(20)]\n"
              "for _ in range(300):\n"
              "    for file in files: file.write(str([0] * 300)[:1].encode())\n"
              "print(first, {os.fstat(file.fileno()).st_size for file in files})\n")
    run = hspy.run(["/usr/bin/python3", "-I", "-c", script], tmp_path / "run", cwd=tmp_path, unwind=mode,
                   sample=512, cpu_max="off", verbose=1)
    assert run.stdout == "3 {300}\n"
    assert re.search(r"unwinders: [1-9]\d{3,} stacks", run.stderr), run.stderr
    for number in range(20):
        assert (tmp_path / f"{number}.txt").read_bytes() == b"[" * 300
    run = hspy.run([hspy.victim("prog_numbers")], tmp_path / "numbers", unwind=mode, sample="4KiB")
    assert run.truth == {}


@pytest.mark.parametrize("victim", ["prog_throw", "prog_plugin"])
@pytest.mark.parametrize("mode", ["compare", "libunwind"])
def test_exceptions_stay_with_libgcc(mode, victim, tmp_path, monkeypatch):
    """libunwind exports functions of libgcc's names. Nobody but our object may be bound to them: neither a C++
    program, nor a plugin that brings the C++ library into a program in C, behind libunwind."""
    monkeypatch.setenv("LD_BIND_NOW", "1")
    monkeypatch.setenv("LD_DEBUG", "bindings")
    monkeypatch.setenv("LD_DEBUG_OUTPUT", str(tmp_path / "bindings"))
    words = [hspy.victim("lib_plugin.so")] if victim == "prog_plugin" else []
    run = hspy.run([hspy.victim(victim), *words], tmp_path / "out", unwind=mode, sample=1, verbose=1)
    monkeypatch.delenv("LD_DEBUG")
    for name, live in run.truth.items():
        assert hspy.live_bytes(run.last, name) == live
    assert re.search(r"unwinders: [1-9]\d\d+ stacks", run.stderr), run.stderr
    (path,) = tmp_path.glob("bindings.*")
    bound = {(os.path.basename(who), os.path.basename(to), name) for who, to, name in re.findall(
        r"binding file (\S+) \[0\] to (\S+) \[0\]: normal symbol `(\w+)'", path.read_text(encoding="utf-8"))}
    assert ("libstdc++.so.6", "libgcc_s.so.1", "_Unwind_RaiseException") in bound
    to_libunwind = {who for who, to, _ in bound if to.startswith("libunwind")}
    assert OBJECT.name in to_libunwind and to_libunwind <= {OBJECT.name, "libunwind.so.8"}


def test_libgcc_is_the_real_one(tmp_path, monkeypatch):
    """libunwind exports _Unwind_Backtrace too, and a program linked with it has that one first."""
    (tmp_path / "a.c").write_text("#include <stdlib.h>\nvoid *kept[500];\n"
                                  "int main(void) { for (int i = 0; i < 500; i++) kept[i] = malloc(99); }\n",
                                  encoding="ascii")
    subprocess.run(["gcc", tmp_path / "a.c", "-o", tmp_path / "a", "-Wl,--no-as-needed", "-lunwind"], check=True)
    monkeypatch.setenv("LD_DEBUG", "bindings")
    monkeypatch.setenv("LD_DEBUG_OUTPUT", str(tmp_path / "bindings"))
    run = hspy.run([tmp_path / "a"], tmp_path / "out", unwind="compare", sample=1)
    monkeypatch.delenv("LD_DEBUG")
    (report,) = unwinders.reports(run.stderr)
    check_all_equal(report, 500)
    (path,) = tmp_path.glob("bindings.*")
    to = re.findall(r"binding file \S+ \[0\] to (\S+) \[0\]: normal symbol `_Unwind_Backtrace'",
                    path.read_text(encoding="utf-8"))
    assert [os.path.basename(name) for name in to] == ["libgcc_s.so.1"]


CHAIN = """
#include <stdlib.h>
void *volatile kept[400];
static volatile int n;
#define NEXT(name, next) __attribute__((noinline)) void name(void) { next(); n++; }
__attribute__((noinline)) void keep(void) { char room[100 + n % 3 * 16]; kept[n % 400] = malloc(sizeof(room)); }
NEXT(third, keep)
NEXT(second, third)
NEXT(first, second)
int main(void)
{
	while (n < 1200)
		first();
}
"""


@pytest.mark.parametrize("option", ["-fno-omit-frame-pointer", "-fomit-frame-pointer"])
def test_frame_pointers(option, tmp_path):
    """Right where the program keeps them; marked as approximate where they are all there is."""
    (tmp_path / "chain.c").write_text(CHAIN, encoding="ascii")
    subprocess.run(["gcc", "-g", "-O2", option, tmp_path / "chain.c", "-o", tmp_path / "chain"], check=True)
    run = hspy.run([tmp_path / "chain"], tmp_path / "out", unwind="fp", sample=1)
    row = hspy.by_function(hspy.top(run.last, "-n0"))["keep"]
    names = {tuple(frame.get("function") for frame in stack["frames"][:5]) for stack in row["stacks"]}
    if option == "-fno-omit-frame-pointer":
        assert names == {("keep", "third", "second", "first", "main")}
    stacks = hspy.dump(run.last)["stacks"]
    assert len(stacks) > 0
    for stack in stacks:
        assert "approx" in stack["flags"] or stack["n_frames"] <= 1, stack
    run = hspy.run([tmp_path / "chain"], tmp_path / "compared", unwind="compare", sample=1)
    (report,) = unwinders.reports(run.stderr)
    check_all_equal(report, 400)
    # Up to main's caller, and that is not ours.
    assert (report["fp_shorter"] > 390) or option != "-fno-omit-frame-pointer", report


def test_frame_pointers_where_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONMALLOC", "malloc")
    run = hspy.run(["/usr/bin/python3", "-I", "-c", PYTHON], tmp_path, unwind="fp", sample="1KiB", interval=0,
                   cpu_max="off")
    assert run.stdout.startswith("[(")
    assert all("approx" in stack["flags"] for stack in hspy.dump(run.last)["stacks"] if stack["n_frames"] > 1)


@pytest.mark.parametrize("victim", ["prog_exact", "prog_exact_cxx"])
def test_same_sites_by_libunwind(victim, tmp_path):
    rows = {}
    for mode in ("cfi", "libunwind"):
        run = hspy.run([hspy.victim(victim), 1, 6000], tmp_path / mode, unwind=mode, sample=1, verbose=1)
        if mode == "libunwind":
            n, left = map(int, re.search(r"unwinders: (\d+) stacks by libunwind, (\d+) left to cfi",
                                         run.stderr).groups())
            # Until our constructor has run, libunwind is not there.
            assert n > 5000 and left == 0 and 0 <= hspy.info(run.last)["samples"] - n - left < 300, run.stderr
        rows[mode] = hspy.top(run.last, "-n0")["rows"]
        assert len(rows[mode]) > 3
        for row in rows[mode]:
            del row["median_age_seconds"]
    assert rows["cfi"] == rows["libunwind"]


TRAP = """
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
void trap(void);
__asm__(".text; .globl before; .type before, @function; before: .cfi_startproc; nop; .cfi_endproc;"
	".size before, .-before; .globl trap; .type trap, @function; trap: .cfi_startproc; ud2; ret; .cfi_endproc;"
	".size trap, .-trap");
static void *volatile kept[10];
static volatile int n;
__attribute__((noinline)) static void keep_in_handler(void) { kept[n++] = malloc(1000); }
static void handler(int number, siginfo_t *info, void *context)
{
	keep_in_handler();
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}
int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	sigaction(SIGILL, &action, NULL);
	while (n < 10)
		trap();
}
"""


@pytest.mark.parametrize("mode", ["cfi", "libunwind"])
def test_interrupted_instruction_keeps_its_function(mode, tmp_path):
    """It is the first one of its function, so that a return address there would be of the function before."""
    (tmp_path / "trap.c").write_text(TRAP, encoding="ascii")
    subprocess.run(["gcc", "-g", "-fno-optimize-sibling-calls", tmp_path / "trap.c", "-o", tmp_path / "trap"],
                   check=True)
    run = hspy.run([tmp_path / "trap"], tmp_path / "out", unwind=mode, sample=1)
    row = hspy.by_function(hspy.top(run.last, "-n0"))["keep_in_handler"]
    (stack,) = row["stacks"]
    names = [frame["function"] for frame in stack["frames"]]
    assert row["bytes"] == 10000 and names[:2] == ["keep_in_handler", "handler"]
    assert names[3:5] == ["trap", "main"], names


@pytest.mark.parametrize("mode", ["compare", "libunwind"])
def test_without_the_object_cfi_serves(mode, tmp_path):
    alone = tmp_path / "lib" / hspy.LIBRARY.name
    alone.parent.mkdir()
    shutil.copy(hspy.LIBRARY, alone)
    run = hspy.run([hspy.victim("prog_leak"), 0], tmp_path / "out", preload=[alone], unwind=mode, verbose=1)
    assert run.stderr.count(f"\nheapspy: libunwind cannot be used, stacks are walked by cfi: {alone.parent}/") == 1
    assert "unwinders" not in run.stderr
    assert hspy.diff(f"{tmp_path}/out@mark:begin", f"{tmp_path}/out@mark:end")["rows"][0]["where"]["function"] == (
        run.truth["function"])


@pytest.mark.parametrize("mode", ["cfi", "fp"])
def test_not_loaded_unless_asked_for(mode, tmp_path):
    run = hspy.run(["cat", "/proc/self/maps"], tmp_path, unwind=mode, sample=1)
    assert "/libheapspy.so" in run.stdout
    assert "/libunwind" not in run.stdout and OBJECT.name not in run.stdout
    assert "unwinders" not in run.stderr


def test_loaded_when_asked_for(tmp_path):
    run = hspy.run(["cat", "/proc/self/maps"], tmp_path, unwind="libunwind", sample=1)
    assert OBJECT.name in run.stdout and "/libunwind.so.8" in run.stdout
    assert run.stderr == ""


def test_the_object_exports_one_function():
    names = subprocess.run(["nm", "-D", "--defined-only", OBJECT], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split()[2::3]
    assert names == ["heapspy_libunwind_walk_v1"]
