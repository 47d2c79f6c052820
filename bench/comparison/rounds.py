"""Two programs in turns on the same files, and what the turns say together."""

import dataclasses
import math
import os
import pathlib
import statistics
import sys

from comparison.programs import ONE_TOKEN, ProgramError


@dataclasses.dataclass
class Series:
    """What one program said of one test, a report for each round; or why it said nothing."""
    reports: list = dataclasses.field(default_factory=list)
    error: str | None = None

    def figures(self, key):
        if self.error:
            return []
        return [report[key] for report in self.reports if report.get(key) is not None]

    def summary(self, key):
        """Median, lowest and highest; None without figures."""
        figures = self.figures(key)
        return (statistics.median(figures), min(figures), max(figures)) if figures else None

    def last(self, key):
        figures = self.figures(key)
        return figures[-1] if figures else None


@dataclasses.dataclass
class Comparison:
    """One test of one model."""
    test: object
    puna: Series = dataclasses.field(default_factory=Series)
    peer: Series = dataclasses.field(default_factory=Series)

    def ratio(self):
        """puna's speed over the peer's: median, lowest and highest of the rounds.

        A round's two runs are neighbours in time, so what slows the machine for minutes slows both.
        """
        pairs = zip(self.puna.figures("tokens_per_second"), self.peer.figures("tokens_per_second"))
        ratios = [a / b for a, b in pairs if b > 0]
        return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


@dataclasses.dataclass
class ModelResult:
    path: pathlib.Path
    comparisons: list  # the first is of ONE_TOKEN
    load: float = 0  # the highest load average between turns

    @property
    def label(self):
        return self.path.stem

    @property
    def size_bytes(self):
        return self.path.stat().st_size if self.path.is_file() else None

    def series(self):
        return [series for comparison in self.comparisons
                for series in (comparison.puna, comparison.peer)]


def compare_model(path, puna, peer, tests, n_rounds):
    result = ModelResult(path, [Comparison(test) for test in (ONE_TOKEN, *tests)])
    if not path.is_file():
        for series in result.series():
            series.error = "no such file"
        say(f"{path}: no such file")
        return result
    for i in range(n_rounds):
        for comparison in result.comparisons:
            for program, series in ((puna, comparison.puna), (peer, comparison.peer)):
                take_turn(program, series, path, comparison.test, f"{i + 1}/{n_rounds}")
            result.load = max(result.load, load_average())
    return result


def load_average():
    """Threads that wanted to run in the last minute, those of the programs measured included."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0


def take_turn(program, series, path, test, turn):
    if series.error:
        return  # it would fail again
    name = "first token" if test is ONE_TOKEN else test.name
    try:
        report = program.measure(path, test)
        rate = report["tokens_per_second"]
        if not (isinstance(rate, (int, float)) and math.isfinite(rate) and rate > 0):
            raise ProgramError(f"reports {rate} tokens per second")
    except ProgramError as error:
        series.error = str(error)
        say(f"{path.stem} {name} {turn}: {program.name} failed: {error}")
        return
    series.reports.append(report)
    rate = "" if test is ONE_TOKEN else f" {report['tokens_per_second']:.2f} tokens/s"
    say(f"{path.stem} {name} {turn}: {program.name}{rate or ' done'}")


def say(text):
    print(text, file=sys.stderr, flush=True)


def read_rate(results):
    """Bytes per second that the machine reads, at best: what was reached once can be reached."""
    rates = measured_read_rates(results)
    for comparison in (comparison for result in results for comparison in result.comparisons):
        if n_bytes := comparison.puna.last("bytes_per_token"):
            rates += [n_bytes * speed for speed in comparison.peer.figures("tokens_per_second")]
    return max(rates, default=None)


def measured_read_rates(results):
    """Bytes per second, by puna, in each of its turns."""
    return [rate * 1e9 for result in results for comparison in result.comparisons
            for rate in comparison.puna.figures("read_gb_per_s")]
