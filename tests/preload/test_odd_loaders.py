"""Programs that inherit LD_PRELOAD and are not ours to profile: each runs as if it were not set."""
import pathlib
import re
import shutil
import subprocess
import time

import hspy
import pytest

PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char *text = malloc(1000);

	if (argc > 1)
		read(0, text, 1);
	strcpy(text, "hello");
	text = realloc(text, 5000);
	puts(text);
	fputs("and an error\\n", stderr);
	free(text);
	return 5;
}
"""
CXX_PROGRAM = """
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
int main()
{
	std::vector<std::string *> all;

	for (int i = 0; i < 1000; i++)
		all.push_back(new std::string(100, 'a'));
	for (auto *one : all)
		delete one;
	std::thread([] { delete[] new int[100]; }).join();
	try {
		throw std::runtime_error("thrown");
	} catch (std::exception &e) {
		std::puts(e.what());
	}
	return 6;
}
"""
AUDIT = """
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
unsigned la_version(unsigned version) { return LAV_CURRENT; }
unsigned la_objopen(struct link_map *map, Lmid_t id, uintptr_t *cookie)
{
	return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}
uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned n, uintptr_t *from, uintptr_t *to, unsigned *flags,
	const char *name)
{
	return symbol->st_value;
}
"""
# ld.so's own word about a 64-bit library in a 32-bit program; nothing of ours runs there.
OTHER_CLASS = re.compile(rb"ERROR: ld\.so: object '[^']*' from LD_PRELOAD cannot be preloaded "
                         rb"\(wrong ELF class: ELFCLASS64\): ignored\.\n")


def compiled(directory, *words, source=PROGRAM, suffix=".c"):
    """A program made by that compiler; skips where it is not there, or cannot make such."""
    if not shutil.which(words[0]):
        pytest.skip(f"no {words[0]} here")
    text, program = directory / f"program{suffix}", directory / "program"
    text.write_text(source, encoding="ascii")
    done = subprocess.run([*words, "-g", text, "-o", program], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(words)}: {done.stderr.strip().splitlines()[-1]}")
    return program


def outcome(argv, preload, directory, **variables):
    env = dict(hspy.environment(directory, preload, sample=1, interval="20ms"), **variables)
    done = subprocess.run([str(word) for word in argv], env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def expect_the_same(argv, directory, preload=(hspy.LIBRARY,), behind=(), **variables):
    """behind: what is preloaded besides, and without heapspy too. Returns the snapshots."""
    bare = outcome(argv, behind, directory, **variables)
    loaded = outcome(argv, preload, directory, **variables)
    assert loaded == bare
    assert bare[0] in (0, 5, 6), bare
    return list(directory.rglob("*.hspy"))


def doctor(program, directory, *words, **variables):
    """What doctor says of a process that has the library and waits."""
    env = dict(hspy.environment(directory), **variables)
    with subprocess.Popen([*words, program, "wait"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as child:
        try:
            wait_for_read(child.pid)
            return hspy.command("doctor", child.pid).stdout
        finally:
            child.stdin.close()
            child.wait(30)


def wait_for_read(pid):
    """Until the process waits in read(), by either number: all that heapspy does at a start is done."""
    for _ in range(600):
        if pathlib.Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").startswith(("0 0x0 ", "3 0x0 ")):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} does not come to its read()")


@pytest.mark.parametrize("options", [[], ["-static"]], ids=["dynamic", "static"])
def test_musl_child(options, tmp_path):
    """Every name that the library must find is one that musl has; then it sees where it is."""
    program = compiled(tmp_path, "musl-gcc", *options)
    both = (hspy.LIBRARY, hspy.BUILD / "preload" / "libheapspy-jemalloc.so")
    assert expect_the_same([program], tmp_path / "run") == []
    assert expect_the_same([program], tmp_path / "run", both) == []
    bare, loaded = (outcome(["sh", "-c", '"$0"; exit $?', program], preload, tmp_path / "run")
                    for preload in ((), (hspy.LIBRARY,)))
    assert loaded == bare
    if not options:
        run = hspy.run([program], tmp_path / "run", expect=5, verbose=1)
        assert "passing through: the C library is not glibc" in run.stderr
        said = doctor(program, tmp_path / "run")
        assert "is linked with musl" in said and "passing through: the C library is not glibc" in said
    said = hspy.command("run", "--", program)
    assert said.returncode == 125 and not said.stdout
    assert ("musl" in said.stderr) != bool(options)


def test_musl_threads_and_ends(tmp_path):
    """The hooks besides allocation, in a libc that has some of them only."""
    source = PROGRAM.replace("#include <string.h>", "#include <string.h>\n#include <pthread.h>\n#include <dlfcn.h>\n"
                             "#include <sys/prctl.h>\nstatic void *work(void *a) { free(malloc(9)); return a; }")
    source = source.replace("return 5;", """pthread_t t;
	pthread_create(&t, NULL, work, NULL);
	pthread_setname_np(t, "worker");
	pthread_join(t, NULL);
	prctl(PR_SET_NAME, "renamed", 0, 0, 0);
	printf("%d\\n", !dlopen("/no/such/library.so", RTLD_NOW));
	if (!fork())
		_exit(3);
	quick_exit(5);""")
    program = compiled(tmp_path, "musl-gcc", source=source)
    assert expect_the_same([program], tmp_path / "run") == []


@pytest.mark.parametrize("how", ["preload", "shell", "run"])
def test_32_bit_child(how, tmp_path):
    """ld.so has one line to say, on stderr; all else is as ever."""
    program = compiled(tmp_path, "gcc", "-m32")
    bare = outcome([program], (), tmp_path / "run")
    words = {"preload": [program], "shell": ["sh", "-c", '"$0"; exit $?', program],
             "run": [hspy.COMMAND, "run", "-q", "--dir", tmp_path / "run", "--", "sh", "-c", '"$0"; exit $?', program]}
    code, stdout, stderr = outcome(words[how], () if how == "run" else (hspy.LIBRARY,), tmp_path / "run")
    assert (code, stdout, OTHER_CLASS.sub(b"", stderr)) == bare
    assert len(OTHER_CLASS.findall(stderr)) == 1
    said = hspy.command("run", "--", program)
    assert said.returncode == 125 and "is a 32-bit program" in said.stderr
    said = doctor(program, tmp_path / "run")
    assert "is a 32-bit program" in said and "raised rights" not in said


def test_lib_token_names_the_right_library_for_each(tmp_path):
    """$LIB: where a 32-bit directory has an object of that name, ld.so is silent."""
    program = compiled(tmp_path, "gcc", "-m32")
    stub = tmp_path / "stub.so"
    subprocess.run(["gcc", "-m32", "-shared", "-nostdlib", "-x", "c", "/dev/null", "-o", stub], check=True)
    # The one of package libc6-i386, the one of a 32-bit system beside this one.
    for name in ("lib32", "lib/i386-linux-gnu", "lib/x86_64-linux-gnu"):
        (tmp_path / name).mkdir(parents=True)
        if name != "lib/x86_64-linux-gnu":
            shutil.copy(stub, tmp_path / name / "libheapspy.so")
    (tmp_path / "lib/x86_64-linux-gnu/libheapspy.so").symlink_to(hspy.LIBRARY)
    preload = (f"{tmp_path}/$LIB/libheapspy.so",)
    assert expect_the_same([program], tmp_path / "run", preload) == []
    hspy.run([hspy.victim("prog_basic")], tmp_path / "run", expect=7, preload=preload)
    assert len(hspy.snapshots(tmp_path / "run")) == 1


@pytest.mark.parametrize("options", [["-static"], ["-static-pie"]], ids=lambda options: options[0])
def test_static_child(options, tmp_path):
    assert expect_the_same([compiled(tmp_path, "gcc", *options)], tmp_path / "run") == []


@pytest.mark.parametrize("options", [["-Wl,-Bsymbolic"], ["-fno-plt"], ["-no-pie"], ["-Wl,-z,now"], ["-Wl,-z,lazy"]],
                         ids=lambda options: options[0])
def test_ways_to_be_linked(options, tmp_path):
    assert len(expect_the_same([compiled(tmp_path, "gcc", *options)], tmp_path / "run")) == 1


@pytest.mark.parametrize("variable", ["LD_BIND_NOW=1", "MALLOC_CHECK_=3", "MALLOC_PERTURB_=85", "MALLOC_ARENA_MAX=1",
                                      "GLIBC_TUNABLES=glibc.malloc.tcache_count=0",
                                      "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"])
def test_variables_of_the_c_library(variable, tmp_path):
    name, _, value = variable.partition("=")
    assert expect_the_same([compiled(tmp_path, "gcc")], tmp_path / "run", **{name: value})


def test_auditing_library(tmp_path):
    """Where a preloaded jemalloc fails for want of room in static TLS."""
    (tmp_path / "audit").mkdir()
    audit = compiled(tmp_path / "audit", "gcc", "-shared", "-fPIC", source=AUDIT)
    assert expect_the_same([compiled(tmp_path, "gcc")], tmp_path / "run", LD_AUDIT=str(audit))


def library(pattern):
    """A library of the machine's, by a pattern below /usr/lib."""
    found = sorted(pathlib.Path("/usr/lib").glob(pattern))
    return found[0] if found else None


