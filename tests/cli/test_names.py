"""Rows named from a real binary: function, file and line, inline frames, folded containers."""
import json
import re
import shlex
import shutil
import subprocess

import pytest
import scenario
import snapshot_format as sf

SOURCE = """\
#include <cstdlib>
#include <string>
#include <vector>
static inline __attribute__((always_inline)) void *grow(unsigned n)
{
	return std::malloc(n);
}
extern "C" __attribute__((noinline)) void *session_open(unsigned n)
{
	void *volatile p = grow(n);
	return p;
}
namespace cache {
__attribute__((noinline)) void remember(std::vector<std::string> &v, const char *text)
{
	v.emplace_back(text);
}
}
int main(int argc, char **argv)
{
	std::vector<std::string> v;
	cache::remember(v, argv[0]);
	return session_open(argc) == nullptr;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A C++ program, the call sites in it (function, called: address behind the call), its build id."""
    place = tmp_path_factory.mktemp("program")
    (place / "server.cc").write_text(SOURCE)
    subprocess.run(["g++", "-g", "-O1", "-fno-inline-small-functions", "-Wl,--build-id=sha1", "-no-pie",
                    "-o", "server", "server.cc"], cwd=place, check=True)
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-C", str(place / "server")],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    calls, function, callee = {}, None, None
    for line in text.splitlines():
        head = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        instruction = re.match(r"\s+([0-9a-f]+):\s+(.*)", line)
        if head:
            function, callee = head.group(1), None
        elif instruction:
            if callee:
                calls.setdefault((function.split("(")[0], callee), int(instruction.group(1), 16))
            call = re.match(r"call\s+[0-9a-f]+ <(.*)>", instruction.group(2))
            callee = call and re.split(r"[@(+]", call.group(1))[0]
    notes = subprocess.run(["readelf", "-n", str(place / "server")], stdout=subprocess.PIPE, text=True,
                           check=True).stdout
    build_id = bytes.fromhex(re.search(r"Build ID: ([0-9a-f]+)", notes).group(1))
    return place / "server", calls, build_id


@pytest.fixture
def run(tmp_path, program):
    path, calls, build_id = program
    remember = next(address for (function, callee), address in calls.items()
                    if function == "cache::remember")
    container = [(callee, address) for (function, callee), address in calls.items()
                 if function.startswith(("void std::", "std::")) and address]

    def point(s):
        s.modules[0] = sf.Module(1, str(path), 0x400000, 0x500000, 0, 1, build_id)
        main = [sf.Frame(calls["main", "session_open"], 1)]
        s.stacks[0].frames = [sf.Frame(calls["session_open", "malloc"], 1), *main]
        inner = [sf.Frame(container[0][1], 1)] if container else []
        s.stacks[1].frames = [*inner, sf.Frame(remember, 1), sf.Frame(calls["main", "cache::remember"], 1)]
        s.stacks[2].frames[1:] = main
        s.stacks[3].frames = [sf.Frame(calls["main", "session_open"], 1)]

    return scenario.write_run(tmp_path / "run", point)


def rows(heapspy, *words):
    done = heapspy("diff", "--json", "run", *words)
    assert done.code == 0, done.err
    return json.loads(done.out)["rows"]


def test_function_file_line_and_inlining(heapspy, run):
    where = rows(heapspy)[0]["where"]
    assert where["function"] == "grow" and where["file"].endswith("server.cc") and where["line"] == 6
    assert where["inlined_into"] == "session_open"
    frames = [(f["function"], f["line"], f["inlined"]) for f in rows(heapspy)[0]["stacks"][0]["frames"]]
    assert frames == [("grow", 6, True), ("session_open", 10, False), ("main", 23, False)]
    assert re.search(r"  grow +server\.cc:6  \(inlined into session_open\)$",
                     heapspy("diff", "run").out, re.M)


