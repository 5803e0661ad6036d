"""Programs that free on their way out: what they had lost by then must not be hidden by it."""
import json

import made_runs
import pytest
import scenario

MIB = 1 << 20
N = 40


def made():
    return made_runs.Run([*made_runs.leak("leak", N, per_epoch=6), *made_runs.steady("steady", 40)])


def shrink_to(share, first, reason=1):
    """From cut `first` on the heap shrinks to this share at the last, its newest blocks first."""
    def change(s):
        done = (s.info["number"] - first) / (N + 1 - first)
        if done > 0:
            kept = 1 - (1 - share) * done
            s.live = sorted(s.live, key=lambda sample: sample.birth_ns)[:int(kept * len(s.live))]
            live = sum(made_runs.bytes_of(sample.size) for sample in s.live)
            s.tail = ((6 * N + 40) * made_runs.bytes_of(4096), s.tail[1], live)
        if s.info["number"] == N + 1:
            s.info["reason"] = reason
    return change


HINT = "live fell by 43 % at the end (shutting down?): heapspy {} run --until 35\n"


def test_a_part_freed_at_exit_hides_no_leak(heapspy, tmp_path):
    made().write(tmp_path / "run", shrink_to(.6, N, reason=2))
    done = heapspy("diff", "run")
    assert "B: the last before the exit, by which it had freed 39 % (@last)\n" in done.out
    assert " 1 site grew, " in done.out
    assert "fell" not in done.err
    found = json.loads(heapspy("trend", "run", "-q", "--json").out)
    assert found["rows"][0]["verdict"] == "leak-like" and found["left_out"]["exit"]
    assert "fell" not in heapspy("trend", "run").err
    assert heapspy("check", "run", "--no-leaks", "-q").code == 1


@pytest.mark.parametrize("words, command", [(("diff", "run"), "diff"), (("trend", "run"), "trend"),
                                            (("check", "run", "--no-leaks"), "trend")])
def test_a_slow_shutdown_is_told(heapspy, tmp_path, words, command):
    made().write(tmp_path / "run", shrink_to(.5, 35))
    assert HINT.format(command) in heapspy(*words).err
    assert "fell" not in heapspy(*words, "-q").err
    if words[0] != "check":
        until = heapspy(*words, "--until", "35")
        assert "fell" not in until.err and until.out != heapspy(*words).out


def test_a_heap_that_only_grows_does_not_fall(heapspy, tmp_path):
    made().write(tmp_path / "run")
    for words in (("diff", "run"), ("trend", "run"), ("check", "run", "--no-leaks")):
        assert "fell" not in heapspy(*words).err


def test_freed_heap_is_not_called_something_else(heapspy, tmp_path):
    """RSS stays where the heap was at its highest."""
    def change(s):
        shrink_to(.3, 35)(s)
        s.info["rss_bytes"] = (20 + min(s.info["number"], 35) * 3) * MIB

    made().write(tmp_path / "run", change)
    assert "RSS 23 MiB -> 125 MiB.\n" in heapspy("trend", "run", "-q").out
    assert "RSS grew" not in heapspy("diff", "run", "-q").out