@pytest.mark.parametrize("where", ["behind", "before"])
@pytest.mark.parametrize("pattern, mallocs", [
    ("libefence.so.0*", True), ("*/libc_malloc_debug.so.0", True), ("*/libeatmydata.so", False),
    ("*/libfakeroot/libfakeroot-sysv.so", False)], ids=lambda value: str(value).rsplit("/", 1)[-1])
def test_other_preloads(pattern, mallocs, where, tmp_path):
    """One that brings a malloc and comes first is said to; one behind is passed on to."""
    other = library(pattern)
    if not other:
        pytest.skip("not installed")
    order = (hspy.LIBRARY, other) if where == "behind" else (other, hspy.LIBRARY)
    variables = {"EF_DISABLE_BANNER": "1", "EF_ALLOW_MALLOC_0": "1", "MALLOC_CHECK_": "3"}
    for argv in ([compiled(tmp_path, "gcc")], ["ls", "/"]):
        expect_the_same(argv, tmp_path / "run", order, (other,), **variables)
    if where == "before" and mallocs:
        for path in (tmp_path / "run").rglob("*.hspy"):
            assert other.name.split(".")[0] in hspy.info(path)["front_malloc"]


TOOLS = {"memcheck": [], "massif": ["--massif-out-file=/dev/null"], "dhat": ["--dhat-out-file=/dev/null"],
         "helgrind": [], "drd": []}


