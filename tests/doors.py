"""Which functions of each allocator heapspy sees.

    HEAPSPY_BUILD=build /usr/bin/python3 tests/doors.py      prints the table of docs/allocators.md

preload/test_allocators.py asserts what is printed here.
"""
import pathlib
import shutil
import subprocess
import tempfile

import hspy

SOURCES = hspy.ROOT / "tests" / "preload"
OBJECT = hspy.LIBRARY.parent / "libheapspy-jemalloc.so"
# By the name that -l takes; the C library's own is there anyway.
ALLOCATORS = ["glibc", "jemalloc", "tcmalloc", "tcmalloc_minimal", "mimalloc"]
OTHERS = ALLOCATORS[1:]
ARCHIVES = ["jemalloc", "tcmalloc", "tcmalloc_minimal"]
# Sites are told apart by their functions, so equal functions must not become one.
FLAGS = ["-O2", "-g", "-D_GNU_SOURCE", "-fno-builtin", "-fno-ipa-icf", "-fno-optimize-sibling-calls",
         f"-I{hspy.ROOT}/include", f"-I{hspy.ROOT}", "-pthread"]

# What none of our objects sees: functions of one allocator beside the C library's.
UNSEEN_PREFIXES = ("tc_", "mi_")
UNSEEN = {"reallocf", "vfree"}
JEMALLOC = {"mallocx", "rallocx", "xallocx", "dallocx", "sdallocx"}
# libc allocates on the way to these blocks, too.
LIBC_MAKES_MORE = {"asprintf", "getline"}


def compile_object(source, directory):
    """The object file of one victim."""
    words = ["g++", "-std=gnu++17", "-fsized-deallocation"] if source.endswith(".cc") else ["gcc"]
    made = directory / (source + ".o")
    subprocess.run([*words, *FLAGS, "-w", "-c", SOURCES / source, "-o", made], check=True)
    return made


def link(made, program, *words, cxx=False):
    """A program of an object file; words: what else the linker is told. A library counts though nothing uses it."""
    subprocess.run(["g++" if cxx else "gcc", made, "-o", program, "-pthread", "-Wl,--no-as-needed", *words],
                   check=True)
    return program


def soname(allocator):
    """The file that a program linked with -l would load."""
    path = subprocess.run(["gcc", f"-print-file-name=lib{allocator}.so"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()
    assert "/" in path, f"lib{allocator}.so is not installed"
    return pathlib.Path(path).resolve()


def preload(allocator, with_object=None):
    """LD_PRELOAD for an allocator that is put behind heapspy."""
    with_object = allocator == "jemalloc" if with_object is None else with_object
    return [hspy.LIBRARY] + [OBJECT] * with_object + ([soname(allocator)] if allocator != "glibc" else [])


def is_seen(door, with_object):
    if door in JEMALLOC:
        return with_object
    return not door.startswith(UNSEEN_PREFIXES) and door not in UNSEEN


def measure(program, directory, preloaded):
    """What heapspy saw of a run of prog_doors or prog_doors_cxx.

    {door: (made blocks, made bytes, seen blocks, seen bytes, live blocks, live bytes)} and
    {door: (blocks given back, of these seen)}.
    """
    run = hspy.run([program], directory, preload=preloaded, sample=1)
    found = hspy.sites(f"{directory}@mark:end")
    made, taken = {}, {}
    for door, (blocks, size) in run.truth["made"].items():
        live_bytes, live, seen_bytes, seen = found.get("make_" + door, (0, 0, 0, 0))
        made[door] = (blocks, size, seen, seen_bytes, live, live_bytes)
    for door, blocks in run.truth["taken"].items():
        live_bytes, live, seen_bytes, seen = found["give_" + door]
        assert seen == blocks, f"{door}: {seen} of {blocks} blocks seen before they were given back"
        taken[door] = (blocks, blocks - live)
    return made, taken


def table(measured):
    """Markdown: a row for each function, a column for each allocator; "40/40" is seen/made."""
    lines = []
    for part, title in ((0, "gives"), (1, "takes back")):
        lines += [f"| {title} | " + " | ".join(measured) + " |", "|---" * (len(measured) + 1) + "|"]
        doors = dict.fromkeys(door for results in measured.values() for door in results[part])
        for door in doors:
            cells = []
            for results in measured.values():
                figures = results[part].get(door)
                if not figures:
                    cells.append("-")
                elif part == 0:
                    cells.append(f"{min(figures[2], figures[4])}/{figures[0]}")
                else:
                    cells.append(f"{figures[1]}/{figures[0]}")
            lines.append(f"| {door} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="heapspy-doors."))
    try:
        for source in ("prog_doors.c", "prog_doors_cxx.cc"):
            program = link(compile_object(source, directory), directory / "program", cxx=source.endswith(".cc"))
            columns = {name: preload(name) for name in ALLOCATORS}
            if source == "prog_doors.c":
                columns["jemalloc without libheapspy-jemalloc.so"] = preload("jemalloc", False)
            print(table({name: measure(program, directory / f"{source}.{name}", words)
                         for name, words in columns.items()}))
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
