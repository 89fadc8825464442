"""The report: medians per contender, the median of the rounds' ratios, and the verdicts."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.rounds import Sample

CPU_BAR = 1.5  # times the yardstick, per whole call and per streamed chunk
IDLE_RSS_BAR_MB = 70.0
START_BAR_S = 1.0

DIRECT = "direct"  # columns of the table, in this order
YARDSTICK = "yardstick"
CONTENDER = "contender"

CPU_PER_CALL = "CPU per call, us"
CPU_PER_CHUNK = "CPU per chunk, us"
START = "start to first 200, s"
IDLE_RSS = "RSS idle, MB"
PEAK_RSS = "RSS peak, MB"

Measure = Callable[[Sample], float]
Values = Mapping[str, Sequence[float]]  # by contender, round by round

WHOLE: Mapping[str, Measure] = {
    CPU_PER_CALL: lambda sample: sample.cpu_s / sample.calls * 1e6,
    "calls per s": lambda sample: sample.calls / sample.wall_s,
    "latency p50, ms": lambda sample: sample.whole_p50_ms,
    "latency p99, ms": lambda sample: sample.whole_p99_ms,
}
STREAM: Mapping[str, Measure] = {
    CPU_PER_CHUNK: lambda sample: sample.cpu_s / sample.chunks * 1e6,
    "chunks per s": lambda sample: sample.chunks / sample.wall_s,
    # what arrives together is cheaper: a paced contender above 1 bunches, which flatters its CPU
    "chunks per read": lambda sample: sample.chunks / sample.reads,
    "first byte p50, ms": lambda sample: sample.first_p50_ms,
    "first byte p99, ms": lambda sample: sample.first_p99_ms,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    scenario: str
    measure: str
    medians: Mapping[str, float]
    ratios: Sequence[float]  # contender / yardstick, one for each round

    @property
    def ratio(self) -> float:
        """The figure that counts."""
        return statistics.median(self.ratios)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar, and how the contender stands to it."""

    what: str
    found: str
    bar: str
    passed: bool

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'MISS'}  {self.what}: {self.found} (bar: {self.bar})"


def row(scenario: str, measure: str, values: Values) -> Row:
    """A row from each contender's values, which stand in the same order of rounds."""
    pairs = zip(values[CONTENDER], values[YARDSTICK], strict=True)
    return Row(
        scenario,
        measure,
        {name: statistics.median(of_one) for name, of_one in values.items()},
        [ours / theirs for ours, theirs in pairs if theirs],
    )


def rows_of(samples: Sequence[Sample]) -> Iterator[Row]:
    """The rows of one scenario, from the rounds without a problem."""
    spoilt = {sample.round for sample in samples if sample.problems}
    samples = [sample for sample in samples if sample.round not in spoilt]
    if not samples:
        return
    for name, measure in (STREAM if samples[0].chunks else WHOLE).items():
        yield row(samples[0].scenario, name, _values(samples, measure))
    if any(sample.contender == DIRECT for sample in samples):
        yield row(samples[0].scenario, "added p50, ms", _added(samples))


def _values(samples: Sequence[Sample], measure: Measure) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for sample in sorted(samples, key=lambda sample: sample.round):
        values.setdefault(sample.contender, []).append(measure(sample))
    if not any(values.get(DIRECT, ())):  # the upstream's own CPU says nothing
        values.pop(DIRECT, None)
    return values


def _added(samples: Sequence[Sample]) -> Values:
    latencies = _values(samples, lambda sample: sample.whole_p50_ms)
    direct = latencies.pop(DIRECT)
    return {
        name: [through - straight for through, straight in zip(of_one, direct, strict=True)]
        for name, of_one in latencies.items()
    }


def verdicts(rows: Sequence[Row], heavy_imports: Sequence[str] | None) -> Iterator[Verdict]:
    """The bars of the issue, as far as the rows tell; `heavy_imports` is None if not looked at."""
    for each in rows:
        where = f"{each.measure.rpartition(',')[0]}, {each.scenario}"
        if each.measure in (CPU_PER_CALL, CPU_PER_CHUNK) and each.scenario != "latency":
            ratio, bar = f"{each.ratio:.2f}x the yardstick", f"{CPU_BAR}x"
            yield Verdict(where, ratio, bar, each.ratio <= CPU_BAR)
        elif each.measure in (IDLE_RSS, START):
            bar_number = IDLE_RSS_BAR_MB if each.measure == IDLE_RSS else START_BAR_S
            found = each.medians[CONTENDER]
            yield Verdict(each.measure, f"{found:.3g}", f"under {bar_number:g}", found < bar_number)
    if heavy_imports is not None:
        named = ", ".join(heavy_imports) or "none"
        yield Verdict("heavy imports of --help", named, "none", not heavy_imports)


def table(rows: Sequence[Row], contender: str) -> Iterator[str]:
    """The rows as aligned text; the last columns are the ratio and its range over the rounds."""
    yield _line("scenario", "measure", DIRECT, YARDSTICK, contender[:12], "ratio", "range")
    scenario = ""
    for each in rows:
        medians = [_number(each.medians.get(name)) for name in (DIRECT, YARDSTICK, CONTENDER)]
        spread = f"{min(each.ratios):.2f}-{max(each.ratios):.2f}" if each.ratios else "-"
        ratio = f"{each.ratio:.2f}" if each.ratios else "-"
        yield _line(
            each.scenario if each.scenario != scenario else "",
            each.measure,
            *medians,
            ratio,
            spread,
        )
        scenario = each.scenario


def _line(scenario: str, measure: str, *cells: str) -> str:
    return f"{scenario:<15}{measure:<22}{''.join(f'{cell:>12}' for cell in cells)}".rstrip()


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
