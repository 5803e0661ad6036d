"""A handler forks while the library is at work, and the child goes on in there: no process takes another's part."""
import collections
import os

import hspy
import pytest


def by_process(directory):
    """Of each process the labels of its snapshots, and what the last one of them holds."""
    found = collections.defaultdict(list)
    for path in sorted(directory.rglob("*.hspy")):
        found[hspy.info(path)["pid"]].append(path)
    labels, sites = {}, {}
    for pid, paths in found.items():
        labels[pid] = tuple(hspy.info(path)["label"] for path in paths)
        sites[pid] = hspy.sites(paths[-1])
    return labels, sites


# A third of the system calls each time; all of them are as quick to make, but not to look at.
@pytest.mark.parametrize("way, first, state", [
    ("return", 1, None), ("sample", 2, None), ("return", 3, "anon"), ("write", 1, None), ("write", 2, None),
    ("write", 3, None)])
def test_children_forked_behind_a_system_call_of_ours(way, first, state, tmp_path, state_dir):
    run = hspy.run([hspy.victim("prog_making"), way, first, 3, 1000], tmp_path, sample=1, interval=0, cpu_max="off",
                   state=state or state_dir, preload=[hspy.LIBRARY, hspy.victim("lib_bump.so")])
    rounds = run.truth["rounds"]
    assert rounds > 10
    labels, sites = by_process(run.dir)
    of_child = ("interrupted", "child", "") if way == "write" else ("child", "")
    of_grandchild = ("grandchild", "")
    counted = collections.Counter(labels.values())
    # The first process takes no snapshot by label. In the last round nobody forks.
    assert counted[of_child] == rounds and counted[of_grandchild] == rounds - 1, counted
    assert sum(counted.values()) == 2 * rounds, counted
    for pid, names in labels.items():
        child, grandchild = (sites[pid].get(name, (0, 0))[1] for name in ("keep_child", "keep_grandchild"))
        if names == of_child:
            assert (child, grandchild) == (30, 0), (pid, child, grandchild)
        elif names == of_grandchild:
            # The block that was under way may be counted on either side; so the one in the handler.
            assert child <= 1 and 19 <= grandchild <= 20, (pid, child, grandchild)
    assert not os.listdir(state_dir)


@pytest.mark.parametrize("state", [None, "anon"])
@pytest.mark.parametrize("way", ["malloc", "free"])
def test_children_with_a_state_forked_in_a_walk_over_the_tables(way, state, tmp_path, state_dir):
    """They find their parent's tables where they were, and end in order."""
    run = hspy.run([hspy.victim("prog_walked"), way, 300], tmp_path, sample=1, interval=0, cpu_max="off",
                   state=state or state_dir, preload=[hspy.LIBRARY, hspy.victim("lib_bump.so")])
    assert run.truth["rounds"] == 300
    assert not os.listdir(state_dir)
