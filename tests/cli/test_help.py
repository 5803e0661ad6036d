"""Help, versions, mistyped words, and the agreement of help with parsing."""
import re

import pytest

COMMANDS = ("diff", "top", "dump")


@pytest.mark.parametrize("words", [("help",), ("--help",), *[("help", c) for c in COMMANDS],
                                   *[(c, "--help") for c in COMMANDS]])
def test_help_fits_eighty_columns(heapspy, words):
    done = heapspy(*words)
    assert done.code == 0 and done.err == ""
    assert max(map(len, done.out.splitlines())) <= 80
    assert all(ord(c) < 128 for c in done.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_in_the_help_is_parsed(heapspy, command):
    text = heapspy("help", command).out
    assert text == heapspy(command, "--help").out
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+|-\w)( [A-Za-z|]+)?", text, re.M)
    assert len(options) >= 8
    for option, argument in options:
        if option in ("--help",):
            continue
        value = {"-n": "1", "--by": "line", "--metric": "live", "--min": "1", "--stacks": "1",
                 "--color": "never"}.get(option, "x")
        done = heapspy(command, option, *([value] if argument else []), "/nothing", "/nothing"
                       if command == "diff" else "--quiet")
        assert done.code == 3 and "/nothing" in done.err, (option, done.err)


def test_overview_names_every_command(heapspy):
    text = heapspy("help").out
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, re.M)
    done = heapspy()
    assert done.code == 2 and done.err == text


def test_version(heapspy):
    done = heapspy("--version")
    assert done.code == 0 and re.fullmatch(r"heapspy \d+\.\d+\.\d+ \(reads snapshot format 1\)\n", done.out)


@pytest.mark.parametrize("words, message", [
    (("dif",), "unknown command 'dif'; did you mean diff?"),
    (("tpo", "x"), "unknown command 'tpo'; did you mean top?"),
    (("wombat",), "unknown command 'wombat'; see heapspy help"),
    (("help", "dmup"), "unknown command 'dmup'; did you mean dump?"),
    (("--wombat",), "unknown option '--wombat'; see heapspy help"),
    (("top", "--metrics", "live", "x"), "unknown option '--metrics'; did you mean --metric?"),
    (("diff", "--metric", "live", "x"), "unknown option '--metric'"),
    (("dump", "-x", "x"), "unknown option '-x'"),
    (("top",), "usage: heapspy top [OPTION]... MOMENT (see heapspy help top)"),
    (("top", "a", "b"), "usage: heapspy top"),
    (("diff", "a", "b", "c"), "usage: heapspy diff")])
def test_wrong_usage(heapspy, words, message):
    done = heapspy(*words)
    assert done.code == 2 and done.out == ""
    assert done.err.startswith(f"heapspy: {message}"), done.err
    assert done.err.count("\n") == 1


def test_overview_tells_how_to_record(heapspy):
    text = heapspy("help").out
    assert re.search(r"^  HEAPSPY_INTERVAL=5s (\\\n    )?LD_PRELOAD=\S*libheapspy\.so \./server$", text, re.M)
    assert "HEAPSPY_INTERVAL (60s unless set) and at exit" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_partial_promises_no_more_than_it_holds(heapspy, command):
    """A file that was cut has lost INFO, which is written last."""
    assert "use what is whole of a damaged snapshot\n" in heapspy("help", command).out
