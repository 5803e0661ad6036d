"""One hand-made program for each kind of frame, and its stacks in a real snapshot against what it knows of itself.

The programs are in rows/; rows.h says what they print. Each is built in the ways in which its kind of
frame comes about, by gcc and, where that makes other frames, by clang.
"""
import bisect
import json
import os
import random
import re
import shutil
import struct
import subprocess

import hspy
import pytest

ROWS = hspy.ROOT / "tests" / "preload" / "rows"
FLAGS = ["-g0", "-D_GNU_SOURCE", f"-I{hspy.ROOT / 'include'}", "-fno-builtin", "-Wall", "-Werror",
        "-Wno-array-bounds", "-pthread"]
LIBRARIES = {"libc.so.6": "libc", "ld-linux-x86-64.so.2": "ld", "libgcc_s.so.1": "libgcc",
             "libstdc++.so.6": "libstdc++", "libheapspy.so": "heapspy", "linux-vdso.so.1": "vdso"}
BELOW_MAIN = "(?:heapspy )?(?:libc )+_start "
# Builds of a plain C program that differ in their frames.
BUILDS = {"gcc-O0": ["gcc", "-O0"], "gcc-O2": ["gcc", "-O2"], "gcc-Os": ["gcc", "-Os"],
          "clang-O0": ["clang", "-O0"], "clang-O2": ["clang", "-O2"]}


def build(directory, words, *sources, name="prog", links=()):
    """Compiles sources of rows/, which may also be objects made before; returns the file."""
    output = directory / name
    subprocess.run([*words, *FLAGS, "-o", output, *(ROWS / source for source in sources), *links], check=True,
                   timeout=60)
    return output


class Functions:
    """The functions of an ELF file by address, as its symbol table has them."""

    def __init__(self, path):
        listed = subprocess.run(["nm", "-n", "--defined-only", path], stdout=subprocess.PIPE, text=True, check=True)
        found = [line.split() for line in listed.stdout.splitlines()]
        found = [(int(address, 16), name) for address, kind, name in found if kind in "tTwWiBb"]
        self.addresses = [address for address, _ in found]
        self.names = [re.sub(r"\.(cold|part|constprop|isra)(\.\d+)*", "", name) for _, name in found]

    def at(self, address):
        number = bisect.bisect_right(self.addresses, address) - 1
        return self.names[number] if number >= 0 else "?"


class Stacks:
    """The stacks of the live blocks of each size in a snapshot, as words of rows.h."""

    def __init__(self, moment, symbols):
        dump = json.loads(hspy.heapspy("dump", "--json", "--stacks", "--live", moment))
        self.modules = {module["serial"]: module for module in dump["modules"]}
        self.stacks = {stack["id"]: stack for stack in dump["stacks"]}
        self.of_size = {}
        for sample in dump["live"]:
            self.of_size.setdefault(sample["size"], set()).add(sample["stack"])
        self.symbols = symbols
        self.functions = {}

    def word(self, frame):
        pc, exact = int(frame["pc"], 16), frame["exact"]
        module = self.modules.get(frame["module"])
        if module is None:
            return f"{pc:#x}"
        name = os.path.basename(module["path"])
        if name in LIBRARIES or "vdso" in name:
            return LIBRARIES.get(name, "vdso")
        path = self.symbols.get(name, module["path"])
        if path not in self.functions:
            self.functions[path] = Functions(path)
        found = self.functions[path].at(pc - int(module["load_bias"], 16) - (not exact))
        return found + "!" * exact

    def of(self, size):
        """(flags, approx_from, words) of each stack that asked for this size."""
        found = [self.stacks[number] for number in sorted(self.of_size.get(size, ()))]
        return [(stack["flags"], stack["approx_from"], [self.word(frame) for frame in stack["frames"]])
                for stack in found]


def pattern(chain):
    """A regular expression for the words of a chain, each with a blank behind it."""
    parts = []
    for token in chain.split():
        if token == "start":
            parts.append(BELOW_MAIN)
        elif token == "thread":
            parts.append("(?:heapspy )?(?:libc )+")
        elif token == "...":
            parts.append(r"(?:\S+ )*")
        elif token in ("*", "*!"):
            parts.append(r"\S+" + token[1:] + " ")
        elif token == "loader":
            parts.append("(?:(?:libc|ld|heapspy) )+")
        elif token in LIBRARIES.values() or token.endswith("+"):
            name = token if token in LIBRARIES.values() else token[:-1]
            parts.append(f"(?:{re.escape(name)} )+")
        else:
            parts.append(re.escape(token) + " ")
    return "".join(parts)


