"""What people see: progress, tables and messages, on standard error or output."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import mean, pstdev
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from fucina.config import metric_name
from fucina.records import silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from fucina.records import Change, Comparison, Evaluation, Interval

__all__ = [
    "baseline_table",
    "change_table",
    "console",
    "fold_table",
    "held_table",
    "interval",
    "messages",
    "per_label_table",
    "print_json",
    "reporting",
    "score_table",
    "show_must_fix",
    "show_traits",
    "signed",
    "slice_tables",
]

console = Console(highlight=False)
messages = Console(stderr=True, highlight=False)


@contextmanager
def reporting(*, quiet: bool = False) -> "Iterator[tuple[Callable, Callable]]":
    """Give two functions: one shows progress, one shows a message.

    Off a terminal each step is one line when it is done, so that logs stay short.
    """
    if quiet:
        yield silent, silent
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=messages,
        transient=True,
        disable=not messages.is_terminal,
    )
    known: dict[str, Any] = {}

    def progress(what: str, done: int, total: int) -> None:
        if what not in known:
            for other in known.values():
                bars.update(other, visible=False)
            known[what] = bars.add_task(what, total=total or None)
        bars.update(known[what], completed=done, total=total or None, visible=True)

    with bars:
        yield progress, lambda message: messages.print(message, markup=False)


def print_json(content: Any) -> None:
    """Print one JSON document, the only thing on standard output."""
    print(json.dumps(content, ensure_ascii=False, indent=2, default=_plain))  # noqa: T201


def _plain(value: Any) -> Any:
    return value.tolist()


def interval(score: "Interval", *, percent: bool = False) -> str:
    """A score with its bounds, short enough for a table."""
    if percent:
        return f"{score.value:.1%} [{score.low:.1%}, {score.high:.1%}]"
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"{value:+.3f}"


def _titled(title: str | None) -> Table:
    # rich breaks a title to the width of its table: one with a path is better printed apart.
    return Table(title=title, title_justify="left", box=None, pad_edge=False)


def score_table(evaluation: "Evaluation", *, title: str | None = None) -> Table:
    """The scores of one model, each with its interval; those of `show_traits` apart."""
    table = _titled(title)
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    apart = {name for scores in evaluation.beside.values() for name in scores}
    for name, score in evaluation.scores.items():
        if name in apart:
            continue
        table.add_row(
            metric_name(name),
            f"{score.value:.3f}",
            f"{score.low:.3f} to {score.high:.3f}",
        )
    return table


def show_traits(evaluation: "Evaluation") -> None:
    """Print what answers are like without looking at the true ones, and how it was judged."""
    from fucina.evaluate import persona_sentences

    if evaluation.beside:
        console.print()
        console.print(_trait_table(evaluation))
    for sentence in persona_sentences(evaluation.persona):
        console.print(sentence, markup=False)


def _trait_table(evaluation: "Evaluation") -> Table:
    from fucina.evaluate import TRUE, trait_name

    columns = {"model": evaluation.scores, **evaluation.beside}
    table = _titled("What the answers are like")
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for name in columns[TRUE]:
        found = [scores.get(name) for scores in columns.values()]
        cells = [f"{s.value:.2f} [{s.low:.2f}, {s.high:.2f}]" if s else "" for s in found]
        table.add_row(Text(trait_name(name)), *map(Text, cells))
    return table


def fold_table(folds: Mapping[str, Sequence[float]]) -> Table:
    """How the scores of the members differ, each on the rows it held out."""
    count = len(next(iter(folds.values())))
    table = _titled(f"Over {count} folds")
    table.add_column("metric")
    table.add_column("mean ± std", justify="right")
    table.add_column("lowest to highest", justify="right")
    for name, values in folds.items():
        table.add_row(
            metric_name(name),
            f"{mean(values):.3f} ± {pstdev(values):.3f}",
            f"{min(values):.3f} to {max(values):.3f}",
        )
    return table


def baseline_table(
    model: "Evaluation",
    baselines: "Sequence[Evaluation]",
    against: "Sequence[Comparison]",
    name: str = "accuracy",
) -> Table:
    """The model beside what costs nothing, on the same rows, by the score called `name`."""
    percent, of_loss = name == "accuracy", name == "perplexity"
    gained = "token_loss" if of_loss else name
    table = _titled("Beside the base alone" if of_loss else "Beside free baselines")
    table.add_column("answered by")
    table.add_column(metric_name(name).partition(" (")[0], justify="right")
    table.add_column("model's loss" if of_loss else "model is ahead by", justify="right")
    table.add_column("p", justify="right")
    table.add_row("model", interval(model.scores[name], percent=percent), "", "")
    for evaluation, comparison in zip(baselines, against, strict=True):
        gain = comparison.differences[gained]
        shown = (
            f"{gain.value:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]"
            if percent
            else f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        )
        table.add_row(
            evaluation.name,
            interval(evaluation.scores[name], percent=percent),
            shown,
            f"{comparison.p_value:.3f}" if comparison.p_value >= 0.001 else "<0.001",
        )
    return table


def held_table(rows: Sequence[tuple[str, str, str]]) -> Table:
    """The scores of one model that writes held to a grammar, and freely."""
    table = _titled("Held to the grammar, and free")
    table.add_column("metric")
    table.add_column("held", justify="right")
    table.add_column("free", justify="right")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def slice_tables(
    evaluation: "Evaluation", headline: str, parts: Mapping[str, str] | None = None
) -> list[Table]:
    """How good a model is on some of the rows: a table a way of dividing them.

    Args:
        evaluation: Of the model.
        headline: What is shown of them.
        parts: The headline of each part, where several tasks were judged together.
    """
    found = []
    for way, slices in evaluation.slices.items():
        own = (parts or {}).get(way.rpartition("/")[0], headline)
        rows = sum(part["rows"] for part in slices.values())
        table = _titled(f"By {way}")
        table.add_column(way, overflow="fold")
        for name in ("rows", "share", metric_name(own).partition(" (")[0], "interval"):
            table.add_column(name, justify="right")
        for name, part in slices.items():
            table.add_row(
                name,
                f"{part['rows']:.0f}",
                f"{part['rows'] / rows:.1%}",
                f"{part['value']:.3f}",
                f"{part['low']:.3f} to {part['high']:.3f}",
            )
        found.append(table)
    return found


def show_must_fix(cases: Sequence[Mapping[str, Any]]) -> None:
    """How many of the cases that must be right are, and those that are not."""
    wrong = [case for case in cases if not case["right"]]
    console.print(f"must-fix cases: {len(cases) - len(wrong)} of {len(cases)} right")
    for case in wrong:
        sure = "" if case["confidence"] is None else f" ({case['confidence']:.0%})"
        console.print(
            f"  ✗ {case['prompt']}: {case['target']}, answered {case['answer']}{sure}",
            markup=False,
        )


def per_label_table(per_label: Mapping[str, Mapping[str, float]], *, spans: bool = False) -> Table:
    """Precision, recall and F1 of each label, or type of spans, the weakest first."""
    table = _titled(f"{'Types' if spans else 'Labels'}, weakest first")
    table.add_column("type" if spans else "label", overflow="fold")
    for name in ("precision", "recall", "f1", "spans" if spans else "rows"):
        table.add_column(name, justify="right")
    for label, scores in sorted(per_label.items(), key=lambda item: item[1]["f1"]):
        table.add_row(
            label,
            *(f"{scores[name]:.2f}" for name in ("precision", "recall", "f1")),
            f"{scores['support']:.0f}",
        )
    return table


def change_table(change: "Change", *, title: str | None = None) -> Table:
    """What a second run changed, metric by metric, with the interval of the difference."""
    table = _titled(title)
    table.add_column("metric")
    for name in ("before", "after", "change", "interval"):
        table.add_column(name, justify="right")
    for name, before in change.before.items():
        gain = change.comparison.differences.get(name)
        relative = change.relative(name)
        value = change.after[name].value
        table.add_row(
            metric_name(name).partition(" (")[0],
            f"{before.value:.3f}",
            f"{value:.3f}",
            f"{value - before.value:+.3f}" + ("" if relative is None else f" ({relative:+.0%})"),
            "" if gain is None else f"{gain.low:+.3f} to {gain.high:+.3f}",
        )
    return table
