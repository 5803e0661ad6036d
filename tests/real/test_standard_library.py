"""The tests of Python's standard library, which look at threads, descriptors, signals, children: each ends as bare."""
import subprocess

import pytest
from stress import suite_sources

SUITE = suite_sources.Python()


@pytest.fixture(scope="module")
def bare():
    done = subprocess.run(["/usr/bin/python3", "-c", "import test.test_dict"], stderr=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        pytest.skip("Python's own tests are not installed")
    known = {}

    def find(part):
        if part not in known:
            known[part] = SUITE.run(part, "bare", {})
        return known[part]
    return find


def expect_same(part, mode, sample, bare):
    plain = bare(part)
    assert plain, SUITE.said[-3000:]
    seen = SUITE.run(part, mode, {"sample": sample})
    assert seen == plain, SUITE.said[-3000:]


@pytest.mark.parametrize("part, least", [("test_dict", 100), ("test_json", 150)])
def test_part(part, least, mode, bare):
    expect_same(part, mode, 1, bare)
    assert list(bare(part).values()).count("ok") > least


@pytest.mark.slow
@pytest.mark.parametrize("sample", ["1", "512KiB"])
@pytest.mark.parametrize("part", ["test_threading", "test_subprocess"])
def test_long_part(part, sample, mode, bare):
    expect_same(part, mode, sample, bare)
