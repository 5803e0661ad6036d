"""heapspy top on made-up snapshots."""
import json

import pytest
import scenario
from scenario import B4K, MIB

GOLDEN = """\
api (pid 4121)  at 0:20:00   live 139 MiB (128..152)   RSS 130 MiB   VmHWM 500 MiB   151 samples
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


def with_peak(number, **more):
    """Snapshot number was taken at a peak that noise makes look as high as 160 MiB."""
    def change(s):
        live = {1: 60, 2: 150, 3: 139}[s.info["number"]]
        s.tail = (160 * MIB, 605 * 10**9, live * MIB)
        s.more = {"half_bytes": [live * MIB // 2] * 2, "half_peak_bytes": [80 * MIB, 82 * MIB],
                  "half_other_bytes": [75 * MIB, 74 * MIB + MIB // 2], **more}
        s.info["reason"] = 5 if s.info["number"] == number else s.info["reason"]
    return change


def poisson_range(steps, step_bytes):
    """Byar's limits of a count, a quarter wider than at 95 %."""
    z = 1.25 * 1.959964
    lo = steps * (1 - 1 / (9 * steps) - z / (3 * steps ** .5)) ** 3
    hi = (steps + 1) * (1 - 1 / (9 * (steps + 1)) + z / (3 * (steps + 1) ** .5)) ** 3
    return [round(lo * step_bytes), round(hi * step_bytes)]


def test_peak_has_its_range_and_the_memory_it_took(heapspy, tmp_path):
    # 75 + 74.5 + R = 150 MiB, give or take 2.45 sqrt(R 150 MiB).
    scenario.write_run(tmp_path / "run", with_peak(2))
    title = heapspy("top", "run", "-q").out.splitlines()[0]
    assert "   RSS 130 MiB   peak about 150 MiB (130..173; VmHWM 500 MiB)   151 samples" in title
    assert "estimated peak" not in heapspy("top", "run").out
    assert report(heapspy, "run")["moment"]["peak"] == {
        "bytes": 150 * MIB, "ci": poisson_range(300, MIB / 2), "vm_hwm_bytes": 500 * MIB}
    assert "total_overstated_by_up_to" not in report(heapspy, "run")
    # At a higher level less was known, but there was more.
    scenario.write_run(tmp_path / "older", with_peak(2, older_peak_bytes=155 * MIB, older_peak_level=1))
    older = report(heapspy, "older")["moment"]["peak"]
    assert (older["bytes"], older["ci"]) == (156 * MIB, poisson_range(156, MIB))
    # Files of a library that knew no halves.
    scenario.write_run(tmp_path / "old", lambda s: setattr(s, "tail", (160 * MIB, 605 * 10**9, 139 * MIB)))
    assert "peak about 160 MiB (VmHWM 500 MiB)" in heapspy("top", "old", "-q").out
    assert report(heapspy, "old")["moment"]["peak"] == {
        "bytes": 160 * MIB, "ci": None, "vm_hwm_bytes": 500 * MIB}
    # At least what is live now,
    scenario.write_run(tmp_path / "now", with_peak(2, half_other_bytes=[MIB, MIB]))
    assert report(heapspy, "now")["moment"]["peak"] == {
        "bytes": 139 * MIB, "ci": poisson_range(278, MIB / 2), "vm_hwm_bytes": 500 * MIB}
    # and what has been seen: 64 MiB, and samples of 4 KiB.
    def low(snapshot):
        with_peak(2, half_other_bytes=[MIB, MIB])(snapshot)
        snapshot.tail = (*snapshot.tail[:2], MIB)
    scenario.write_run(tmp_path / "low", low)
    assert report(heapspy, "low")["moment"]["peak"]["bytes"] == 64 * MIB + 150 * 4096
    assert report(heapspy, "low")["moment"]["peak"]["ci"][0] == 64 * MIB + 150 * 4096


def test_sites_at_the_peak(heapspy, tmp_path):
    scenario.write_run(tmp_path / "run", with_peak(2))
    found = report(heapspy, "run@peak")
    assert found["moment"]["number"] == 2 and found["moment"]["reason"] == "peak"
    assert found["total_overstated_by_up_to"] == pytest.approx(160 / 150 - 1, abs=1e-4)
    lines = heapspy("top", "run@peak", "-q").out.splitlines()
    assert lines[1:3] == ["mean interval 512 KiB", "Sites at the estimated peak (total overstated by up to 7 %)"]
    assert heapspy("top", "run/000002.hspy", "-q").out.splitlines()[2] == lines[2]
    # Without one that was taken at the peak, the fullest; and if that is far from it, no such words.
    scenario.write_run(tmp_path / "none", with_peak(0))
    assert report(heapspy, "none@peak")["moment"]["number"] == 2
    assert heapspy("top", "none@peak", "-q").out.splitlines()[2] == lines[2]
    scenario.write_run(tmp_path / "missed", lambda s: with_peak(0)(s) or s.more.update(
        half_other_bytes=[90 * MIB, 89 * MIB]) or setattr(s, "tail", (200 * MIB, 605 * 10**9, s.tail[2])))
    far = heapspy("top", "missed@peak", "-q").out
    assert "; the fullest snapshot; the peak, at 0:10:05, was about 20 % higher\n" in far
    assert "estimated peak" not in far
    assert "total_overstated_by_up_to" not in report(heapspy, "missed@peak")


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
