"""A program is the same with and without heapspy: what it says, leaves, sees of its process, gets from malloc."""
import collections
import shutil
import subprocess

import fidelity
import hspy
import pytest

RUN = fidelity.Way("run", "", "1")
PRELOAD = fidelity.Way("preload", "auto", "1")


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The outcome of a program without heapspy; each is run once."""
    known = {}

    def find(argv, place, **options):
        key = (tuple(argv), str(options))
        if key not in known:
            known[key] = fidelity.outcome(argv, place, **options)
        return known[key]
    return find


def expect_same(argv, place, way, bare, **options):
    plain = {name: value for name, value in options.items() if name in ("prefix", "environment")}
    fidelity.expect_same(argv, place, way, bare(argv, place, **plain), **options)


@pytest.fixture(name="place")
def same_place(tmp_path_factory):
    """A directory that has the same name for each run of a test module."""
    path = tmp_path_factory.getbasetemp() / "fidelity"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


# Of the helper, libc keeps a block in the heap: other blocks are elsewhere then.
CONTRACTS = [(mode, way) for way in fidelity.ways()
             for mode in (["anywhere", "limit"] if way.writer == "thread" else ["", "limit", "heap"])]


@pytest.mark.parametrize("mode, way", CONTRACTS, ids=str)
def test_allocation_functions(mode, way, place, bare):
    """Results, errno, usable sizes, places in the page, contents: of all functions, with any size and alignment; with
    no memory to be had; what mallinfo2, malloc_info and malloc_stats tell."""
    expect_same([hspy.victim("prog_contract"), mode], place, way, bare, may_lack_snapshots=mode == "limit")


@pytest.mark.skipif(not shutil.which("setarch"), reason="setarch is not installed")
@pytest.mark.parametrize("way", fidelity.ways(writers=("auto", "inline")), ids=str)
def test_addresses_of_blocks(way, place, bare):
    """Without randomization the heap is the same to the byte: nothing of heapspy's is in it."""
    prefix = ["setarch", "-R"]
    done = subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        pytest.skip("randomization cannot be switched off here")
    expect_same([hspy.victim("prog_contract"), "where"], place, way, bare, prefix=prefix)


def without_helper(seen, plain):
    """The outcome without the helper among the tasks, which has its maker's name at first; and how often it was there.
    With a process's first thread, libc sets a handler for a signal of its own (33, for setuid), and posix_spawn ignores
    in the child what has none."""
    lines, helpers = seen.stdout.splitlines(True), 0
    for number, (line, expected) in enumerate(zip(lines, plain.stdout.splitlines(True))):
        if line.startswith((b"SigCgt:", b"SigIgn:")) and \
                int(line.split()[1], 16) ^ int(expected.split()[1], 16) == 1 << 32:
            lines[number] = expected
        if line.startswith(b"tasks ") and line != expected:
            more = collections.Counter(line.split()) - collections.Counter(expected.split())
            if sum(more.values()) == 1 and set(more) <= {b"heapspy", b"prog_fidelity"}:
                lines[number] = expected
                helpers += 1
    return seen._replace(stdout=b"".join(lines)), helpers


@pytest.mark.parametrize("way", fidelity.ways(), ids=str)
@pytest.mark.parametrize("mode", [[], ["alone"]], ids=["threads", "alone"])
def test_what_a_process_sees_of_itself(mode, way, place, bare):
    """Descriptors, tasks, signals, limits, settings, environment, floating point, dlerror; in children as well."""
    argv = [hspy.victim("prog_fidelity"), *mode]
    plain = bare(argv, place)
    seen, helpers = without_helper(fidelity.outcome(argv, place, way), plain)
    found = fidelity.first_difference(seen, plain)
    assert found is None, found
    reports = plain.stdout.count(b"\ntasks ")
    assert 8 < reports < 12 and plain.code == 9
    if way.writer == "thread":
        # Not in a forked child; and it may have ended when the exit handlers run.
        assert helpers in (reports - 2, reports - 1)
    elif way.writer == "auto" and not mode:
        assert 0 < helpers < reports
    else:
        assert helpers == 0


def test_one_key_is_ours(tmp_path):
    """Of the 1024 for thread-specific values, one serves to learn of a thread's end."""
    plain = hspy.run([hspy.victim("prog_fidelity"), "keys"], tmp_path, preload=())
    for writer in ("inline", "thread"):
        run = hspy.run([hspy.victim("prog_fidelity"), "keys"], tmp_path / writer, sample=1, writer=writer)
        assert run.truth == plain.truth - 1


@pytest.mark.parametrize("sample", ["1", "512KiB"])
def test_stack_that_a_sample_takes(sample, tmp_path):
    """A hook must get along with what a small stack has left."""
    words = [hspy.victim("prog_fidelity"), "stack"]
    plain = hspy.run(words, tmp_path, preload=())
    run = hspy.run(words, tmp_path, sample=sample, interval=0)
    assert run.truth - plain.truth < 2048, "bytes"


def test_files_that_are_mapped(tmp_path, state_dir):
    """The library and the state."""
    words = [hspy.victim("prog_fidelity"), "maps"]
    plain = set(hspy.run(words, tmp_path, preload=()).stdout.splitlines())
    seen = set(hspy.run(words, tmp_path, sample=1).stdout.splitlines())
    assert plain <= seen
    more = {path for path in seen - plain if not path.startswith(str(state_dir))}
    assert more == {str(hspy.LIBRARY.resolve())} and len(seen - plain) == 2


SCRIPT = hspy.ROOT / "tests/preload/fidelity.sh"


def expect_same_script(way, place, bare):
    words = ["bash", SCRIPT]
    plain = bare(words, place)
    assert plain.code == 3 and plain.stdout.count(b"\n= ") > 400, plain.stderr
    # A compiler whose every block is sampled has much to write.
    expect_same(words, place, way, bare, interval="1s")


@pytest.mark.parametrize("way", [PRELOAD, RUN._replace(sample="512KiB")], ids=str)
def test_four_hundred_commands(way, place, bare):
    expect_same_script(way, place, bare)


@pytest.mark.slow
@pytest.mark.parametrize("way", [way for way in fidelity.ways() if way.writer != "auto"], ids=str)
def test_four_hundred_commands_in_all_ways(way, place, bare):
    expect_same_script(way, place, bare)