def test_containers_fold_into_their_caller(heapspy, run):
    where = rows(heapspy)[-1]["where"]
    assert where["function"].startswith("cache::remember(") and where["line"] == 16
    text = heapspy("diff", "run").out
    assert "cache::remember  " in text and "std::vector" not in text
    assert "cache::remember(std::vector<" in heapspy("diff", "run", "--full-names").out


def test_hide_folds_more_and_none_folds_nothing(heapspy, run):
    assert rows(heapspy, "--hide", "^grow$")[0]["where"]["function"] == "session_open"
    done = heapspy("diff", "run", "--hide", "(")
    assert done.code == 2 and done.err.startswith("heapspy: --hide: ")
    leaf = rows(heapspy, "--hide", "none")[-1]
    assert leaf["where"]["function"] == leaf["stacks"][0]["frames"][0]["function"]


def test_by_line_and_focus_by_file(heapspy, run):
    assert {row["where"]["line"] for row in rows(heapspy, "--by", "line")} >= {6, 16}
    assert len(rows(heapspy, "--focus", "server\\.cc")) == 4
    for mistyped, meant in [("SesionOpen", "session_open"), ("cache::rember", "cache::remember"),
                            ("rememer", "remember"), ("sever.cc", "server.cc")]:
        done = heapspy("diff", "run", "--focus", mistyped)
        assert done.code == 3 and done.err.endswith(f" sites); similar: {meant}\n"), done.err
        assert heapspy("diff", "run", "--focus", meant).code == 0


def test_warning_names_only_modules_that_matter(heapspy, run, program):
    # libjson has no file, but no row of the table is named by it.
    assert heapspy("diff", "run").err == ""
    done = heapspy("top", "run")
    assert done.err == ("heapspy: 1 of 1 addresses in libjson.so.1 have no symbols (build id 1122): "
                        "file not found\n")


def test_another_build_is_not_used(heapspy, run, program, tmp_path):
    copy = tmp_path / "server"
    shutil.copy(program[0], copy)

    def replace(s):
        s.modules[0].path = str(copy)

    scenario.write_run(tmp_path / "run", replace)
    done = heapspy("diff", "run")
    assert "api" not in done.out.splitlines()[4] and "server+0x" in done.out
    assert "addresses in server have no symbols" in done.err


def test_a_debug_file_that_is_not_there_is_named(heapspy, program, tmp_path):
    path, calls, build_id = program
    for words in (["objcopy", "--only-keep-debug", path, "srvs.debug"], ["strip", "-o", "server", path],
                  ["objcopy", "--add-gnu-debuglink=srvs.debug", "server"]):
        subprocess.run(words, cwd=tmp_path, check=True)

    def point(s):
        s.modules[0] = sf.Module(1, str(tmp_path / "server"), 0x400000, 0x500000, 0, 1, build_id)
        for stack in s.stacks:
            stack.frames = [sf.Frame(calls["main", "session_open"], 1)]

    scenario.write_run(tmp_path / "run", point)
    done = heapspy("top", "run")
    assert "main" in done.out and done.err == ""
    (tmp_path / "srvs.debug").unlink()
    done = heapspy("top", "run")
    assert "server+0x" in done.out and "addresses in server have no symbols" in done.err
    assert done.err.endswith("; put its debug file 'srvs.debug' beside it, or install its debug package, "
                             "or set DEBUGINFOD_URLS\n")


def top_rows(heapspy, *words):
    done = heapspy("top", "--json", "run", *words)
    assert done.code == 0, done.err
    return {row["where"]["function"]: row["where"] for row in json.loads(done.out)["rows"]}