@pytest.mark.parametrize("tool", [pytest.param(tool, marks=[pytest.mark.slow] if tool != "memcheck" else [])
                                  for tool in TOOLS])
def test_valgrind_tool_that_replaces_malloc(tool, tmp_path):
    """It takes the program's calls before we could: nothing is said to be profiled."""
    program, words = compiled(tmp_path, "gcc"), ["valgrind", "-q", f"--tool={tool}", *TOOLS[tool]]
    assert expect_the_same([*words, program], tmp_path / "run") == []
    if tool == "memcheck":
        run = hspy.run([*words, program], tmp_path / "run", expect=5, verbose=1)
        assert "passing through: valgrind replaces malloc" in run.stderr
        assert "passing through: valgrind's memcheck" in doctor(program, tmp_path / "run", *words)


def test_valgrind_tool_that_does_not(tmp_path):
    program = compiled(tmp_path, "gcc")
    run = hspy.run(["valgrind", "-q", "--tool=none", program], tmp_path / "run", expect=5, sample=1)
    assert run.stdout == "hello\n" and hspy.info(run.last)["samples"] >= 2


SANITIZERS = [("gcc", name) for name in ("address", "thread", "leak", "undefined")] + \
    [("clang", name) for name in ("address", "thread", "memory", "leak", "undefined")]


@pytest.mark.parametrize("compiler, sanitizer", SANITIZERS)
def test_sanitized_child(compiler, sanitizer, tmp_path):
    """AddressSanitizer's runtime, where it is a library, has to be told that it need not come first."""
    programs = [compiled(tmp_path, compiler, f"-fsanitize={sanitizer}")]
    if sanitizer == "address":
        (tmp_path / "cxx").mkdir()
        programs.append(compiled(tmp_path / "cxx", compiler.replace("gcc", "g++").replace("clang", "clang++"),
                                 "-fsanitize=address", source=CXX_PROGRAM, suffix=".cc"))
    for program in programs:
        found = expect_the_same([program], tmp_path / "run")
        # The others have no malloc of their own, or one inside the program, which is told.
        assert not found or sanitizer in ("leak", "undefined")
    assert hspy.command("run", "-q", "--dir", tmp_path / "run", "--", programs[0]).returncode == (
        5 if sanitizer == "undefined" else 125)


def test_address_sanitizer_finds_what_it_finds(tmp_path):
    """The library in front of the runtime hides no error, and makes up none."""
    broken = PROGRAM.replace("return 5;", "return text[argc] ? 5 : 6;")
    program = compiled(tmp_path, "gcc", "-fsanitize=address", source=broken)
    bare, loaded = (outcome([program], preload, tmp_path / "run") for preload in ((), (hspy.LIBRARY,)))
    assert bare[0] == loaded[0] == 1
    kinds = [re.findall(rb"ERROR: AddressSanitizer: ([\w-]+)|(SUMMARY: .*)", stderr)
             for _, _, stderr in (bare, loaded)]
    assert kinds[0] == kinds[1] and kinds[0][0][0] == b"heap-use-after-free"


def test_library_bound_past_us_is_told(tmp_path):
    """RTLD_DEEPBIND: what it frees looks live, so figures come with a warning."""
    run = hspy.run([hspy.victim("prog_namespace"), hspy.victim("lib_frame_a.so"), hspy.victim("lib_frame_b.so")],
                   tmp_path, sample=1, verbose=1)
    assert "lib_frame_b.so is loaded with RTLD_DEEPBIND" in run.stderr
    assert "lib_frame_a.so is loaded" not in run.stderr
    assert "not seen" in hspy.command("top", run.last).stderr
