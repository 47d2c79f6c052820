"""A comparison as JSON and as Markdown."""

import dataclasses

from comparison.rounds import measured_read_rates, read_rate


@dataclasses.dataclass
class Report:
    puna: str  # version and commit
    note: str  # on the peer, from the command line
    threads: int
    n_rounds: int
    command: str
    results: list

    def latest(self, key):
        """What a program said last, of whatever test: the processor, the peer's commit."""
        said = [series.last(key) for result in self.results for series in result.series()]
        return next((value for value in reversed(said) if value is not None), None)

    @property
    def peer(self):
        return "llama.cpp " + (self.latest("build") or "(unknown commit)")

    def load_of_others(self):
        """Of which the programs measured had `threads` at most; 0 when it is in their noise."""
        load = max((result.load for result in self.results), default=0) - self.threads
        return load if load > 0.5 else 0

    def slowest_reads(self):
        """Of a turn, in bytes per second, where others used the memory; None where nobody did."""
        rate, least = read_rate(self.results), min(measured_read_rates(self.results), default=None)
        return least if least and least < 0.8 * rate else None

    def has_errors(self):
        return any(series.error for result in self.results for series in result.series())

    def share_of_reads(self, comparison, series):
        """Of the rate at which memory is read: bytes are puna's count, for both programs."""
        rate, speed = read_rate(self.results), series.summary("tokens_per_second")
        n_bytes = comparison.puna.last("bytes_per_token")
        return speed[0] * n_bytes / rate if rate and speed and n_bytes else None


# ---- As JSON -------------------------------------------------------------------------------------


def as_json(report):
    rate, slowest = read_rate(report.results), report.slowest_reads()
    return {"machine": {"cpu": report.latest("cpu"), "threads": report.threads,
                        "read_gb_per_s": rate and rate / 1e9,
                        "slowest_read_gb_per_s": slowest and slowest / 1e9,
                        "load_of_others": report.load_of_others()},
            "puna": {"version": report.puna, "kernels": report.latest("kernels")},
            "peer": {"version": report.peer, "note": report.note},
            "rounds": report.n_rounds,
            "command": report.command,
            "models": [model_json(report, result) for result in report.results]}


def model_json(report, result):
    first, *others = result.comparisons
    return {"model": result.path.name, "size_bytes": result.size_bytes,
            "first_token": {
                "puna": {"seconds": first.puna.figures("first_token_seconds"),
                         "peak_rss_bytes": first.puna.figures("peak_rss_bytes"),
                         "error": first.puna.error},
                "peer": {"peak_rss_bytes": first.peer.figures("peak_rss_bytes"),
                         "error": first.peer.error}},
            "tests": [test_json(report, comparison) for comparison in others]}


def test_json(report, comparison):
    ratio = comparison.ratio()
    json = {"name": comparison.test.name, "ratio": ratio and ratio[0],
            "ratio_min": ratio and ratio[1], "ratio_max": ratio and ratio[2],
            "bytes_per_token": comparison.puna.last("bytes_per_token")}
    for name, series in (("puna", comparison.puna), ("peer", comparison.peer)):
        speed = series.summary("tokens_per_second")
        json[name] = {"tokens_per_second": speed and speed[0],
                      "samples": series.figures("tokens_per_second"),
                      "fraction_of_read_bandwidth": report.share_of_reads(comparison, series),
                      "error": series.error}
    return json


# ---- As Markdown ---------------------------------------------------------------------------------


def as_markdown(report):
    return "\n".join([*heading(report), "", *speed_table(report), "", *memory_table(report)]) + "\n"


def heading(report):
    rate = read_rate(report.results)
    reads = f", reads {rate / 1e9:.1f} GB/s" if rate else ""
    kernels = report.latest("kernels")
    others = report.load_of_others()
    busy = [f"- The machine was busy: other programs kept up to {others:.0f} more threads running. "
            "These figures prove nothing"] if others else []
    slowest = report.slowest_reads()
    slow = [f"- Memory was slower in some turns, down to {slowest / 1e9:.1f} GB/s: shares of reads "
            "say less than ratios"] if slowest else []
    return [f"- Machine: {report.latest('cpu') or 'unknown'}, {report.threads} "
            f"thread{'s' if report.threads != 1 else ''}{reads}",
            f"- {report.puna}" + (f", kernel set `{kernels}`" if kernels else ""),
            f"- {report.peer}" + (f", {report.note}" if report.note else ""),
            f"- Turns of each program: {report.n_rounds}; medians, in brackets the lowest and the "
            "highest",
            f"- `{report.command}`", *busy, *slow]


def speed_table(report):
    lines = ["| model | test | puna, tokens/s | llama.cpp, tokens/s | puna / llama.cpp "
             "| of reads: puna | llama.cpp |",
             "|---|---|--:|--:|--:|--:|--:|"]
    for result in report.results:
        for comparison in result.comparisons[1:]:
            shares = [report.share_of_reads(comparison, series)
                      for series in (comparison.puna, comparison.peer)]
            lines.append(row(result.label, comparison.test.name,
                             figure(comparison.puna, "tokens_per_second"),
                             figure(comparison.peer, "tokens_per_second"),
                             spread(comparison.ratio(), "{:.2f}"),
                             *(f"{share:.0%}" if share else "" for share in shares)))
    return lines


def memory_table(report):
    lines = ["| model | file | puna: first token after | peak memory: puna | llama.cpp |",
             "|---|--:|--:|--:|--:|"]
    for result in report.results:
        first = result.comparisons[0]
        size = result.size_bytes
        lines.append(row(result.label, f"{size / 1e6:.0f} MB" if size is not None else "",
                         figure(first.puna, "first_token_seconds", "{:.2f} s"),
                         figure(first.puna, "peak_rss_bytes", "{:.0f} MB", 1e6),
                         figure(first.peer, "peak_rss_bytes", "{:.0f} MB", 1e6)))
    return lines


def row(*cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def figure(series, key, form=None, unit=1):
    if series.error:
        return f"failed: {series.error}"
    summary = series.summary(key)
    if summary is None:
        return "unknown"
    if form:
        return form.format(summary[0] / unit)
    return spread(summary, "{:.0f}" if summary[0] >= 100 else "{:.1f}" if summary[0] >= 10
                  else "{:.2f}")


def spread(summary, form):
    if summary is None:
        return ""
    middle, low, high = map(form.format, summary)
    return middle if low == high else f"{middle} ({low} to {high})"
