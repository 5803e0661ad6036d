"""C++: exceptions through operator new, replaced operators, plugins, code that goes and comes back."""
import hspy
import pytest


def test_blocks_are_counted_after_a_thousand_bad_allocs(tmp_path):
    run = hspy.run([hspy.victim("prog_throw")], tmp_path, sample=1)
    assert hspy.live_bytes(f"{tmp_path}@mark:end", "keep_after") == run.truth["keep_after"]


def test_operators_replaced_by_the_program_are_called_as_before(tmp_path):
    plain = hspy.run([hspy.victim("prog_own_new")], tmp_path, preload=())
    loaded = hspy.run([hspy.victim("prog_own_new")], tmp_path, sample=1)
    assert loaded.stdout == plain.stdout
    assert hspy.live_bytes(loaded.last, "own_new") == 500 * 200


@pytest.mark.parametrize("sample", ["512KiB", "1"])
def test_operators_of_a_library_stay_its_own(sample, tmp_path):
    hspy.run([hspy.victim("prog_pool")], tmp_path, sample=sample)


@pytest.mark.parametrize("leaving", ["return", "exit"])
def test_last_snapshot_is_older_than_static_destructors(leaving, tmp_path):
    run = hspy.run([hspy.victim("prog_static"), 2000] + ([1] if leaving == "exit" else []), tmp_path,
                   sample=1)
    assert hspy.live_bytes(run.last, "add_session") >= run.truth["add_session"]


@pytest.mark.parametrize("sample", ["512KiB", "1"])
@pytest.mark.parametrize("rounds", [1, 50])
def test_cxx_plugin_of_a_c_program(rounds, sample, tmp_path):
    run = hspy.run([hspy.victim("prog_plugin"), hspy.victim("lib_plugin.so"), rounds], tmp_path,
                   sample=sample, interval="50ms")
    if sample == "1":
        # One row for each load: frames of an unloaded module never mix with those of the next.
        rows = hspy.top(f"{tmp_path}@mark:end", "-n0")["rows"]
        kept = [row["bytes"] for row in rows
                if (row["where"].get("function") or "").startswith("plugin_keep")]
        assert sum(kept) == run.truth["plugin_keep"]


def test_libraries_that_come_to_the_same_address_are_told_apart(tmp_path):
    run = hspy.run([hspy.victim("prog_reload"), hspy.victim("lib_frame_a.so"),
                    hspy.victim("lib_frame_b.so"), 10], tmp_path, sample=1)
    # Otherwise the run proves nothing.
    assert run.truth["same_address"] > 0
    by_module = {}
    for row in hspy.top(f"{tmp_path}@mark:end", "-n0", "--by", "module")["rows"]:
        name = row["where"]["module"].rsplit("/", 1)[-1]
        by_module[name] = by_module.get(name, 0) + row["bytes"]
    assert by_module["lib_frame_a.so"] == by_module["lib_frame_b.so"] == run.truth["each"]


def test_stacks_through_reloaded_code_reach_main(tmp_path):
    """Frame sizes differ between the two libraries: a rule kept from the one breaks the other."""
    hspy.run([hspy.victim("prog_reload"), hspy.victim("lib_frame_a.so"), hspy.victim("lib_frame_b.so"),
              10], tmp_path, sample=1)
    stacks = [stack for row in hspy.top(f"{tmp_path}@mark:end", "-n0", "--by", "site")["rows"]
              if row["where"].get("function") == "frame_keep" for stack in row["stacks"]]
    assert stacks
    for stack in stacks:
        names = [frame.get("function") for frame in stack["frames"]]
        assert names[:3] == ["frame_keep", "call_library", "main"], names


def test_exceptions_and_threads_in_python_extension_modules(tmp_path):
    script = ("import ctypes, sqlite3, json, zlib, decimal\n"
              "db = sqlite3.connect(':memory:')\n"
              "db.execute('create table t(x)')\n"
              "db.executemany('insert into t values (?)', [(str(i),) for i in range(9999)])\n"
              "print(db.execute('select count(*) from t').fetchone()[0])\n")
    run = hspy.run(["/usr/bin/python3", "-c", script], tmp_path, sample="4KiB")
    assert run.stdout == "9999\n"
