"""The names of a C++ program against addr2line's and llvm-symbolizer's: function by function, inline
chains, lines. tests/bench/symbols.py does the same on a large one, and measures."""
import os
import pathlib
import shutil
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HEAPSPY_BUILD") or ROOT / "build")
sys.path.insert(0, str(ROOT / "tests" / "bench"))

import symbols_compare  # noqa: E402 pylint: disable=wrong-import-position
import symbols_program  # noqa: E402 pylint: disable=wrong-import-position

TOOL = BUILD / "tests" / "bench" / "name_addresses"
SHARE = 0.999
BUILDS = {
    "g++, DWARF 5": ("g++", ("-g", "-gdwarf-5", "-O2")),
    "g++, DWARF 4": ("g++", ("-g", "-gdwarf-4", "-O1")),
    "clang++": ("clang++", ("-g", "-O2")),
}


@pytest.fixture(scope="module", params=BUILDS)
def named(request, tmp_path_factory):
    """A program, some thousand addresses in it, and our names for them."""
    compiler, options = BUILDS[request.param]
    if not TOOL.exists():
        pytest.skip("heapspy is built without libdw")
    if not shutil.which(compiler):
        pytest.skip(compiler + " is not installed")
    program = symbols_program.build(tmp_path_factory.mktemp("program"), 2, 1, compiler, options)
    addresses = symbols_compare.pick_addresses(program, 3000)
    assert len(addresses) > 2000
    return program, addresses, symbols_compare.heapspy(TOOL, program, addresses)[0]


def check(ours, theirs):
    found, same, excused = symbols_compare.compare(ours, symbols_compare.demangle(TOOL, theirs))
    shown = {kind: [(hex(a), ours[a], theirs.get(a)) for a in where[:2]] for kind, where in found.items()}
    assert excused >= SHARE, shown
    return same


def test_llvm_symbolizer(named):
    program, addresses, ours = named
    if not shutil.which("llvm-symbolizer"):
        pytest.skip("llvm-symbolizer is not installed")
    assert check(ours, symbols_compare.llvm_symbolizer(program, addresses)) >= SHARE


# addr2line 2.40 finds no inlined code in what clang makes of DWARF 5.
@pytest.mark.parametrize("named", [name for name in BUILDS if name.startswith("g++")], indirect=True)
def test_addr2line(named):
    """What it gets wrong for certain is left out, and may not be much: see symbols_compare.difference()."""
    program, addresses, ours = named
    assert check(ours, symbols_compare.addr2line(program, addresses)) >= 0.95


def test_most_is_inlined(named):
    """The comparison would prove little on plain calls."""
    ours = named[2]
    assert sum(len(chain) > 2 for chain in ours.values()) > len(ours) / 4
    assert sum(chain[0].line > 0 for chain in ours.values()) > 0.85 * len(ours)