def test_rows_without_lines_name_their_caller(heapspy, run):
    where = top_rows(heapspy)["libjson.so.1+0x4030"]
    assert where["from"] == {"function": "main", "file": where["from"]["file"], "line": 23}
    assert where["from"]["file"].endswith("server.cc")
    assert top_rows(heapspy)["grow"]["from"] is None
    assert "  libjson.so.1+0x4030  (from main server.cc:23)\n" in heapspy("top", "run").out
    assert "/server.cc:23)\n" in heapspy("top", "run", "--full-names").out
    assert "(from" not in heapspy("top", "run", "--by", "module").out
    # Left out where there is no room for all of it.
    narrow = heapspy.on_terminal(80, "top", "run", TERM="dumb").out
    assert "libjson.so.1+0x4030\n" in narrow and "(from" not in narrow


@pytest.mark.parametrize("other, words", [("CACHE", "(from main server.cc:23)"),
                                          ("INDEX", "(from 2 callers)")])
def test_several_callers_of_a_row(heapspy, run, program, other, words):
    """LEAK holds 55 MiB, CACHE 10 MiB and INDEX 64 MiB: one is most of the first two."""
    calls = program[1]

    def point(s):
        s.modules[0] = sf.Module(1, str(program[0]), 0x400000, 0x500000, 0, 1, program[2])
        leaf = sf.Frame(0x7F0000004031, 2)
        s.stacks[scenario.LEAK - 1].frames = [leaf, sf.Frame(calls["main", "session_open"], 1)]
        s.stacks[getattr(scenario, other) - 1].frames = [
            leaf, sf.Frame(calls["session_open", "malloc"], 1)]
        s.stacks[scenario.PARSER - 1].frames = [sf.Frame(0x7F0000005031, 2)]

    scenario.write_run(run, point)
    text = heapspy("top", "run").out
    assert f"  libjson.so.1+0x4030  {words}\n" in text
    assert "  libjson.so.1+0x5030\n" in text
    where = top_rows(heapspy)["libjson.so.1+0x4030"]
    assert (where["from"] is None) == (other == "INDEX")


def test_inlined_into_is_left_out_rather_than_cut(heapspy, run):
    for columns in range(84, 140, 4):
        lines = heapspy.on_terminal(columns, "top", "run", "-q", TERM="dumb").out.splitlines()
        (line,) = [line for line in lines if " grow " in line]
        assert line.endswith("server.cc:6") or line.endswith("  (inlined into session_open)")
        assert len(line) <= columns
    assert line.endswith("(inlined into session_open)")


def test_full_names_are_not_padded(heapspy, run):
    out = heapspy("diff", "run", "--full-names").out
    assert re.search(r"  grow  /\S+/server\.cc:6  \(inlined into session_open\)\n", out)


def test_lambdas_are_rows_of_their_own(heapspy, tmp_path):
    """Inlined ones, which have no name of the linker's: in functions, blocks and outside."""
    (tmp_path / "lambdas.cc").write_text("""\
#include <cstdlib>
#define BODY (unsigned n) __attribute__((always_inline)) { return std::malloc(n); }
static auto everywhere = [] BODY;
extern "C" __attribute__((noinline)) void work(void *volatile *p, int k)
{
	auto a = [] BODY;
	auto b = [] BODY;
	p[0] = a(k);
	p[1] = b(k);
	if (k > 3) {
		auto c = [] BODY;
		p[2] = c(k);
	}
	p[3] = everywhere(k);
}
int main(int argc, char **)
{
	void *volatile p[4];
	work(p, argc);
}
""")
    subprocess.run(["g++", "-g", "-O1", "-no-pie", "-o", "lambdas", "lambdas.cc"], cwd=tmp_path,
                   check=True)
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "lambdas"], cwd=tmp_path,
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    text = text[text.index("<work>:"):]
    behind = [int(address, 16) for address in
              re.findall(r"call .*<malloc@plt>\n +([0-9a-f]+):", text)]
    assert len(behind) == 4

    def point(s):
        s.modules[0] = sf.Module(1, str(tmp_path / "lambdas"), 0x400000, 0x500000, 0, 1)
        for stack, address in zip(s.stacks, behind):
            stack.frames = [sf.Frame(address, 1)]

    scenario.write_run(tmp_path / "run", point)
    assert {name: where["line"] for name, where in top_rows(heapspy).items()} == {
        "work::{lambda#1}::operator()": 6, "work::{lambda#2}::operator()": 7,
        "work::{lambda#3}::operator()": 11, "{lambda#1}::operator()": 3}


