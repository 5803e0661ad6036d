"""Debian's python3 with PYTHONMALLOC=malloc and a list that grows."""
import hspy

SCRIPT = """
import time
grown = []
for step in range(30):
    for _ in range(100000):
        grown.append(None)
    [str(i) for i in range(1000)]
    time.sleep(0.1)
print(len(grown))
"""
LIST_GROWTH = ("list_resize", "list_append", "app1", "PyList_Append", "list.append", "_PyList_Append")


def test_growing_list_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONMALLOC", "malloc")
    run = hspy.run(["/usr/bin/python3", "-c", SCRIPT], tmp_path, interval="500ms", sample="64KiB")
    assert run.stdout == "3000000\n"
    # The last one but one: at its exit the interpreter frees everything.
    row = hspy.diff(run.snapshots[0], run.snapshots[-2])["rows"][0]
    low, high = row["ci"]
    # A pointer for each element, with an eighth to spare; growth before and after these two is not in it.
    assert high > 3000000 * 8 * 0.4 and low < 3000000 * 8 * 9 / 8
    names = {row["where"].get("function")} | {frame.get("function") for stack in row["stacks"]
                                              for frame in stack["frames"]}
    if names & set(LIST_GROWTH):
        return
    # Debian strips the interpreter: static functions have no name, the module is what can be told.
    assert row["where"]["module"].startswith("/usr/bin/python3"), row
