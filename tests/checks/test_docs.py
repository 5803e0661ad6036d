"""What the documents refer to exists: tests by their names, and files of the tree."""
import re

import hspy
import pytest

DOCUMENTS = sorted([*hspy.ROOT.glob("*.md"), *(hspy.ROOT / "docs").glob("*.md")])
TESTS = hspy.ROOT / "tests"


@pytest.fixture(scope="module")
def names():
    """Of all test files, and of the functions in them."""
    files = [path for pattern in ("**/test_*.py", "**/test_*.c") for path in TESTS.glob(pattern)]
    functions = {name for path in files if path.suffix == ".py"
                 for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)}
    return {path.stem for path in files} | functions


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tests_that_are_named(document, names):
    # Not those of the suites of others, nor patterns of names.
    ours = re.sub(r"[Pp]ython's [^.|]*", "", document.read_text(encoding="utf-8"))
    named = set(re.findall(r"\btest_[a-z0-9_]+\b(?!\*|\{)", ours))
    assert not sorted(named - names)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named(document):
    named = re.findall(r"`((?:preload|analyzer|include|tests|samples|docs)/[\w./-]+\.\w+)", document.read_text())
    assert not [name for name in named if not (hspy.ROOT / name).exists()]