def build(place, name, source, *words):
    """Compiles source; the addresses behind its calls of malloc, with the symbol each is in."""
    (place / f"{name}.cc").write_text(source)
    subprocess.run(["g++", *words, "-no-pie", "-Wl,--build-id=sha1", "-pthread", "-o", name,
                    f"{name}.cc"], cwd=place, check=True)
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", name], cwd=place,
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    behind, function, called = [], "", False
    for line in text.splitlines():
        head = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        instruction = re.match(r"\s+([0-9a-f]+):\s+(.*)", line)
        if head:
            function, called = head.group(1), False
        elif instruction:
            if called:
                behind.append((function, int(instruction.group(1), 16)))
            called = "<malloc@plt>" in instruction.group(2)
    return behind


def write_stacks(place, program, stacks):
    """A run whose stacks, heaviest first, have these addresses of program, leaf first."""
    order = [scenario.INDEX, scenario.LEAK, scenario.CACHE, scenario.PARSER]

    def point(s):
        s.modules[0] = sf.Module(1, str(place / program), 0x400000, 0x500000, 0, 1)
        for stack in s.stacks:
            stack.frames = [sf.Frame(0x7F0000004031, 2)]
        for number, addresses in zip(order, stacks):
            s.stacks[number - 1].frames = [sf.Frame(address, 1) for address in addresses]

    scenario.write_run(place / "run", point)


CALLBACKS = """\
#include <cstdlib>
#include <functional>
#include <thread>
void *volatile kept[4];
struct Task { void operator()(int n) const { kept[2] = std::malloc(n); } };
void start(int n)
{
	std::thread t([n] { kept[3] = std::malloc(n); });
	t.join();
}
int main(int argc, char **)
{
	std::function<void(int)> f[3];
	f[0] = [](int n) { kept[0] = std::malloc(n); }; f[1] = [](int n) { kept[1] = std::malloc(n); };
	f[2] = Task();
	for (auto &g : f)
		g(argc);
	start(argc);
}
"""


@pytest.fixture
def callbacks(tmp_path):
    def make(*words):
        behind = [pair for pair in build(tmp_path, "callbacks", CALLBACKS, "-O2", *words)
                  if "_M_invoke" in pair[0] or "_M_run" in pair[0]]
        assert len(behind) == 4
        write_stacks(tmp_path, "callbacks", [[address] for _, address in behind])
    return make


def test_callbacks_by_symbols_alone(heapspy, callbacks):
    callbacks()
    assert set(top_rows(heapspy)) == {"main::{lambda(int)#1}", "main::{lambda(int)#2}", "Task",
                                      "start(int)::{lambda()#1}"}
    out = heapspy("top", "run").out
    assert "  main::{lambda#1}   callbacks\n" in out and "  start::{lambda#1}  callbacks\n" in out
    (leaf,) = json.loads(heapspy("top", "--json", "run", "--focus", "start::.lambda").out)["rows"]
    assert leaf["where"]["function"] == "start(int)::{lambda()#1}"
    # The stack says what was found, and with nothing folded so do rows.
    assert leaf["stacks"][0]["frames"][0]["function"].startswith("std::thread::_State_impl<")
    assert all(name.startswith("std::") for name in top_rows(heapspy, "--hide", "none"))
    assert "start(int)::{lambda()#1}" not in top_rows(heapspy, "--focus", "main::")


def test_callbacks_by_debug_info(heapspy, callbacks):
    callbacks("-g")
    assert set(top_rows(heapspy)) == {"main::{lambda#1}::operator()", "main::{lambda#2}::operator()",
                                      "Task::operator()(int) const", "start::{lambda#1}::operator()"}


