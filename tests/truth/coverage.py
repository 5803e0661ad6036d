"""How often ranges hold the truth: pure bookkeeping over what runs.py has read."""
import collections
import dataclasses
import math

METRICS = ("live", "allocated", "growth")
COUNTS = ("live blocks", "allocated blocks")
# Limits of expected samples between which sites of small blocks are put together. Those above the last are the
# ones that must hold the truth in 93 to 97 of 100 cases: with fewer samples the limits of a Poisson mean, of
# which only whole numbers are possible, hold more than is asked for.
STEPS = (0, 2, 4, 8, 16, 50, math.inf)
SMALL_BYTES = 1024


@dataclasses.dataclass
class Figure:
    """What a report says of a site: low is not None; high is None where the report gives no upper limit."""
    estimate: float
    low: float
    high: float
    samples: int


@dataclasses.dataclass
class Reading:
    """A figure of one run and the truth of it."""
    site: str
    metric: str
    truth: int
    figure: Figure

    @property
    def below(self):
        """The truth is below the range."""
        return self.truth < self.figure.low

    @property
    def above(self):
        return self.figure.high is not None and self.truth > self.figure.high


def expected_samples(readings):
    """Samples that a run finds on average, by (site, metric)."""
    found = collections.defaultdict(list)
    for reading in readings:
        found[reading.site, reading.metric].append(reading.figure.samples)
    return {key: sum(values) / len(values) for key, values in found.items()}


class Coverage:
    """How often ranges held the truth, over readings that belong together.

    Readings of different sites or runs are independent, since each block is decided for itself. So the misses are
    binomial, and chance_of_so_few() is the probability of a share as low as that found, or lower, if the true one
    were the percentage given.
    """

    def __init__(self, readings):
        self.readings = list(readings)
        self.n = len(self.readings)
        self.below = sum(reading.below for reading in self.readings)
        self.above = sum(reading.above for reading in self.readings)
        self.held = self.n - self.below - self.above

    @property
    def percent(self):
        return 100 * self.held / self.n

    def chance_of_so_few(self, percent):
        return sum(binomial(self.n, k, percent / 100) for k in range(self.held + 1))

    def chance_of_so_many(self, percent):
        return sum(binomial(self.n, k, percent / 100) for k in range(self.held, self.n + 1))

    @property
    def bias(self):
        """The mean error of the estimates in standard errors of that mean, by the widths of the ranges."""
        error = sum(reading.figure.estimate - reading.truth for reading in self.readings)
        variance = sum(((reading.figure.high - reading.figure.low) / 3.92) ** 2 for reading in self.readings)
        return error / math.sqrt(variance)

    @property
    def half_width_percent(self):
        """The median half width of the ranges, in percent of the truth."""
        widths = sorted((reading.figure.high - reading.figure.low) / 2 / reading.truth for reading in self.readings)
        return 100 * widths[len(widths) // 2]


def binomial(n, k, p):
    return math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
                    + k * math.log(p) + (n - k) * math.log(1 - p))


def by_group(readings, plan):
    """Coverage by (group of sites, metric), in the order of the plan."""
    return together(readings, lambda one: plan[one.site]["group"] if one.site in plan else None)


def by_samples(readings, plan):
    """Coverage by (index in STEPS, metric), of sites of small blocks only."""
    expected = expected_samples(readings)
    small = [one for one in readings if one.site in plan and plan[one.site]["sizes"][1] <= SMALL_BYTES]
    return together(small, lambda one: sum(limit <= expected[one.site, one.metric] for limit in STEPS) - 1)


def together(readings, kind_of):
    lists = collections.defaultdict(list)
    for reading in readings:
        lists[kind_of(reading), reading.metric].append(reading)
    return {key: Coverage(values) for key, values in lists.items()}
