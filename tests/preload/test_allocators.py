"""jemalloc, tcmalloc and mimalloc behind heapspy, linked to the program, and inside it."""
import os
import re
import subprocess

import doors
import hspy
import pytest
from doors import ALLOCATORS, ARCHIVES, OTHERS

CONFIGURATIONS = {
    "jemalloc": [{"MALLOC_CONF": "background_thread:true,dirty_decay_ms:0"}, {"MALLOC_CONF": "zero_realloc:free"},
                 {"MALLOC_CONF": "zero_realloc:alloc,junk:true"},
                 {"MALLOC_CONF": "prof:true,prof_active:true,lg_prof_sample:12"}],
    "tcmalloc": [{"HEAPPROFILE": "profile"}, {"TCMALLOC_SAMPLE_PARAMETER": "4096"}],
    # Compares how a block came with how it goes, and uses operator new itself.
    "tcmalloc_minimal_debug": [{}],
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Gives programs by source and linker words: compiled once, linked once."""
    directory = tmp_path_factory.mktemp("programs")
    made = {}

    def build(source, *words, name=None):
        if source not in made:
            made[source] = doors.compile_object(source, directory)
        key = (source, *words)
        if key not in made:
            program = directory / (name or f"{source.split('.')[0]}.{len(made)}")
            made[key] = doors.link(made[source], program, *words, cxx=source.endswith(".cc") or len(words) > 1)
        return made[key]

    return build


def archive_words(name):
    return [f"-l:lib{name}.a", "-lm", "-ldl"] + (["-lunwind"] if name == "tcmalloc" else [])


def own_rows(moment, program):
    """Live rows at functions of the program itself. Where threads are made libc keeps memory for them."""
    rows = hspy.top(moment, "-n0")["rows"]
    return [row for row in rows if row["where"].get("module", "").endswith("/" + program.name)
            and row["where"].get("function") not in ("main", None)]


# What is seen, by any way to the allocator.

@pytest.mark.parametrize("way", ["preloaded", "linked"])
@pytest.mark.parametrize("source", ["prog_doors.c", "prog_doors_cxx.cc"])
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_each_block_is_seen_when_it_comes_and_when_it_goes(allocator, source, way, built, tmp_path):
    words = [f"-l{allocator}"] if way == "linked" and allocator in OTHERS else []
    with_object = allocator == "jemalloc"
    preloaded = doors.preload(allocator, with_object)
    if way == "linked":
        preloaded = preloaded[:1 + with_object]
    made, taken = doors.measure(built(source, *words), tmp_path / "out", preloaded)
    print(doors.table({allocator: (made, taken)}))
    for door, (blocks, size, seen, seen_bytes, live, live_bytes) in made.items():
        assert (live, live_bytes) == ((blocks, size) if doors.is_seen(door, with_object) else (0, 0)), door
        if door not in doors.LIBC_MAKES_MORE:
            assert (seen, seen_bytes) == (live, live_bytes), door
    for door, (blocks, seen) in taken.items():
        assert seen == (blocks if doors.is_seen(door, with_object) else 0), door
    next_malloc = hspy.info(f"{tmp_path}/out@mark:end")["next_malloc"]
    assert next_malloc.endswith("/libc.so.6") if allocator == "glibc" else f"/lib{allocator}.so" in next_malloc


def test_all_doors_were_there(built, tmp_path):
    """Otherwise the test above proves less than it says."""
    found = {}
    for allocator in ALLOCATORS:
        run = hspy.run([built("prog_doors.c")], tmp_path / allocator, preload=doors.preload(allocator))
        found[allocator] = run.truth["made"].keys() | run.truth["taken"].keys()
    standard = {"malloc", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc", "posix_memalign",
                "valloc", "pvalloc", "free", "cfree", "free_sized", "free_aligned_sized"}
    assert all(names >= standard for names in found.values())
    assert found["jemalloc"] >= doors.JEMALLOC
    assert "tc_free" in found["tcmalloc"] & found["tcmalloc_minimal"] and "mi_free" in found["mimalloc"]


@pytest.mark.parametrize("source,rounds", [("prog_clean.c", 2000), ("prog_clean_cxx.cc", 40)])
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_program_that_gives_all_back_ends_without_live_samples(allocator, source, rounds, built, tmp_path):
    program = built(source)
    hspy.run([program, rounds], tmp_path / "out", preload=doors.preload(allocator), sample=1,
             state_max="256MiB")
    assert hspy.info(f"{tmp_path}/out@mark:end")["samples"] > 2 * rounds
    assert not own_rows(f"{tmp_path}/out@mark:end", program)


@pytest.mark.parametrize("allocator,environment",
                         [(name, words) for name, all_words in CONFIGURATIONS.items() for words in all_words])
def test_allocator_that_profiles_or_checks_or_has_threads(allocator, environment, built, tmp_path, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for source, rounds in (("prog_clean.c", 1000), ("prog_clean_cxx.cc", 10)):
        program = built(source)
        hspy.run([program, rounds], tmp_path / source, preload=doors.preload(allocator), sample=1, cwd=tmp_path)
        assert not own_rows(f"{tmp_path}/{source}@mark:end", program)


@pytest.mark.parametrize("victim,arguments", [("prog_exact", [2, 8000]), ("prog_exact_cxx", [1, 8000]),
                                              ("prog_handover", [20000])])
@pytest.mark.parametrize("allocator", OTHERS)
def test_figures_are_exact(allocator, victim, arguments, tmp_path):
    run = hspy.run([hspy.victim(victim), *arguments], tmp_path, preload=doors.preload(allocator), sample=1,
                   state_max="256MiB")
    found = hspy.sites(f"{tmp_path}@mark:end")
    for name, site in run.truth.items():
        assert found.get(name, (0, 0, 0, 0)) == (site["live_bytes"], site["live"], site["bytes"], site["n"]), name


@pytest.mark.parametrize("victim", ["prog_leak", "prog_leak_cxx"])
@pytest.mark.parametrize("allocator", OTHERS)
def test_estimates_hold_the_truth(allocator, victim, tmp_path):
    """As in test_leak.py: a 95 % range that misses is believed when two more do."""
    misses = []
    for attempt in range(3):
        out = tmp_path / str(attempt)
        run = hspy.run([hspy.victim(victim), 0], out, preload=doors.preload(allocator), sample="64KiB",
                       cpu_max="off")
        row = hspy.diff(f"{out}@mark:begin", f"{out}@mark:end")["rows"][0]
        assert row["where"]["function"].split("(")[0] == run.truth["function"]
        (low, high), truth = row["ci"], run.truth["growth"]
        assert low - 2 * (high - low) < truth < high + 2 * (high - low), (truth, row)
        if low <= truth <= high:
            return
        misses.append((truth, low, high))
    raise AssertionError(f"the range missed the truth three times: {misses}")


# What the program notices.

@pytest.mark.parametrize("sample", ["1", "512KiB"])
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_odd_calls_end_as_without_a_profiler(allocator, sample, built, tmp_path):
    program, words = built("prog_edges.c"), doors.preload(allocator)
    plain = hspy.run([program], tmp_path, preload=words[1:])
    loaded = hspy.run([program], tmp_path / "out", preload=words, sample=sample)
    assert loaded.stdout == plain.stdout and len(plain.stdout.splitlines()) > 400


# mimalloc is a C library here, and ends the program where a bad_alloc should be thrown.
@pytest.mark.parametrize("allocator", ["jemalloc", "tcmalloc", "tcmalloc_minimal"])
def test_bad_allocs_and_plugins(allocator, tmp_path):
    words = doors.preload(allocator)
    run = hspy.run([hspy.victim("prog_throw")], tmp_path / "throw", preload=words, sample=1)
    assert hspy.live_bytes(f"{tmp_path}/throw@mark:end", "keep_after") == run.truth["keep_after"]
    for sample in ("512KiB", "1"):
        run = hspy.run([hspy.victim("prog_plugin"), hspy.victim("lib_plugin.so"), 5], tmp_path / sample,
                       preload=words, sample=sample)
    rows = hspy.top(f"{tmp_path}/1@mark:end", "-n0")["rows"]
    assert sum(row["bytes"] for row in rows
               if (row["where"].get("function") or "").startswith("plugin_keep")) == run.truth["plugin_keep"]


@pytest.mark.parametrize("victim", ["prog_own_new", "prog_pool"])
@pytest.mark.parametrize("allocator", OTHERS)
def test_operators_of_the_program_stay_its_own(allocator, victim, tmp_path):
    words = doors.preload(allocator)
    plain = hspy.run([hspy.victim(victim)], tmp_path, preload=words[1:])
    assert hspy.run([hspy.victim(victim)], tmp_path / "out", preload=words, sample=1).stdout == plain.stdout


@pytest.mark.parametrize("allocator", OTHERS)
def test_child_of_a_thread_has_its_own_figures(allocator, tmp_path):
    readable, writable = os.pipe()
    try:
        run = hspy.run([hspy.victim("prog_fork"), "thread_fork", writable], tmp_path, pass_fds=[writable],
                       preload=doors.preload(allocator), sample=1)
    finally:
        os.close(writable)
    with os.fdopen(readable) as last_words:
        last = int(last_words.read())
    figures = {}
    for directory in [run.dir, *run.children()]:
        moment = hspy.snapshots(directory)[-1]
        figures[hspy.info(moment)["pid"]] = {name: figure[:2] for name, figure in hspy.sites(moment).items()
                                             if name.startswith("keep_")}
    assert figures[run.truth["pid"]] == {"keep_before": (50000, 50), "keep_here": (100000, 100)}
    assert figures[last] == {"keep_here": (100000, 100)}


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_forks_while_another_thread_allocates(allocator, tmp_path, built):
    hspy.run([built("prog_fork_storm.c"), 60], tmp_path, preload=doors.preload(allocator), sample="1KiB",
             children="none")
    hspy.run([built("prog_fork_storm.c"), 20], tmp_path / "all", preload=doors.preload(allocator), sample="1KiB")


# jemalloc's own functions.

@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_figures_of_jemallocs_functions_are_exact(allocator, threads, built, tmp_path):
    """Without jemalloc the object makes them of malloc and free, which are counted once."""
    run = hspy.run([built("prog_jemalloc_api.c"), "exact", threads, 8000], tmp_path, sample=1,
                   preload=doors.preload(allocator, True), state_max="256MiB")
    found = {}
    for row in hspy.top(f"{tmp_path}@mark:end", "-n0")["rows"]:
        for stack in row["stacks"]:
            # Flags make the object stay on the stack where it does jemalloc's work.
            name = next((frame["function"] for frame in stack["frames"] if frame.get("function") in run.truth),
                        None)
            found[name] = found.get(name, 0) + stack["bytes"]
    for name, site in run.truth.items():
        assert found.get(name, 0) == site["live_bytes"], name


def test_totals_of_jemallocs_functions_are_exact(built, tmp_path):
    run = hspy.run([built("prog_jemalloc_api.c"), "exact", 2, 8000], tmp_path, sample=1,
                   preload=doors.preload("jemalloc"), state_max="256MiB")
    found = hspy.sites(f"{tmp_path}@mark:end")
    assert run.truth["by_xallocx"]["n"] > 100
    for name, site in run.truth.items():
        assert found[name] == (site["live_bytes"], site["live"], site["bytes"], site["n"]), name


def test_estimates_of_jemallocs_functions_hold_the_truth(built, tmp_path):
    """Blocks that were resized in place count as what they are now."""
    misses = []
    for attempt in range(3):
        run = hspy.run([built("prog_jemalloc_api.c"), "exact", 4, 20000], tmp_path / str(attempt), sample="4KiB",
                       preload=doors.preload("jemalloc"), cpu_max="off")
        rows = hspy.by_function(hspy.top(f"{tmp_path}/{attempt}@mark:end", "-n0"))
        truth = run.truth["by_xallocx"]["live_bytes"]
        low, high = rows["by_xallocx"]["ci"]
        assert low - 2 * (high - low) < truth < high + 2 * (high - low), (truth, low, high)
        if low <= truth <= high:
            return
        misses.append((truth, low, high))
    raise AssertionError(f"the range missed the truth three times: {misses}")


@pytest.mark.parametrize("words", [[hspy.LIBRARY, doors.OBJECT], [doors.OBJECT]])
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_what_jemalloc_promises_is_kept(allocator, words, built, tmp_path):
    hspy.run([built("prog_jemalloc_api.c"), "promises"], tmp_path, sample="4KiB",
             preload=words + doors.preload(allocator, False)[1:])


def test_programs_find_jemalloc_where_it_is_and_only_there(built, tmp_path):
    program = built("prog_jemalloc_api.c")

    def detect(*words):
        return hspy.run([program, "detect"], tmp_path, preload=words).truth

    jemalloc = doors.soname("jemalloc")
    everything = dict.fromkeys(("mallocx", "rallocx", "xallocx", "sallocx", "dallocx", "sdallocx", "nallocx",
                                "mallctl", "counts"), 1)
    assert detect(jemalloc) == everything
    assert detect(hspy.LIBRARY, jemalloc) == everything
    assert detect(hspy.LIBRARY, doors.OBJECT, jemalloc) == everything
    assert not any(detect(hspy.LIBRARY).values())
    # Inherited by a program without jemalloc: the five are there, what tells jemalloc apart is not.
    alone = detect(hspy.LIBRARY, doors.OBJECT)
    assert not any(alone[name] for name in ("sallocx", "nallocx", "mallctl", "counts")) and alone["mallocx"]


def test_functions_that_are_not_seen_are_told(built, tmp_path):
    program, jemalloc = built("prog_jemalloc_api.c"), doors.soname("jemalloc")
    run = hspy.run([program, "exact", 1, 100], tmp_path / "unseen", preload=[hspy.LIBRARY, jemalloc], verbose=1)
    assert re.search(rf"{program} calls \w+, which is not seen: libheapspy-jemalloc.so is not preloaded\n",
                     run.stderr)
    assert "are not seen" in hspy.command("top", run.last).stderr
    for number, (argv, words) in enumerate([
            ([program, "exact", 1, 100], doors.preload("jemalloc")), ([program, "detect"], [hspy.LIBRARY]),
            ([hspy.victim("prog_throw")], doors.preload("jemalloc", False))]):
        run = hspy.run(argv, tmp_path / str(number), preload=words, verbose=1, sample=1)
        assert "not seen" not in run.stderr and "not seen" not in hspy.command("top", run.last).stderr


def test_functions_of_mimalloc_are_told(tmp_path):
    source = tmp_path / "direct.c"
    source.write_text("#include <stdlib.h>\nvoid mi_free(void *);\nint main(void) { mi_free(malloc(9)); }\n")
    program = tmp_path / "direct"
    subprocess.run(["gcc", "-fno-builtin", source, "-o", program, "-lmimalloc"], check=True)
    run = hspy.run([program], tmp_path / "out", verbose=1, sample=1)
    assert "direct calls mi_free, which is not seen\n" in run.stderr
    assert "are not seen" in hspy.command("top", run.last).stderr


# Another malloc in front.

@pytest.mark.parametrize("source", ["prog_doors.c", "prog_doors_cxx.cc"])
@pytest.mark.parametrize("archive", ARCHIVES)
def test_allocator_inside_the_program_is_told(archive, source, built, tmp_path):
    """prog_doors also calls what the archive lacks: those must come from, and go to, one heap."""
    program = built(source, *archive_words(archive), name=f"static_{archive}_{source.split('.')[0]}")
    run = hspy.run([program], tmp_path, preload=[hspy.LIBRARY, doors.OBJECT], sample=1, verbose=1)
    assert f"not interposed: malloc of {program} " in run.stderr
    assert "not interposed" in hspy.refusal("top", run.last) and program.name in hspy.refusal("top", run.last)


def test_allocator_before_heapspy_is_told(built, tmp_path):
    for allocator in OTHERS:
        run = hspy.run([hspy.victim("prog_basic")], tmp_path / allocator, expect=7,
                       preload=[doors.soname(allocator), hspy.LIBRARY])
        assert f"lib{allocator}.so" in hspy.refusal("top", run.last)


def test_malloc_of_a_cxx_program_serves_its_new_too(tmp_path):
    """The program defines malloc and not operator new: new leads to that malloc, as ever."""
    source = tmp_path / "own.cc"
    source.write_text("""
#include <cstdio>
#include <cstdlib>
static char heap[1 << 20] __attribute__((aligned(16)));
static size_t used;
extern "C" void *malloc(size_t n) { used += (n + 31) / 16 * 16; return heap + used - (n + 31) / 16 * 16; }
extern "C" void free(void *) {}
extern "C" void *calloc(size_t n, size_t m) { return malloc(n * m); }
extern "C" void *realloc(void *, size_t n) { return malloc(n); }
int main()
{
	char *p = static_cast<char *>(operator new(100));

	printf("%d\\n", p >= heap && p < heap + sizeof(heap));
	operator delete(p);
}
""")
    program = tmp_path / "own"
    subprocess.run(["g++", "-fno-builtin", "-w", source, "-o", program], check=True)
    assert hspy.run([program], tmp_path, preload=()).stdout == "1\n"
    run = hspy.run([program], tmp_path / "out", sample=1)
    assert run.stdout == "1\n" and "not interposed" in hspy.refusal("top", run.last)


# The same allocator twice, and heaps beside each other.

def test_jemalloc_linked_and_preloaded_twice(built, tmp_path):
    program, jemalloc = built("prog_doors.c", "-ljemalloc"), doors.soname("jemalloc")
    copy = tmp_path / jemalloc.name
    copy.write_bytes(jemalloc.read_bytes())
    for number, words in enumerate(([jemalloc, jemalloc], [copy, jemalloc], [jemalloc, copy])):
        made, taken = doors.measure(program, tmp_path / str(number), [hspy.LIBRARY, doors.OBJECT, *words])
        assert all(figures[0] == figures[4] for figures in made.values())
        assert all(blocks == seen for blocks, seen in taken.values())


def test_two_copies_of_our_object(built, tmp_path):
    """A build beside an installation. The one behind the other samples."""
    copy = tmp_path / doors.OBJECT.name
    copy.write_bytes(doors.OBJECT.read_bytes())
    made, taken = doors.measure(built("prog_doors.c"), tmp_path / "out",
                                [hspy.LIBRARY, doors.OBJECT, copy, doors.soname("jemalloc")])
    assert all(figures[0] == figures[2] == figures[4] for door, figures in made.items()
               if door not in doors.LIBC_MAKES_MORE)
    assert all(blocks == seen for blocks, seen in taken.values())


def test_library_that_binds_to_libc_itself(tmp_path):
    """RTLD_DEEPBIND: its malloc is not seen, its blocks go back through ours unknown, and nothing breaks."""
    (tmp_path / "deep.c").write_text(
        "#include <stdlib.h>\nvoid *deep_malloc(size_t n) { return malloc(n); }\n"
        "void deep_free(void *p) { free(p); }\n")
    (tmp_path / "host.c").write_text("""
#include <dlfcn.h>
#include "heapspy/heapspy.h"
#include "victim.h"
SITE static void *ours(void) { return keep(malloc(1000)); }
int main(int argc, char **argv)
{
	void *library = dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND);
	void *(*deep_malloc)(size_t) = (void *(*)(size_t))dlsym(library, "deep_malloc");
	void (*deep_free)(void *) = (void (*)(void *))dlsym(library, "deep_free");

	for (int i = 0; i < 1000; i++) {
		free(deep_malloc(100));
		deep_free(ours());
	}
	for (int i = 0; i < 10; i++)
		REQUIRE(ours());
	heapspy_snapshot("end");
	return 0;
}
""")
    subprocess.run(["gcc", "-shared", "-fPIC", "-fno-builtin", tmp_path / "deep.c", "-o", tmp_path / "deep.so"],
                   check=True)
    subprocess.run(["gcc", *doors.FLAGS, f"-I{doors.SOURCES}", tmp_path / "host.c", "-o", tmp_path / "host"],
                   check=True)
    run = hspy.run([tmp_path / "host", tmp_path / "deep.so"], tmp_path / "out", sample=1)
    assert not run.stderr
    # What went back through the library's free is noticed when its address is given out again.
    assert 10 <= hspy.sites(f"{tmp_path}/out@mark:end")["ours"][1] <= 12
    assert hspy.info(f"{tmp_path}/out@mark:end")["losses"]["replaced"] >= 900


def test_program_with_a_sanitizer_is_left_alone(tmp_path, monkeypatch):
    """The runtime ends programs in which it does not come first, unless it is told to let that pass."""
    source = tmp_path / "asan.c"
    source.write_text("#include <stdlib.h>\nint main(void) { free(malloc(9)); return 7; }\n")
    program, words = tmp_path / "asan", [hspy.LIBRARY, doors.OBJECT]
    subprocess.run(["gcc", "-fsanitize=address", source, "-o", program], check=True)
    for options, preloaded in (("", [doors.soname("asan"), *words]), ("verify_asan_link_order=0", words)):
        monkeypatch.setenv("ASAN_OPTIONS", options)
        run = hspy.run([program], tmp_path / "out", expect=7, verbose=1, preload=preloaded)
        assert "passing through: a sanitizer replaces malloc" in run.stderr
        assert not (tmp_path / "out").exists()
    subprocess.run(["gcc", "-fsanitize=address", "-static-libasan", source, "-o", program], check=True)
    run = hspy.run([program], tmp_path / "out", expect=7, verbose=1, preload=words)
    assert f"not interposed: malloc of {program} " in run.stderr
