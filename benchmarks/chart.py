"""The chart in the README: the cost of each reader, as a multiple of the floor of the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_OURS, _OTHERS, _FLOOR = "#1f6feb", "#8b949e", "#57606a"
_LIBRARY = ("Sampler", "Parameters")


def chart(report: dict[str, Any], path: Path) -> None:
    """Draw the tables of the works in a report."""
    import matplotlib as mpl  # noqa: PLC0415 - the extra `plot`

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    titles = report["works"]
    tables = [report["tables"][title][1:] for title in titles]
    # Equal figures must give equal files; text stays text.
    mpl.rcParams.update({"svg.hashsalt": "cgroups", "svg.fonttype": "none", "font.size": 9})
    figure, axes = plt.subplots(
        len(tables), figsize=(8, 0.45 + 0.24 * sum(len(one) + 2 for one in tables)), sharex=True, squeeze=False,
        gridspec_kw={"height_ratios": [len(one) for one in tables]}, layout="constrained",
    )  # fmt: skip
    for (axis,), title, results in zip(axes, titles, tables):
        _draw(axis, title, sorted(results, key=lambda one: one["ratio"], reverse=True))
    axes[-1][0].set_xlabel("times a bare pread(2) in C of the same files, kept open (log scale; less is better)")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _draw(axis: Any, title: str, results: list[dict[str, Any]]) -> None:
    names = [one["name"] for one in results]
    ratios = [one["ratio"] for one in results]
    colors = [_OURS if name.startswith(_LIBRARY) else _OTHERS for name in names]
    bars = axis.barh(names, [ratio - 0.9 for ratio in ratios], left=0.9, color=colors, height=0.7)
    axis.bar_label(bars, labels=[f" {ratio:.3g}" for ratio in ratios], fontsize=8)
    axis.axvline(1, color=_FLOOR, linewidth=1)
    axis.set_title(title, loc="left", fontsize=9, fontweight="bold")
    axis.set_xscale("log")
    axis.set_xlim(0.9, 200)
    axis.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)
