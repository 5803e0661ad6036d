"""samples/README.md says what is true: its commands are run, their outputs compared with its own.

An output agrees when samples/update-readme.py finds no difference (it says how it compares). A sample
that lands in some tiny block adds a row about once in a hundred runs, so a difference is believed
when two more runs differ as well.
"""
import importlib.util

import hspy
import pytest


def load_script():
    spec = importlib.util.spec_from_file_location(
        "update_readme", hspy.ROOT / "samples" / "update-readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


readme = load_script()
TEXT = readme.README.read_text(encoding="utf-8")
SECTIONS = readme.sections(TEXT)
by_name = pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)


def first_difference(section, directory):
    directory.mkdir()
    readme.prepare(directory)
    for command, expected in section.commands:
        why = readme.difference(expected, readme.run(command, directory), section.source)
        if why:
            return f"$ {command}\n{why}"
    return None


@by_name
def test_commands_print_what_the_readme_says(section, tmp_path):
    if section.name == "rust" and not section.program.exists():
        pytest.skip("samples/findings/rust is not built: meson found no rustc")
    differences = []
    for attempt in range(3):
        differences.append(first_difference(section, tmp_path / str(attempt)))
        if not differences[-1]:
            return
    raise AssertionError("samples/update-readme.py, if that is meant:\n" + "\n".join(differences))


def test_every_program_has_its_section():
    assert [section.name for section in SECTIONS] == list(dict.fromkeys(
        section.name for section in SECTIONS))
    assert {section.source for section in SECTIONS} == {
        path.name for path in readme.SOURCES.iterdir() if path.suffix in (".c", ".cc", ".rs")}
    for section in SECTIONS:
        assert section.commands[0][0].endswith(f" -- ./build/samples/findings/{section.name}")
        assert all(output for _, output in section.commands), section.name
        assert f"](#{section.name})" in TEXT and f"findings/{section.source}`" in TEXT


def test_the_same_outputs_leave_the_readme_as_it_is():
    outputs = {section.name: dict(section.commands) for section in SECTIONS}
    assert readme.rewritten(TEXT, outputs) == TEXT
    changed = dict(outputs, leak={command: ["anything"] for command in outputs["leak"]})
    again = {section.name: dict(section.commands)
             for section in readme.sections(readme.rewritten(TEXT, changed))}
    assert again == changed


def difference_after(change, name, marker):
    """What is seen when the first row of a section that starts so is replaced by change(row)."""
    section = next(section for section in SECTIONS if section.name == name)
    for _, lines in section.commands:
        for i, line in enumerate(lines):
            if line.startswith(marker):
                changed = [*lines[:i], *change(line), *lines[i + 1:]]
                assert changed != lines
                return readme.difference(lines, changed, section.source)
    raise AssertionError(f"no row '{marker}' in {name}")


@pytest.mark.parametrize("section, marker, change", [
    ("leak", "  +", lambda row: ["  ~" + row[3:]]),
    ("leak", "  +", lambda row: [row.replace("session_open", "handle_request")]),
    ("leak", "  +", lambda row: [row.replace("leak.c:", "leak.c:1")]),
    ("leak", "  +", lambda row: [row, row]),
    ("leak", "  ~", lambda row: []),
    ("leak", "  +", lambda row: [row.replace("MiB", "KiB")]),
    ("leak", "  +", lambda row: [row.replace("MiB", "GiB")]),
    ("leak", "leak (pid", lambda row: [row.replace("512 KiB", "64 KiB")]),
    ("sawtooth", "  +", lambda row: [row.replace("3 000", "3 001")]),
    ("sawtooth", "  +", lambda row: [row.replace("exact", "5.8..5.9")]),
    ("churn", "  allocated", lambda row: [row.replace("95", "50")]),
    ("churn", "mean", lambda row: ["every allocation (exact)"]),
])
def test_differences_that_matter_are_seen(section, marker, change):
    assert difference_after(change, section, marker)


def test_rows_in_another_order_are_seen():
    lines = ["+  80 MiB  70..90  parse  a.cc:1", "+  12 MiB  8..17  add  a.cc:2"]
    assert readme.difference(lines, lines, "a.cc") is None
    assert readme.difference(lines, lines[::-1], "a.cc")


@pytest.mark.parametrize("section, marker, change", [
    ("leak", "leak (pid", lambda row: [row.replace("(pid ", "(pid 1").replace("0:00:0", "0:00:1")]),
    ("leak", "  +", lambda row: [row.replace("  ", "   ")]),
    ("leak", "  =", lambda row: [row + "; RSS grew by 9 MiB (8..10) more: allocator, stacks, mappings"]),
    ("leak", "  ~", lambda row: [row.replace("1 site ", "2 sites ")]),
    ("prefork", "heapspy: prefork", lambda row: [row.replace("prefork/prefork.", "prefork/prefork.1")]),
])
def test_differences_that_do_not_matter_are_not(section, marker, change):
    assert difference_after(change, section, marker) is None
