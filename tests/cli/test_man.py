"""The manual: sound mdoc, and the same commands, options and settings as the code has."""
import pathlib
import re
import shlex
import subprocess

import pytest
from hspy import ROOT

MAN = ROOT / "docs" / "man"
PAGES = sorted(path.name for path in MAN.glob("*.[1-9]"))
SETTINGS = ROOT / "preload" / "state" / "settings.c"


def text_of(page):
    return (MAN / page).read_text()


def commands(heapspy):
    return re.findall(r"^  (?!heapspy)([a-z]+) ", heapspy("help").out, re.M)


@pytest.mark.parametrize("page", PAGES)
def test_lint(page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(MAN / page)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0 and done.stdout == ""
    assert max(map(len, text_of(page).splitlines())) <= 100


@pytest.mark.parametrize("page", PAGES)
def test_sections_and_references(page):
    text = text_of(page)
    sections = re.findall(r"^\.Sh (.*)", text, re.M)
    assert sections[0] == "NAME" and sections[-1] == "SEE ALSO" and "EXAMPLES" in sections
    assert ("EXIT STATUS" in sections) == page.endswith(".1")
    for name, section in re.findall(r"^\.Xr (heapspy\S*) (\d)", text, re.M):
        assert f"{name}.{section}" in PAGES, (page, name)
    assert page == "heapspy.1" or ".Xr heapspy 1" in text
    assert f"'{page}'" in (MAN / "meson.build").read_text(), f"{page} is not installed"


def test_every_command_has_its_page_and_no_page_is_of_none(heapspy):
    of_commands = {f"heapspy-{command}.1" for command in commands(heapspy)}
    assert of_commands == {page for page in PAGES if page.endswith(".1")} - {"heapspy.1"}
    text = text_of("heapspy.1")
    listed = re.findall(r"^\.It Cm ([a-z]+)", text, re.M)
    assert listed == [*commands(heapspy), "help"]
    for page in PAGES:
        name, _, section = page.rpartition(".")
        assert page == "heapspy.1" or f".Xr {name} {section}" in text


def options_told_by_help(heapspy, command):
    """As mdoc would say it: from the table, which the help prints."""
    items = []
    for words, argument in re.findall(r"^  (-[\w-]+(?:, --[\w-]+)?)(?: (\S+))?(?:  .*)?$",
                                      heapspy("help", command).out, re.M):
        item = " , ".join(f"Fl {word[1:]}" for word in words.split(", "))
        if "|" in argument:
            item += " Cm " + " | ".join(argument.split("|"))
        elif argument:
            item += f" Ar {argument}"
        items.append(item)
    return items


def test_options_agree_with_the_table(heapspy):
    for command in commands(heapspy):
        told = options_told_by_help(heapspy, command)
        written = re.findall(r"^\.It (Fl .*)", text_of(f"heapspy-{command}.1"), re.M)
        assert told and sorted(written) == sorted(told), command


def test_a_number_of_rows_has_the_default_of_the_help(heapspy):
    for command in commands(heapspy):
        found = re.search(r"^  -n N +rows to show; 0: all \((\d+)\)", heapspy("help", command).out, re.M)
        if found:
            assert f"rows, {found.group(1)} unless given; 0: all." in text_of(f"heapspy-{command}.1")


def settings():
    table = re.search(r"variables\[\] = \{(.*?)^\};", SETTINGS.read_text(), re.M | re.S).group(1)
    found = re.findall(r'\{ "(HEAPSPY_\w+)", \w+,\s*"([^"]*)",\s*"([^"]*)" \}', table)
    assert len(found) >= 11
    return found


def test_settings_agree_with_the_library():
    told = {name: default for name, _, default in settings()}
    written = dict(re.findall(r"^\.It Ev (HEAPSPY_\w+) Pq default: (.*)", text_of("heapspy-environment.7"), re.M))
    assert written == told


@pytest.mark.parametrize("name, words", [("HEAPSPY_WRITER", None), ("HEAPSPY_UNWIND", None),
                                         ("HEAPSPY_CHILDREN", None), ("HEAPSPY_START", {"off"}),
                                         ("HEAPSPY_VERBOSE", {"1"})])
def test_words_of_settings_are_explained(name, words):
    """Each word that the library takes; of two-valued ones the one that is not the default."""
    text = text_of("heapspy-environment.7")
    entry = re.search(rf"^\.It Ev {name} .*\n((?:(?!\.It Ev ).*\n)*)", text, re.M).group(1)
    expected = next(expected for setting, expected, _ in settings() if setting == name)
    for word in words or re.split(r", | or ", expected):
        assert re.search(rf"\.(?:It )?Ql {word}\b", entry), (name, word)


def examples():
    for page in PAGES:
        text = text_of(page).replace("\\e\n", " ").replace("\\-", "-")
        for line in re.findall(r"^\$ (heapspy .*)$", text, re.M):
            yield page, line


def test_pages_hold_commands_to_copy():
    assert len(list(examples())) >= 12


@pytest.mark.parametrize("page, line", list(examples()))
def test_examples_are_understood(heapspy, page, line):
    """Their runs do not exist here, so each ends there; none ends as wrong usage."""
    nobody = "2147483647"
    done = heapspy(*[nobody if word == "4121" else word for word in shlex.split(line)[1:]])
    assert done.code in (0, 1, 3, 127) and "usage" not in done.err, (page, done.err)


def test_topics_are_named(heapspy):
    topics = re.search(r"explains: (.*)\.$", heapspy("help").out, re.M).group(1).split(", ")
    text = text_of("heapspy.1")
    assert topics and all(re.search(rf"^\.Ql {topic}\b", text, re.M) for topic in topics)
