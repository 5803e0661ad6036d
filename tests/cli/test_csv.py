"""--csv: the rows of --json, as a table that any reader of RFC 4180 takes apart."""
import csv
import io
import json

import pytest
import scenario


@pytest.fixture
def run(tmp_path):
    return scenario.write_run(tmp_path / "run")


def table(heapspy, *words):
    done = heapspy(*words, "run", "-q", "--csv")
    assert done.code == 0 and done.err == ""
    return list(csv.DictReader(io.StringIO(done.out, newline=""), strict=True))


def objects(heapspy, *words):
    return json.loads(heapspy(*words, "run", "-q", "--json").out)["rows"]


def text(value):
    return "" if value is None else str(value)


def place(row):
    where = row["where"]
    return [text(where[key]) for key in ("function", "file", "line", "module", "inlined_into")]


@pytest.mark.parametrize("by", ["function", "line", "site", "module"])
def test_diff_says_what_json_says(heapspy, run, by):
    lines, rows = table(heapspy, "diff", "--by", by), objects(heapspy, "diff", "--by", by)
    assert len(lines) == len(rows) > 1
    for line, row in zip(lines, rows):
        assert list(line.values()) == [
            *place(row), *map(text, (row["bytes"], *row["ci"], row["verdict"], row["before"], row["after"],
                                     row["samples_born"], row["samples_died"], *row["before_ci"],
                                     *row["after_ci"]))]


@pytest.mark.parametrize("by", ["function", "line", "site", "module"])
def test_top_says_what_json_says(heapspy, run, by):
    lines, rows = table(heapspy, "top", "--by", by), objects(heapspy, "top", "--by", by)
    assert len(lines) == len(rows) > 1
    for line, row in zip(lines, rows):
        assert list(line.values())[:12] == [
            *place(row), *map(text, (row["bytes"], *row["ci"], row["blocks"], *row["blocks_ci"],
                                     row["samples"]))]
        assert float(line["median_age_seconds"]) == row["median_age_seconds"]


def test_threads_and_their_hostile_names(heapspy, tmp_path):
    names = ["a,b", '"quoted" \x1b[2J\nlines']

    def rename(s):
        s.threads[1:] = names

    scenario.write_run(tmp_path / "run", rename)
    lines = table(heapspy, "top", "--by", "thread")
    # As text has it: what is no character to be seen does not come through.
    assert sorted(line["thread"] for line in lines) == ['"quoted" \\x1b[2J\\x0alines', "a,b"]
    assert all(None not in line and None not in line.values() for line in lines)


def test_all_rows_and_the_columns(heapspy, run):
    assert len(table(heapspy, "diff", "-n", "1", "--min", "1GiB")) == 4
    assert heapspy("diff", "run", "--csv", "-q").out.splitlines()[0] == (
        "function,file,line,module,inlined_into,bytes,bytes_lo,bytes_hi,verdict,before,after,"
        "samples_born,samples_died,before_lo,before_hi,after_lo,after_hi")
    done = heapspy("top", "run", "--csv", "--json")
    assert done.code == 2 and done.err == "heapspy: --json and --csv exclude each other\n"
    assert heapspy("dump", "run", "--csv").code == 2