def is_marked_and_not_wrong(flags, approx_from, words, chain):
    """Certain frames are how the chain begins; guessed ones leave out some of it, and add nothing."""
    if not {"truncated", "approx"} & set(flags.split()):
        return False
    certain = words[:approx_from] if "approx" in flags else words
    expected = chain.replace(" start", "").split()
    rest = iter(expected[len(certain):] + ["heapspy", "libc", "libc", "libc", "_start"])
    return certain == expected[:len(certain)] and (
        "approx" not in flags or all(word in rest for word in words[approx_from:]))


def check(run, moment, symbols=None):
    """Every line that the program printed, against every stack of that size."""
    expected = [line.split("|") for line in run.stdout.splitlines()]
    assert expected
    stacks = Stacks(moment, symbols or {})
    for size, flags, chain in expected:
        found = stacks.of(int(size))
        assert found, f"no block of {size} bytes"
        for found_flags, approx_from, words in found:
            told = f"{size}: {found_flags} {approx_from} {' '.join(words)}, not {flags} {chain}"
            if flags == "marked":
                assert is_marked_and_not_wrong(found_flags, approx_from, words, chain), told
                continue
            if "approx" in found_flags:
                found_flags = found_flags.replace("approx", f"approx@{approx_from}")
            assert found_flags == flags, told
            assert re.fullmatch(pattern(chain), "".join(word + " " for word in words)), told
    return expected


def profile(program, directory, *arguments, **settings):
    return hspy.run([program, *arguments], directory / "out", sample=1, cpu_max="off", **settings)


def build_and_check(directory, words, *sources, links=(), arguments=(), **settings):
    program = build(directory, words, *sources, links=links)
    run = profile(program, directory, *arguments, **settings)
    return check(run, run.last)


@pytest.mark.parametrize("words", [
    *BUILDS.values(),
    ["gcc", "-O2", "-mstackrealign"],
    ["gcc", "-O3", "-fno-omit-frame-pointer"],
    ["gcc", "-Os", "-mno-accumulate-outgoing-args", "-mpush-args"],
    ["gcc", "-O2", "-fcf-protection=full"],
    ["gcc", "-O2", "-falign-functions=1", "-no-pie"],
    ["gcc", "-O1", "-fstack-clash-protection", "-fstack-protector-all"],
    ["clang", "-O2", "-mstackrealign"],
    ["clang", "-Os", "-fno-omit-frame-pointer"],
], ids=" ".join)
def test_frames_as_compilers_make_them(words, tmp_path):
    build_and_check(tmp_path, words, "shapes.c")


