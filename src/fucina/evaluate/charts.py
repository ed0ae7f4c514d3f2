"""The pictures of a report, as inline SVG that looks the same every time."""

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion", "coverage", "curves", "dots", "growth", "label_bars", "reliability"]

INK, MODEL, OTHER, FAINT = "#1f2933", "#b4431f", "#52606d", "#cbd2d9"
ROW_INCHES = 0.3
MAX_BARS = 40


def dots(rows: Sequence[tuple[str, Mapping[str, float]]], name: str = "accuracy") -> str:
    """Scores called `name` with whiskers, one row a model, the first one highlighted."""
    highest = max(score["high"] for _, score in rows)

    def draw(axes: "Axes") -> None:
        for place, (_, score) in enumerate(rows):
            color = MODEL if place == 0 else OTHER
            axes.plot([score["low"], score["high"]], [place, place], color=color, linewidth=2)
            axes.plot([score["value"]], [place], "o", color=color, markersize=6)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.02 * max(1, highest))
        axes.set_xlabel(name)
        axes.grid(axis="x", color=FAINT, linewidth=0.6)

    return _svg(draw, height=0.7 + ROW_INCHES * len(rows))


def label_bars(per_label: Mapping[str, Mapping[str, float]]) -> str:
    """F1 of each label, the weakest first; at most forty of them."""
    worst = sorted(per_label.items(), key=lambda item: item[1]["f1"])[:MAX_BARS]

    def draw(axes: "Axes") -> None:
        axes.barh(range(len(worst)), [scores["f1"] for _, scores in worst], color=MODEL, height=0.6)
        names = [f"{label}  ({scores['support']:.0f})" for label, scores in worst]
        axes.set_yticks(range(len(worst)), names)
        axes.set_ylim(len(worst) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.set_xlabel("F1")
        axes.grid(axis="x", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)

    return _svg(draw, height=0.7 + 0.24 * len(worst))


def confusion(table: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Counts of answers by true label; darker is more."""

    def draw(axes: "Axes") -> None:
        most = max(max(row) for row in table) or 1
        axes.imshow(table, cmap="Oranges", vmin=0, vmax=most)
        axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right")
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xlabel("answered")
        axes.set_ylabel("true")
        for row, counts in enumerate(table):
            for column, count in enumerate(counts):
                if count:
                    color = "white" if count > 0.6 * most else INK
                    axes.text(column, row, str(count), ha="center", va="center", color=color)

    return _svg(draw, height=2.2 + 0.3 * len(labels))


def reliability(
    bins: Sequence[Mapping[str, float]], before: Sequence[Mapping[str, float]] = ()
) -> str:
    """Accuracy by confidence; on the line the model is as good as it says."""

    def draw(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        most = max(bin["count"] for bin in bins)
        axes.scatter(
            [bin["confidence"] for bin in before],
            [bin["accuracy"] for bin in before],
            s=[20 + 180 * bin["count"] / most for bin in before],
            facecolors="none",
            edgecolors=OTHER,
        )
        axes.scatter(
            [bin["confidence"] for bin in bins],
            [bin["accuracy"] for bin in bins],
            s=[20 + 180 * bin["count"] / most for bin in bins],
            color=MODEL,
            zorder=3,
        )
        axes.set_xlim(0, 1.02)
        axes.set_ylim(-0.02, 1.04)
        axes.set_xlabel("how sure the model says it is")
        axes.set_ylabel("how often it is right")

    return _svg(draw, height=3.4, width=3.4)


def coverage(
    points: Sequence[Mapping[str, float]], target: float | None, threshold: float | None
) -> str:
    """Share of wrong answers by share of rows answered, with its bound."""

    def draw(axes: "Axes") -> None:
        shares = [100 * point["coverage"] for point in points]
        axes.plot(shares, [100 * point["risk"] for point in points], color=MODEL, linewidth=2)
        bounds = [100 * point["bound"] for point in points]
        axes.plot(shares, bounds, color=OTHER, linewidth=1, linestyle="--")
        if target is not None:
            axes.axhline(100 * target, color=FAINT, linewidth=1)
        for point in points:
            if point["threshold"] == threshold:
                axes.scatter([100 * point["coverage"]], [100 * point["risk"]], color=MODEL)
        highest = 100 * max(point["risk"] for point in points)
        axes.set_ylim(0, max(1.0, 2.0 * highest, 200 * (target or 0)))
        axes.set_xlim(0, 102)
        axes.set_xlabel("rows answered, %")
        axes.set_ylabel("of these wrong, %")

    return _svg(draw, height=3.4, width=3.4)


def growth(rows: Sequence[int], accuracy: Sequence[Mapping[str, float]]) -> str:
    """Accuracy by training rows, which double from point to point."""

    def draw(axes: "Axes") -> None:
        shares = [100 * a["value"] for a in accuracy]
        below = [100 * (a["value"] - a["low"]) for a in accuracy]
        above = [100 * (a["high"] - a["value"]) for a in accuracy]
        axes.errorbar(rows, shares, yerr=[below, above], color=MODEL, marker="o", capsize=3)
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(rows), [str(n) for n in rows])
        axes.minorticks_off()
        axes.set_xlabel("training rows")
        axes.set_ylabel("test accuracy, %")

    return _svg(draw, height=2.8, width=4.6)


def curves(epochs: Sequence[Mapping[str, Any]], key: str, name: str) -> str:
    """One quantity over the epochs: a thin line a member, their mean bold."""
    members = sorted({epoch["member"] for epoch in epochs})
    series = {
        member: {e["epoch"]: e[key] for e in epochs if e["member"] == member and e[key] is not None}
        for member in members
    }

    from matplotlib.ticker import MaxNLocator

    def draw(axes: "Axes") -> None:
        for points in series.values():
            axes.plot(list(points), list(points.values()), color=FAINT, linewidth=1)
        steps = sorted({step for points in series.values() for step in points})
        means = []
        for step in steps:
            values = [points[step] for points in series.values() if step in points]
            means.append(sum(values) / len(values))
        axes.plot(steps, means, color=MODEL, linewidth=2, marker="o", markersize=3)
        axes.set_title(name, loc="left", fontsize=9)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color=FAINT, linewidth=0.5)

    return _svg(draw, height=2.2, width=3.3)


def _svg(draw: "Callable[[Axes], None]", *, height: float, width: float = 7.0) -> str:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings = {
        "svg.hashsalt": "fucina", "svg.fonttype": "none", "font.size": 9, "text.color": INK,
        "font.family": "sans-serif", "axes.edgecolor": FAINT, "axes.labelcolor": OTHER,
        "xtick.color": OTHER, "ytick.color": INK, "axes.spines.top": False,
        "axes.spines.right": False, "text.parse_math": False,
    }  # fmt: skip
    with rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        stream = StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]
