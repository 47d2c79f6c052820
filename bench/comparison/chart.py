"""A comparison as an SVG chart: a panel for each test, in it a pair of bars for each model."""

import os

from comparison.rounds import read_rate

PUNA, PEER, LIMIT, INK, GRID = "#0b6e8a", "#b9bec6", "#c2410c", "#26292e", "#e4e6ea"
BAR = 0.38  # width; two of them and a gap make 1


def load_matplotlib():
    """Raises ImportError. Comes late, because what it takes counts as memory of child processes."""
    import matplotlib
    matplotlib.use("svg")
    # Text stays text, and the same figures give the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "puna", "font.size": 10,
                                "font.family": ["Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
                                "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
                                "ytick.color": INK})
    import logging
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # fonts of the viewer
    from matplotlib import pyplot
    return pyplot


def short_labels(results):
    """Names without what all of them begin with, up to a separator: q8_0, q4_k_m."""
    names = [result.label for result in results]
    common = os.path.commonprefix(names) if len(names) > 1 else ""
    n_common = max(common.rfind(separator) for separator in "-._") + 1
    return [name[n_common:] or name for name in names]


def write_chart(report, path):
    pyplot = load_matplotlib()
    results = report.results
    n_tests = len(results[0].comparisons) - 1
    width = 2.2 + 1.0 * max(len(results), 4)
    figure, axes = pyplot.subplots(n_tests, 1, figsize=(width, 1.0 + 2.5 * n_tests), squeeze=False)
    labels = short_labels(results)
    for i in range(n_tests):
        draw_panel(axes[i][0], report, [result.comparisons[i + 1] for result in results], labels)
    title = f"{report.latest('cpu') or 'unknown processor'}, {report.threads} threads, " \
            f"kernel set {report.latest('kernels') or 'unknown'}"
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold")
    handles, names = axes[n_tests - 1][0].get_legend_handles_labels()
    order = [names.index(name) for name in ("puna", "llama.cpp", "bound by memory")]
    figure.legend([handles[i] for i in order], [names[i] for i in order], loc="lower center",
                  ncols=3, frameon=False)
    figure.tight_layout(rect=(0, 0.045, 1, 0.99), h_pad=1.6)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def draw_panel(axis, report, comparisons, labels):
    places = range(len(comparisons))
    heights = [[median(series) for series in (comparison.puna, comparison.peer)]
               for comparison in comparisons]
    limits = [limit(report, comparison) for comparison in comparisons]
    axis.bar([at - BAR / 2 for at in places], [pair[0] for pair in heights], BAR * 0.95,
             color=PUNA, label="puna", zorder=2)
    axis.bar([at + BAR / 2 for at in places], [pair[1] for pair in heights], BAR * 0.95,
             color=PEER, label="llama.cpp", zorder=2)
    axis.hlines([high or 0 for high in limits], [at - BAR for at in places],
                [at + BAR for at in places], colors=LIMIT, linewidth=[1.4 if high else 0
                                                                      for high in limits],
                label="bound by memory", zorder=3)
    top = max([1e-9, *(high or 0 for high in limits), *(max(pair) for pair in heights)])
    for at, comparison, pair, high in zip(places, comparisons, heights, limits):
        ratio = comparison.ratio()
        text = f"{ratio[0]:.2f}×" if ratio else "failed"
        axis.text(at, max(*pair, high or 0) + top * 0.03, text, ha="center", va="bottom",
                  fontweight="bold", color=PUNA if ratio and ratio[0] >= 1 else INK)
    axis.set_ylim(0, top * 1.2)
    axis.set_title(title_of(comparisons[0].test), loc="left", fontsize=10.5)
    axis.set_ylabel("tokens per second")
    axis.set_xticks(list(places), labels)
    axis.tick_params(length=0)
    axis.grid(axis="y", color=GRID, zorder=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def median(series):
    summary = series.summary("tokens_per_second")
    return summary[0] if summary else 0


def limit(report, comparison):
    """Tokens per second at which all time would go into reading memory."""
    rate, n_bytes = read_rate(report.results), comparison.puna.last("bytes_per_token")
    return rate / n_bytes if rate and n_bytes else None


def title_of(test):
    if test.n_prompt:
        return f"Reading a prompt of {test.n_prompt} tokens"
    behind = f"behind {test.depth} others" if test.depth else "from an empty cache"
    return f"Generating {test.n_generate} tokens {behind}"