def test_the_cold_half_is_a_function_of_its_own(tmp_path):
    """Or the row above proves nothing."""
    program = build(tmp_path, BUILDS["gcc-O2"], "shapes.c")
    names = subprocess.run(["nm", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "split.cold" in names


@pytest.mark.parametrize("words", BUILDS.values(), ids=" ".join)
def test_vector_registers(words, tmp_path):
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpu:
        if " avx " not in cpu.read():
            pytest.skip("this processor has no AVX")
    build_and_check(tmp_path, [*words, "-mavx"], "avx.c")


@pytest.mark.parametrize("words", [BUILDS["gcc-O2"], BUILDS["clang-O0"]], ids=" ".join)
def test_stripped(words, tmp_path):
    program = build(tmp_path, words, "shapes.c")
    shutil.copy(program, tmp_path / "stripped")
    subprocess.run(["strip", "-s", tmp_path / "stripped"], check=True)
    run = profile(tmp_path / "stripped", tmp_path)
    check(run, run.last, {"stripped": program})


@pytest.mark.parametrize("words", [BUILDS["gcc-O0"], BUILDS["gcc-O2"], BUILDS["clang-O2"]], ids=" ".join)
def test_signal_frames(words, tmp_path):
    build_and_check(tmp_path, words, "signals.c")


LAZY = ["-Wl,-z,lazy", "-Wl,--enable-new-dtags"]


@pytest.mark.parametrize("extra", [[], ["-fcf-protection=full"], ["-fcf-protection=full", "-Wl,-z,ibtplt"],
                                   ["-fuse-ld=gold"], ["-mno-red-zone", "-no-pie"]], ids=" ".join)
@pytest.mark.parametrize("program", ["lazy.c", "steps.c"])
def test_lazy_binding_and_vdso(program, extra, tmp_path):
    """An ifunc's resolver allocates inside the binder; a handler at each instruction of the PLT, binder and vdso."""
    words = ["gcc", "-O2", *extra]
    build(tmp_path, [*words, "-fPIC", "-shared"], "lazy_lib.c", name="lib_lazy.so")
    printed = build_and_check(tmp_path, words, program,
                              links=[tmp_path / "lib_lazy.so", f"-Wl,-rpath,{tmp_path}", *LAZY])
    if program == "steps.c" and len(printed) < 3:
        pytest.skip("the clock of this kernel is not in the vdso; the rest was checked")


def test_library_that_is_opened_and_closed(tmp_path):
    library = build(tmp_path, ["gcc", "-O2", "-fPIC", "-shared"], "lazy_lib.c", name="lib_lazy.so")
    build_and_check(tmp_path, ["gcc", "-O2"], "opens.c", arguments=[library])


@pytest.mark.parametrize("words", [BUILDS["gcc-O2"], BUILDS["clang-O0"]], ids=" ".join)
def test_coroutines(words, tmp_path):
    build_and_check(tmp_path, words, "coroutine.c")


@pytest.mark.parametrize("program", ["jit.c", "cfa.c cfa_functions.S", "deep.c", "many.c", "other_stack.c",
                                     "overflow.c"])
@pytest.mark.parametrize("words", [BUILDS["gcc-O2"], BUILDS["clang-O2"]], ids=" ".join)
def test_rows_that_compilers_rarely_make(program, words, tmp_path):
    """Registered tables, any register, expressions, rows too large for the cache, large tables, changed stacks."""
    build_and_check(tmp_path, words, *program.split())


@pytest.mark.parametrize("words", [BUILDS["gcc-O2"], BUILDS["gcc-O0"], BUILDS["clang-O2"]], ids=" ".join)
def test_beginnings_and_callbacks(words, tmp_path):
    program = build(tmp_path, words, "starts.c")
    run = profile(program, tmp_path)
    check(run, f"{tmp_path / 'out'}@mark:end")


@pytest.mark.parametrize("words", [["g++", "-O0"], ["g++", "-O2"], ["clang++", "-O2"]], ids=" ".join)
def test_exceptions_and_threads_of_the_cxx_library(words, tmp_path):
    build_and_check(tmp_path, words, "throws.cc")


BARE = ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-falign-functions=1"]


@pytest.mark.parametrize("kind", ["rbp", "none"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_code_without_frame_information(kind, compiler, tmp_path):
    """With frame pointers: complete, and said to be approximate. Without: said, and no wrong frame."""
    pointer = "-fno-omit-frame-pointer" if kind == "rbp" else "-fomit-frame-pointer"
    words = [compiler, "-O2", pointer]
    build(tmp_path, [*words, *BARE, "-c"], "no_cfi_part.c", name="part.o")
    build_and_check(tmp_path, words, "no_cfi.c", tmp_path / "part.o", arguments=[kind])


@pytest.mark.parametrize("pointer", ["-fno-omit-frame-pointer", "-fomit-frame-pointer"])
def test_no_header_of_frame_information(pointer, tmp_path):
    """As without any: the header is how the loader knows of it."""
    # _start has cleared rbp, which may mean anything.
    flags = "truncated approx@1" if "no-omit" in pointer else "marked"
    build_and_check(tmp_path, ["gcc", "-O2", pointer, "-Wl,--no-eh-frame-hdr"], "chain.c", arguments=[flags])


HEADER = bytes([1, 0x1b, 3, 0x3b])


def section(program, name):
    """Where a section lies in a file, as a slice."""
    listed = subprocess.run(["readelf", "-SW", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    at, size = re.search(rf" {re.escape(name)}\s+\S+\s+[0-9a-f]+\s+([0-9a-f]+)\s+([0-9a-f]+)", listed).groups()
    return slice(int(at, 16), int(at, 16) + int(size, 16))


@pytest.mark.parametrize("header, flags", [
    (bytes([1, 0x1b, 0xff, 0xff]), ""),
    (bytes([1, 0xff, 0xff, 0xff]), "marked"),
    (bytes([1, 0x1b, 3, 0x3c]), "marked"),
    (bytes([2, 0x1b, 3, 0x3b]), "marked"),
], ids=["no table", "no pointer", "wide table", "version 2"])
def test_other_headers_of_frame_information(header, flags, tmp_path):
    """Without a table the entries are gone through; of a form that is not known, there is none."""
    program = build(tmp_path, ["gcc", "-O2", "-fomit-frame-pointer"], "chain.c")
    content = bytearray(program.read_bytes())
    at = section(program, ".eh_frame_hdr").start
    assert content[at:at + 4] == HEADER
    content[at:at + 4] = header
    program.write_bytes(content)
    run = profile(program, tmp_path, flags)
    check(run, run.last)


def test_program_headers_at_the_end_of_the_file(tmp_path):
    """As patchelf leaves a library: they are not in memory then."""
    host = build(tmp_path, ["gcc", "-O2"], "loads.c", name="host", links=["-ldl"])
    library = build(tmp_path, ["gcc", "-O2", "-fPIC", "-shared", "-Dmain=library_main"], "shapes.c", name="lib.so")
    content = bytearray(library.read_bytes())
    at, n_bytes = struct.unpack_from("<Q", content, 32)[0], 56 * struct.unpack_from("<H", content, 56)[0]
    content += bytes(-len(content) % 4096)
    struct.pack_into("<Q", content, 32, len(content))
    content += content[at:at + n_bytes]
    content[at:at + n_bytes] = bytes(n_bytes)
    library.write_bytes(content)
    run = profile(host, tmp_path, library)
    run.stdout = run.stdout.replace("main start", "library_main main start").replace("1: 0\n", "")
    check(run, run.last)


@pytest.mark.parametrize("words", [BUILDS["gcc-O2"], BUILDS["clang-O2"]], ids=" ".join)
def test_unknown_instructions(words, tmp_path):
    build_and_check(tmp_path, words, "unknown.c", "unknown_functions.S")


def test_lengths_of_64_bits(tmp_path):
    """What nobody writes is no frame information, rather than misread."""
    build_and_check(tmp_path, ["gcc", "-O2", "-no-pie"], "long_tables.c", "long_functions.S")


def test_stack_that_an_allocation_takes(tmp_path):
    """A sampled one, with rules looked up for the first time (docs/stacks.md has the figures)."""
    program = build(tmp_path, ["gcc", "-O2", "-Wl,-z,now"], "stack_use.c")
    for settings in ({}, {"writer": "inline", "interval": "10ms"}, {"state_max": "1MiB"}, {"unwind": "fp"}):
        run = hspy.run([program], tmp_path / "out", sample=1, **settings)
        used = {kind: int(n_bytes) for kind, n_bytes in map(str.split, run.stdout.splitlines())}
        assert max(used.values()) < 2048, used
        # Unless a snapshot is written just then.
        assert used["warm"] < 1024 or "writer" in settings, used


def damaged(content, frames, header, draw):
    """A library's bytes with some of its frame information changed."""
    content = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        part = header if draw.random() < 0.1 else frames
        at = draw.randrange(part.start, part.stop)
        # A stretch where instructions are most often, or one byte, or a long number.
        new = draw.choice((bytes([draw.randrange(256)]), bytes(draw.randrange(0x30) for _ in range(6)),
                           b"\x0f\x03\x77\x08\x06", b"\xff" * 4, b"\0" * 4))
        content[at:min(at + len(new), part.stop)] = new[:part.stop - at]
    return content


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("words, sources", [
    (["gcc", "-O2"], ["shapes.c"]), (["clang", "-O0"], ["shapes.c"]), (["gcc", "-O2"], ["cfa.c", "cfa_functions.S"]),
], ids=["gcc", "clang", "by hand"])
def test_damaged_libraries(words, sources, seed, tmp_path):
    """Allocations through code with wrong frame information: the program notes nothing, whatever the stacks are."""
    host = build(tmp_path, ["gcc", "-O2"], "loads.c", name="host", links=["-ldl"])
    sound = build(tmp_path, [*words, "-fPIC", "-shared", "-Dmain=library_main"], *sources, name="sound.so")
    draw = random.Random(seed)
    frames, header = section(sound, ".eh_frame"), section(sound, ".eh_frame_hdr")
    copies = []
    for number in range(150):
        copies.append(tmp_path / f"{number}.so")
        copies[-1].write_bytes(damaged(sound.read_bytes(), frames, header, draw))
    bare = subprocess.run([host, *copies], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    run = hspy.run([host, *copies], tmp_path / "out", sample=1)
    assert run.stdout == bare.stdout
    assert hspy.info(run.last)["samples"] > 150 * 10


@pytest.mark.parametrize("sample", [1, "64KiB"])
def test_stack_that_is_not_aligned(sample, tmp_path):
    program = build(tmp_path, ["gcc", "-O2", "-Wl,-z,now"], "misaligned.c")
    if subprocess.run([program], stdout=subprocess.DEVNULL, timeout=60, check=False).returncode != 0:
        pytest.skip("this C library's malloc wants an aligned stack")
    run = hspy.run([program], tmp_path / "out", sample=sample, interval="10ms")
    if sample == 1:
        check(run, run.last)
