"""heapspy top on made-up snapshots."""
import json

import pytest
import scenario
from scenario import B4K, MIB

GOLDEN = """\
api (pid 4121)  at 0:20:00   live 139 MiB (128..152)   RSS 130 MiB (peak 500 MiB)   151 samples
mean interval 512 KiB

      live  95 % range  share  blocks  median age  where
    64 MiB    64..65.8   46 %       1      20 min  api+0x4041
  55.2 MiB  45.4..66.5   40 %  14 135     6.0 min  api+0x2010
    10 MiB  6.14..15.5    7 %   2 570      20 min  api+0x3020
    10 MiB  6.14..15.5    7 %   2 570        30 s  libjson.so.1+0x4030
"""


@pytest.fixture
def run(tmp_path):
    return scenario.write_run(tmp_path / "run")


def report(heapspy, *words):
    done = heapspy("top", "--json", "-q", *words)
    assert done.code == 0 and done.err == ""
    return json.loads(done.out)


def test_golden_text(heapspy, run):
    done = heapspy("top", "run", "-q")
    assert (done.out, done.err, done.code) == (GOLDEN, "", 0)


def test_json_says_the_same(heapspy, run):
    found = report(heapspy, "run")
    assert found["schema"] == "heapspy.top/1" and found["moment"]["number"] == 3
    assert [row["where"]["function"] for row in found["rows"]] == [
        "api+0x4041", "api+0x2010", "api+0x3020", "libjson.so.1+0x4030"]
    index, leak = found["rows"][:2]
    assert index["bytes"] == 64 * MIB and index["ci"][0] == 64 * MIB and index["blocks"] == 1
    assert leak["bytes"] == 110 * B4K and leak["samples"] == 110
    # Half of its bytes are 6 minutes old or more: 50 samples of 15 minutes, 60 of 6.
    assert leak["median_age_seconds"] == 360.0
    assert sum(row["bytes"] for row in found["rows"]) == found["total"]["bytes"]


def test_rest_is_one_line(heapspy, run):
    lines = heapspy("top", "run", "-q", "-n", "1").out.splitlines()
    assert lines[-1].endswith("(3 more sites, -n 0)") and lines[-1].split()[0] == "75.3"
    lines = heapspy("top", "run", "-q", "--min", "20MiB").out.splitlines()
    assert lines[-1].endswith("(2 more sites, -n 0 --min 0)")


def test_by_thread(heapspy, run):
    rows = {row["thread"]: row["bytes"] for row in report(heapspy, "run", "--by", "thread")["rows"]}
    assert rows == {"main": 64 * MIB + 40 * B4K, "worker": 110 * B4K}
    text = heapspy("top", "run", "-q", "--by", "thread").out
    assert "  worker\n" in text and "thread\n" in text
    rows = report(heapspy, "run", "--by", "thread", "--focus", "0x2010")["rows"]
    assert [row["thread"] for row in rows] == ["worker"]
    done = heapspy("top", "run", "--by", "thread", "--metric", "allocated")
    assert done.code == 2 and "--by thread" in done.err


def test_metrics(heapspy, run):
    rows = report(heapspy, "run", "--metric", "allocated")["rows"]
    assert [row["bytes"] for row in rows] == [100 * B4K] * 4
    assert rows[0]["blocks_ci"] == [100, None]
    assert "exact count 201 MiB" in heapspy("top", "run", "--metric", "allocated").out
    rows = report(heapspy, "run", "--metric", "objects")["rows"]
    assert rows[0]["where"]["function"] == "api+0x2010" and rows[-1]["blocks"] == 1
    low, high = rows[0]["blocks_ci"]
    assert low < rows[0]["blocks"] == round(110 * scenario.C4K / 1024) < high


def test_a_bare_run_is_its_last_snapshot(heapspy, run):
    assert report(heapspy, "run")["moment"]["file"] == "run/000003.hspy"
    assert report(heapspy, "run@first")["moment"]["number"] == 1


def test_mixed_sizes_make_a_rough_count(heapspy, run):
    """A site of 64 MiB and 4 KiB blocks: small ones may have gone unseen, so no upper limit."""
    rows = report(heapspy, "run", "--by", "module")["rows"]
    assert rows[0]["blocks_ci"][1] is None
    assert "~16 706" in heapspy("top", "run", "-q", "--by", "module").out


def test_nothing_live(heapspy, tmp_path):
    scenario.snapshot(1, scenario.MINUTE, []).write(tmp_path / "a.hspy")
    done = heapspy("top", "a.hspy")
    assert done.code == 0 and "live 0 B (0..1.83 MiB)" in done.out and "Nothing was sampled" in done.out


def test_not_interposed(heapspy, tmp_path):
    scenario.write_run(tmp_path / "run", lambda s: s.info.update(flags=1, front_malloc="/usr/bin/api"))
    done = heapspy("top", "run")
    assert done.code == 3 and "not interposed: malloc of /usr/bin/api" in done.err


def test_memory_that_is_not_from_malloc(heapspy, tmp_path):
    hint = ("\nRSS is 700 MiB: most of it is not live malloc memory (freed but kept by the allocator? own arenas? "
            "PYTHONMALLOC=malloc, USE_ZEND_ALLOC=0)\n")
    scenario.write_run(tmp_path / "run", lambda s: s.info.update(rss_bytes=700 * MIB))
    assert heapspy("top", "run").out.endswith(hint)
    for words in (("-q",), ("--focus", "0x2010"), ("--metric", "allocated")):
        assert "own arenas" not in heapspy("top", "run", *words).out
    scenario.write_run(tmp_path / "run", lambda s: s.info.update(rss_bytes=600 * MIB))
    assert "own arenas" not in heapspy("top", "run").out
    scenario.snapshot(1, scenario.MINUTE, []).write(tmp_path / "a.hspy")
    assert "RSS is 110 MiB" in heapspy("top", "a.hspy").out
