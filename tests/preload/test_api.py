"""heapspy.h in a program: needs nothing at build time, works with and without the library."""
import itertools

import hspy
import pytest

SOURCE = """
#include <heapspy/heapspy.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	int active = heapspy_is_active(), first, second;
	void *kept[3];

	kept[0] = malloc(1000);
	first = heapspy_snapshot("loaded");
	heapspy_stop();
	printf("%d %d ", active, heapspy_is_active());
	kept[1] = malloc(20000);
	heapspy_start();
	printf("%d ", heapspy_is_active());
	kept[2] = malloc(300000);
	second = heapspy_snapshot(NULL);
	printf("%d %d\\n", first, second);
	for (int i = 0; i < 3; i++)
		free(kept[i]);
	return 0;
}
"""
VARIANTS = list(itertools.product(["gcc", "clang", "g++"], ["-O0", "-O2"], ["-pie", "-no-pie"]))


@pytest.mark.parametrize("compiler, level, pie", VARIANTS, ids=["".join(v) for v in VARIANTS])
def test_program_with_the_header(compiler, level, pie, tmp_path):
    source = tmp_path / ("program.cc" if compiler == "g++" else "program.c")
    source.write_text(SOURCE)
    program = tmp_path / "program"
    hspy.run([compiler, level, pie, "-fPIE" if pie == "-pie" else "-fno-pie", "-fno-builtin", "-Wall",
              "-Werror", "-I", hspy.ROOT / "include", source, "-o", program], tmp_path, preload=())
    assert hspy.run([program], tmp_path, preload=()).stdout == "0 0 0 0 0\n"
    assert not hspy.snapshots(tmp_path)

    run = hspy.run([program], tmp_path / "run", sample=1)
    assert run.stdout == "1 0 1 1 2\n"
    assert [path.name for path in run.snapshots] == ["000001.hspy", "000002.hspy", "000003.hspy"]
    assert [hspy.info(path)["label"] for path in run.snapshots] == ["loaded", "", ""]
    assert [hspy.info(path)["reason"] for path in run.snapshots] == ["label", "label", "exit"]
    assert 'loaded' in hspy.heapspy("dump", run.snapshots[0])
    assert hspy.live_bytes(f"{tmp_path}/run@mark:loaded", "main") == 1000
    # What was allocated while sampling was off is not there.
    assert hspy.live_bytes(f"{tmp_path}/run@2", "main") == 301000


def test_no_block_is_sampled_for_a_stop_and_a_start(tmp_path):
    """Its own bytes decide, as ever: one in 65536 is a sample."""
    source = tmp_path / "program.c"
    source.write_text("""
#include <heapspy/heapspy.h>
#include <stdlib.h>

int main(void)
{
	for (int i = 0; i < 1000; i++) {
		heapspy_stop();
		heapspy_start();
		malloc(16);
	}
	heapspy_snapshot(NULL);
	return 0;
}
""")
    hspy.run(["gcc", "-fno-builtin", "-I", hspy.ROOT / "include", source, "-o", tmp_path / "program"],
             tmp_path, preload=())
    run = hspy.run([tmp_path / "program"], tmp_path / "run", sample="1MiB")
    assert hspy.info(run.last)["samples"] < 3


def test_start_off(tmp_path):
    source = tmp_path / "program.c"
    source.write_text(SOURCE)
    hspy.run(["gcc", "-fno-builtin", "-I", hspy.ROOT / "include", source, "-o", tmp_path / "program"],
             tmp_path, preload=())
    run = hspy.run([tmp_path / "program"], tmp_path / "run", sample=1, start="off")
    assert run.stdout.startswith("0 0 1 ")
    assert hspy.live_bytes(f"{tmp_path}/run@2", "main") == 300000
