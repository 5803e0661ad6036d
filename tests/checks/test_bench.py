"""tests/bench/compare.py: that the benchmark runs, notices a profiler that does nothing, and says what it was
not given. No time is looked at."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import hspy
import pytest

BENCH = hspy.ROOT / "tests" / "bench"
sys.path.insert(0, str(BENCH))

import compare_figures  # noqa: E402 pylint: disable=wrong-import-position
import compare_variants  # noqa: E402 pylint: disable=wrong-import-position


def compare(*words, build=hspy.BUILD, **env):
    return subprocess.run(["/usr/bin/python3", BENCH / "compare.py", *map(str, words), str(build)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
                          env=dict(os.environ, **env))


def test_quick_run_prints_ratios_and_leaves_nothing(tmp_path, state_dir):
    done = compare("--quick", "--ours", "--only", "pair", "--rounds", 1,
                   "--json", tmp_path / "kept.json", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "heapspy : empty" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("pair ")]
    assert {(row[1], row[2]) for row in rows} == {("1", "0"), ("2", "0"), ("1", "20000"), ("2", "20000")}
    records = json.loads((tmp_path / "kept.json").read_text())["records"]
    assert {one["variant"] for one in records} == {"bare", "again", "empty", "heapspy"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.json"]
    assert not os.listdir(state_dir)
    again = compare("--load", tmp_path / "kept.json", "--markdown")
    assert again.returncode == 0 and "| pair | 1 | 0 |" in again.stdout, again.stderr


def test_markdown_goes_between_the_markers(tmp_path):
    kept = {"date": "2001-01-01", "minutes": 1, "missing": ["x: install y"], "failures": [], "workloads": [],
            "machine": {"processor": "a", "system": "b", "memory_mib": 1024, "packages": ["c 1"], "load": 0.1},
            "variants": [{"name": name, "title": name} for name in ("bare", "empty", "heapspy")],
            "records": [{"workload": "ops-1t-0", "case": "pair", "size": "full", "round": number, "variant": variant,
                         "figures": {"ns": ns}} for number in range(7)
                        for variant, ns in (("bare", 10), ("empty", 10 + number), ("heapspy", 11 + number * 1.1))]}
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- compare.py begin -->\nold\n<!-- compare.py end -->\nafter\n")
    done = compare("--load", tmp_path / "kept.json", "--update", page)
    assert (done.returncode, done.stdout) == (0, ""), done
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "1.100 (1.100..1.100) | ≤ 1.05 of empty | above |" in text and "Left out: x: install y." in text
    page.write_text("no marker\n")
    done = compare("--load", tmp_path / "kept.json", "--update", page)
    assert done.returncode != 0 and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_profiler_that_did_nothing_is_not_counted(tmp_path):
    """The build's libheapspy.so is replaced by a library that does not profile."""
    for name in ("tests/bench", "analyzer", "preload"):
        (tmp_path / name).mkdir(parents=True)
    for path in (hspy.BUILD / "tests" / "bench").iterdir():
        if path.is_file():
            (tmp_path / "tests" / "bench" / path.name).symlink_to(path)
    (tmp_path / "analyzer" / "heapspy").symlink_to(hspy.COMMAND)
    shutil.copy(hspy.BUILD / "tests" / "bench" / "empty_interposer.so", tmp_path / "preload" / "libheapspy.so")
    done = compare("--quick", "--ours", "--only", "new", "--rounds", 1, build=tmp_path)
    assert done.returncode == 1
    assert "Not counted: ops-1t-0, heapspy: heapspy left no snapshot." in done.stdout, done.stdout


@pytest.mark.parametrize("words, expected", [
    (["--only", "nonsense"], "nothing is called 'nonsense'"),
    (["--rounds", "0"], "--rounds takes a number from 1"),
    (["--load", "absent/kept.json"], "No such file"),
    (["--load", hspy.ROOT / "tests" / "pytest.ini"], "was not made by --json"),
    (["--json", "absent/kept.json"], "No such file"),
])
def test_bad_arguments_are_one_line(words, expected):
    done = compare(*words)
    assert done.returncode != 0 and not done.stdout
    assert len(done.stderr.splitlines()) == 1 and expected in done.stderr, done.stderr


def test_no_build_is_one_line(tmp_path):
    done = compare(build=tmp_path / "absent")
    assert done.returncode != 0 and len(done.stderr.splitlines()) == 1, done.stderr


def test_interval_of_a_median_is_that_of_the_binomial():
    """Tables of the sign test: 9 values, second and eighth; 15 values, fourth and twelfth."""
    assert compare_figures.spread(range(9, 0, -1)) == compare_figures.Spread(5, 2, 8, 9)
    assert compare_figures.spread(range(1, 16)) == compare_figures.Spread(8, 4, 12, 15)
    assert compare_figures.spread([3]) == compare_figures.Spread(3, 3, 3, 1)
    assert compare_figures.spread([1, 2, 4]) == compare_figures.Spread(2, 1, 4, 3)


def test_a_profiler_that_is_not_installed_is_known_as_such(monkeypatch):
    monkeypatch.setattr(compare_variants, "HEAPTRACK", pathlib.Path("/nonexistent/preload.so"))
    missing = {one.name: one.package for one in compare_variants.all_variants(hspy.BUILD) if one.missing()}
    assert missing.get("heaptrack") == "heaptrack"
    assert not {"bare", "empty", "heapspy"} & missing.keys()
