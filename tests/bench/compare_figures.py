"""Records of runs, and ratios of them: always within a round, then the median over rounds."""
import dataclasses
import math
import statistics


@dataclasses.dataclass(frozen=True)
class Record:
    workload: str
    case: str
    size: str
    round: int
    variant: str
    figures: dict


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median, with an interval that holds the true one in 95 of 100 cases; of n values."""
    median: float
    low: float
    high: float
    n: int


def spread(values):
    """The interval is one of order statistics, which needs no assumption but independence (binomial with 1/2);
    of fewer than six values it is all of them, and promises less."""
    values = sorted(values)
    n, outside, k = len(values), 0.0, 0
    while k < n // 2:
        outside += math.comb(n, k) / 2 ** n
        if outside > 0.025:
            break
        k += 1
    k = max(k, 1)
    return Spread(statistics.median(values), values[k - 1], values[n - k], n)


def exactly(figure):
    """A figure without a spread, as one; a spread stays what it is."""
    return figure if isinstance(figure, Spread) else Spread(figure, figure, figure, math.inf)


class Figures:
    """All records of a run, by place."""

    def __init__(self, records):
        self.value = {}
        self.rounds = {}
        for one in records:
            self.value[one.workload, one.case, one.size, one.round, one.variant] = one.figures
            self.rounds.setdefault((one.workload, one.case, one.size), set()).add(one.round)

    def values(self, workload, case, variant, figure, size="full"):
        rounds = sorted(self.rounds.get((workload, case, size), ()))
        found = (self.value.get((workload, case, size, number, variant), {}) for number in rounds)
        return [one[figure] for one in found if figure in one]

    def median(self, workload, case, variant, figure, size="full"):
        values = self.values(workload, case, variant, figure, size)
        return statistics.median(values) if values else None

    def compared(self, workload, case, variant, base, figure, size="full", how=lambda a, b: a / b):
        """The spread of variant against base, over the rounds that have both; None without one."""
        found = []
        for number in sorted(self.rounds.get((workload, case, size), ())):
            one, other = (self.value.get((workload, case, size, number, name), {}).get(figure)
                          for name in (variant, base))
            if one is not None and other:
                found.append(how(one, other))
        return spread(found) if found else None

    def difference(self, workload, case, variant, base, figure, size="full"):
        return self.compared(workload, case, variant, base, figure, size, how=lambda a, b: a - b)
