"""Another malloc in front of ours, or behind it."""
import hspy


def test_program_with_its_own_malloc_is_said_to_be_not_interposed(tmp_path):
    run = hspy.run([hspy.victim("prog_own_malloc"), 1000, 7, 0.3], tmp_path, expect=7, interval="100ms")
    assert run.stdout == '{"live": 1000000}\n'
    assert run.stderr == "done\n"
    for words in (["top", run.last], ["diff", run.snapshots[0], run.last]):
        message = hspy.refusal(*words)
        assert "not interposed" in message and "prog_own_malloc" in message


def test_library_that_is_not_first_says_so(tmp_path):
    run = hspy.run([hspy.victim("prog_basic")], tmp_path, expect=7,
                   preload=[hspy.victim("lib_bump.so"), hspy.LIBRARY])
    assert "not interposed" in hspy.refusal("top", run.last)
    assert "lib_bump.so" in hspy.refusal("top", run.last)


def test_another_malloc_behind_ours_is_counted(tmp_path):
    run = hspy.run([hspy.victim("prog_basic")], tmp_path, expect=7, sample=1,
                   preload=[hspy.LIBRARY, hspy.victim("lib_bump.so")])
    assert hspy.live_bytes(run.last, "keep_blocks") == 1000000
    assert hspy.info(run.last)["next_malloc"].endswith("lib_bump.so")


def test_static_program_runs_as_ever(tmp_path):
    """Nothing to preload into: no snapshot, and no harm."""
    source = tmp_path / "static.c"
    source.write_text("#include <stdlib.h>\nint main(void) { return malloc(9) ? 7 : 1; }\n")
    hspy.run(["gcc", "-static", source, "-o", tmp_path / "static"], tmp_path, preload=())
    hspy.run([tmp_path / "static"], tmp_path / "run", expect=7)
    assert not (tmp_path / "run").exists()
