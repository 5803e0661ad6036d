"""heapspy trend on programs that leak, cache, warm up or do nothing: truth/verdicts.py.

Verdicts rest on samples, so that a bounded site may look grown in one of twenty runs, by design. A wrong verdict is
believed when two more runs give a wrong one, too; but nothing that is bounded may ever be called a leak.
"""
import collections

import pytest

from truth import verdicts


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """All verdicts by (process, behaviour), the last one last."""
    found, processes = collections.defaultdict(list), [*verdicts.EXPECTED, verdicts.ALL]
    for _ in range(3):
        wrong = set()
        for key, verdict in verdicts.judged(tmp_path_factory.mktemp("verdicts"), processes).items():
            found[key].append(verdict)
            if verdict not in verdicts.EXPECTED[key[1]]:
                wrong.add(key[0])
        processes = sorted(wrong)
        if not processes:
            break
    for (process, behaviour), each in found.items():
        print(f"{process:16} {behaviour:16} {', then '.join(each)}")
    return found


@pytest.mark.parametrize("behaviour", verdicts.EXPECTED)
@pytest.mark.parametrize("process", ["alone", verdicts.ALL])
def test_verdict(process, behaviour, said):
    each = said[behaviour if process == "alone" else process, behaviour]
    assert any(verdict in verdicts.EXPECTED[behaviour] for verdict in each), each
    if verdicts.bounded(behaviour):
        assert not any(verdict.startswith(verdicts.LEAK) for verdict in each), each
