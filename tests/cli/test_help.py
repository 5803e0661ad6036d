"""Help, versions, mistyped words, and the agreement of help with parsing."""
import os
import random
import re
import subprocess

import pytest
import scenario
from hspy import BUILD

HEAPSPY = BUILD / "analyzer" / "heapspy"
# Where no name of a program is found, no random line starts one.
NOWHERE = "/nonexistent"


def words_of_overview(pattern):
    text = subprocess.run([str(HEAPSPY), "help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.findall(pattern, text, re.M)


COMMANDS = words_of_overview(r"^  (?!heapspy)([a-z]+) ")
TOPICS = words_of_overview(r"explains: (.*)\.$")[0].split(", ")
# What each command works on that does not exist, and how it then ends.
ARGUMENTS = {"run": (["/nothing"], 127), "diff": (["/nothing", "/nothing"], 3), "top": (["/nothing"], 3),
             "churn": (["/nothing", "/nothing"], 3), "trend": (["/nothing"], 3),
             "check": (["--baseline", "/nothing", "--candidate", "/nothing/else"], 3),
             "dump": (["/nothing"], 3), "recover": (["/nothing"], 3), "snapshot": (["2147483647"], 3),
             "live": (["2147483647"], 3),
             "doctor": (["2147483647"], 3), "completion": (["fish"], 0)}


def test_every_command_is_tried_here():
    assert sorted(COMMANDS) == sorted(ARGUMENTS)


@pytest.mark.parametrize("words", [("help",), ("--help",), *[("help", c) for c in (*COMMANDS, *TOPICS)],
                                   *[(c, "--help") for c in COMMANDS]])
def test_help_fits_eighty_columns(heapspy, words):
    done = heapspy(*words)
    assert done.code == 0 and done.err == ""
    assert max(map(len, done.out.splitlines())) <= 80
    assert all(ord(c) < 128 for c in done.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_in_the_help_is_parsed(heapspy, tmp_path, command):
    text = heapspy("help", command).out
    assert text == heapspy(command, "--help").out
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+|-\w)(?: (\S+))?", text, re.M)
    assert ("--help", "") in options
    samples = {"N": "1", "SIZE": "1MiB", "TIME": "1s", "DIR": "/dev/shm", "FILE": tmp_path / "out", "RE": "x",
               "C": "x", "SHARE": "0.5%", "WHO": "auto", "HOW": "cfi", "WHICH": "all", "WHEN": "auto", "NAME": "x",
               "MAX": "1GiB", "RATE": "5MiB/h", "CMD": "true"}
    if command == "run":
        samples.update(WHEN="on", NAME="jemalloc")
    words, code = ARGUMENTS[command]
    for option, argument in options:
        if option == "--help":
            continue
        values = argument.split("|") if "|" in argument else [samples[argument]] if argument else []
        # A part of a run: of one.
        of = words[:1] if command in ("diff", "churn") and argument == "WHEN" else words
        # A limit of one long run.
        of = ["/nothing"] if option in ("--no-leaks", "--max-growth") else of
        for value in values or [None]:
            done = heapspy(command, option, *([value] if value else []), *of)
            assert done.code == code, (option, value, done.err)


def test_overview_names_every_command(heapspy):
    text = heapspy("help").out
    done = heapspy()
    assert done.code == 2 and done.err == text
    assert len(COMMANDS) == len(set(COMMANDS)) and {"run", "diff", "top", "doctor"} <= set(COMMANDS)


def test_a_topic_explains_what_an_error_names(heapspy):
    assert "static" in TOPICS
    assert heapspy("help", "static").out.startswith("heapspy enters a program through the dynamic loader")


def test_version(heapspy):
    done = heapspy("--version")
    assert done.code == 0 and re.fullmatch(r"heapspy \d+\.\d+\.\d+ \(reads snapshot format 1\)\n", done.out)


@pytest.mark.parametrize("words, message", [
    (("dif",), "unknown command 'dif'; did you mean diff?"),
    (("tpo", "x"), "unknown command 'tpo'; did you mean top?"),
    (("wombat",), "unknown command 'wombat'; see heapspy help"),
    (("complet",), "unknown command 'complet'; did you mean completion?"),
    (("help", "dmup"), "unknown command 'dmup'; did you mean dump?"),
    (("help", "statik"), "unknown command 'statik'; did you mean static?"),
    (("help", "nosuch"), "unknown command or topic 'nosuch'; the topics are static, privileges, allocators, "
                         "the commands: heapspy help"),
    (("help", "top", "diff"), "usage: heapspy help [COMMAND]"),
    (("--wombat",), "unknown option '--wombat'; see heapspy help"),
    (("top", "--metrics", "live", "x"), "unknown option '--metrics'; did you mean --metric?"),
    (("diff", "--metric", "objects", "x"), "--metric: 'objects' is not live or allocated"),
    (("dump", "--metric", "live", "x"), "unknown option '--metric'"),
    (("top", "--m", "x"), "option '--m' is short for more than one: --metric, --min, --module"),
    (("top", "--by", "bogus", "x"), "--by: 'bogus' is not function, line, site, module or thread"),
    (("diff", "--by", "thread", "x"), "--by: 'thread' is not function, line, site or module"),
    (("top", "--color", "pink", "x"), "--color: 'pink' is not auto, always or never"),
    (("dump", "-x", "x"), "unknown option '-x'"),
    (("completion", "tcsh"), "no completion for 'tcsh'; there is one for bash, zsh and fish"),
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
    assert "\n  heapspy run --interval 5s -- ./server\n" in text
    assert re.search(r"^  HEAPSPY_INTERVAL=5s (\\\n    )?LD_PRELOAD=\S*libheapspy\.so \./server$", text, re.M)
    assert "HEAPSPY_INTERVAL (60s unless set) and at exit" in text


@pytest.mark.parametrize("command", ["diff", "top", "dump"])
def test_partial_promises_no_more_than_it_holds(heapspy, command):
    """A file that was cut has lost INFO, which is written last."""
    assert "use what is whole of a damaged snapshot\n" in heapspy("help", command).out


def random_words(rng, command, options):
    values = ["", "-", "--", "-1", "0", "1", "18446744073709551616", "1e9", "64KiB", "1s", "no\nline", "\x1b[2J",
              "(", "[", "*", "\\", "a" * 5000, "é", "\udcff", "run", "run@3", "run@", "@", "run/000001.hspy", "x=y",
              "2147483647", *(["run"] * 4 if command in ("diff", "top", "dump") else [])]
    words = []
    for _ in range(rng.randrange(5)):
        kind = rng.randrange(6)
        if kind == 0:
            words.append(rng.choice(values))
        elif kind == 1:
            words.append("-" + "".join(rng.choice("nqovhxWé?:\udcff-") for _ in range(rng.randrange(1, 4))))
        else:
            option, argument = rng.choice(options)
            option = option[:rng.randrange(2, len(option) + 1)] if kind == 2 else option
            if kind == 3:
                words.append(f"{option}={rng.choice(values)}")
            else:
                words += [option, rng.choice(argument.split("|") if "|" in argument else values)]
    return words


@pytest.mark.parametrize("command", COMMANDS)
def test_random_lines(heapspy, tmp_path, command):
    """Any words: an answer, or one to three clear lines and nothing else; never a crash.

    A word that itself has lines only has to leave the prefix before each."""
    if command not in ("live", "snapshot"):
        scenario.write_run(tmp_path / "run")
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+|-\w)(?: (\S+))?", heapspy("help", command).out, re.M)
    rng = random.Random(f"lines of {command}")
    codes = set()
    for _ in range(120):
        words = random_words(rng, command, options)
        done = subprocess.run([str(HEAPSPY), command, *map(os.fsencode, words)], cwd=tmp_path,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
                              env={"PATH": NOWHERE, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path),
                                   "HEAPSPY_STATE": str(tmp_path)})
        usage = 125 if command == "run" else 2
        codes.add(done.returncode)
        assert done.returncode in (0, 1, 2, 3, 4, 125, 126, 127), (words, done)
        text = done.stderr.decode().replace("\x1b[33m", "").replace("\x1b[0m", "")
        lines = text.splitlines()
        if any("\n" in word for word in words):
            assert all(line.startswith("heapspy: ") for line in lines), (words, lines)
            continue
        assert all(line.startswith("heapspy: ") and len(line) > 12 for line in lines), (words, lines)
        assert "\x1b" not in text
        if done.returncode not in (0, 1):
            assert 1 <= len(lines) <= 3 and done.stdout == b"", (words, done)
        if done.returncode == usage:
            assert len(lines) == 1, (words, lines)
    assert usage in codes and len(codes) >= 2
