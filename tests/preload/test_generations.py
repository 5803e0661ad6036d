"""Forked children keep neither copies of their parent's state nor the address space of their ancestors' states."""
import hspy
import pytest

MIB = 1 << 10 # in KiB


@pytest.mark.parametrize("state", ["anon", "file"])
def test_what_children_keep(state, tmp_path, state_dir):
    words = [hspy.victim("prog_generations"), 10, 20]
    bare = hspy.run(words, tmp_path, preload=()).truth
    loaded = hspy.run(words, tmp_path / "run", sample=1, interval=0, cpu_max="off",
                      state="anon" if state == "anon" else state_dir).truth
    # One state of some MiB, and what the library changes of its own in each process.
    assert loaded["all"] - bare["all"] < 20 * MIB, (bare, loaded)
    # Two states of 32 MiB.
    assert loaded["mapped"] - bare["mapped"] < 100 * MIB, (bare, loaded)