def test_callbacks_by_little_debug_info(heapspy, callbacks):
    """Lambdas without scopes: a row each, also of two on one line."""
    callbacks("-g1")
    rows_of = top_rows(heapspy)
    assert len(rows_of) == 4 and "Task::operator()(int) const" in rows_of
    lambdas = [name for name in rows_of if name.startswith("{callbacks.cc:")]
    assert len(lambdas) == 3 and all(name.endswith("}::operator()") for name in lambdas)
    assert sorted(name.split(":")[1] for name in lambdas) == ["14", "14", "8"]
    assert heapspy("top", "run").err == ""


def test_split_debug_info_is_said_once(heapspy, callbacks):
    callbacks("-g", "-gsplit-dwarf")
    done = heapspy("top", "run")
    assert done.err == ("heapspy: debug info of callbacks is in .dwo files, which are not read: "
                        "rows have no inlined functions\n")
    assert {name: where["line"] for name, where in top_rows(heapspy).items()} == {
        "main::{lambda(int)#1}": 14, "main::{lambda(int)#2}": 14, "Task": 5,
        "start(int)::{lambda()#1}": 8}
    assert heapspy("top", "run", "-q").err == ""


INSTANCES = """\
#include <cstdlib>
namespace acme { template <class T, int N> struct Queue {
	static __attribute__((noinline)) void take_next_batch_of_messages(void *volatile *p) { *p = std::malloc(N); }
}; }
int main()
{
	void *volatile p[4];
	acme::Queue<double, 5>::take_next_batch_of_messages(p);
	acme::Queue<double, 57>::take_next_batch_of_messages(p + 1);
	acme::Queue<double, 570>::take_next_batch_of_messages(p + 2);
}
"""


def test_rows_that_look_alike_are_told_apart(heapspy, tmp_path):
    behind = build(tmp_path, "instances", INSTANCES, "-g", "-O1")
    assert len(behind) == 3
    write_stacks(tmp_path, "instances", [[address] for _, address in behind])
    for command in ("top", "diff"):
        out = heapspy(command, "run", "--by", "function", "-q", "-n", "0").out
        names = re.findall(r"acme::Queue<[^ ]*", out)
        assert names and len(set(names)) == len(names), out
        assert set(names) <= {f"acme::Queue<\u2026,{n}>::take_next_batch_of_messages"
                              for n in (5, 57, 570)}
    assert re.search(r" acme::Queue<double, 57>::take_next_batch_of_messages\(void\*",
                     heapspy("top", "run", "--full-names").out)
    # However narrow the column is, what differs stays.
    for columns in range(92, 132, 4):
        out = heapspy.on_terminal(columns, "top", "run", "-q", TERM="dumb").out
        assert len(re.findall(r"<\u2026,(?:5|57|570)>", out)) == 3, out
        assert all(len(line) <= columns for line in out.splitlines()[3:]), out
    # By site, rows of one function stay as they are.
    write_stacks(tmp_path, "instances", [[behind[0][1]], [behind[0][1], behind[1][1]]])
    assert "\u2026" not in heapspy("top", "run", "--by", "site", "--stacks", "0").out


def test_hint_means_one_of_rows_that_look_alike(heapspy, tmp_path):
    behind = build(tmp_path, "instances", INSTANCES, "-g", "-O1")
    write_stacks(tmp_path, "instances", [[address] for _, address in behind])
    out = heapspy("diff", "run").out
    (hint,) = re.findall(r"^Stacks of one site: heapspy (.*)$", out, re.M)
    words = shlex.split(hint)
    assert words[-2] == "--focus" and words[-1].startswith("^acme::Queue<double, 57>")
    found = json.loads(heapspy(*words, "--json").out)["rows"]
    assert len(found) == 1 and found[0]["where"]["function"].startswith("acme::Queue<double, 57>::")
    assert len(json.loads(heapspy(*words[:-2], "--json").out)["rows"]) > 1
