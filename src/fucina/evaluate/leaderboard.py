"""A leaderboard: runs of one task ranked with a paired test, and the pages that show it."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from html import escape
from io import StringIO

from fucina.config import LOW_IS_GOOD, metric_name
from fucina.errors import RunError
from fucina.evaluate import charts
from fucina.evaluate.page import figure, page, section, table
from fucina.records import Comparison, Contest, Leaderboard, Standing

__all__ = ["as_html", "as_markdown", "as_table", "contest"]

COSTS = {
    "latency_p50_ms": "ms an answer", "prompt_tokens_mean": "tokens a prompt",
    "answer_tokens_mean": "tokens an answer", "peak_memory_mib": "peak MiB",
    "training_s": "training s", "adapter_mib": "adapter MiB",
}  # fmt: skip
COSTLY = '<p class="how">What each costs, on the machine that trained it.</p>'
NOTE = "p is of the paired test against the best; of many runs some differ by chance alone."


def contest(
    first: Contest, standings: Sequence[Standing], compare: Callable[[str, str], Comparison]
) -> Contest:
    """Rank runs of one task on the same test rows.

    The best is held against every other run; it wins where it is measurably better than the
    runner-up.

    Args:
        first: Task, metric and test rows.
        standings: Of the runs, in any order.
        compare: Two names of runs to their comparison, from the first of them to the second.
    """
    low = first.metric in LOW_IS_GOOD
    ranked = sorted(standings, key=lambda s: s.score.value if low else -s.score.value)
    best, *others = ranked
    if not others:
        return replace(first, standings=(best,), verdict=f"{best.run} is alone")
    held = [best, *(_against(best, other, compare) for other in others)]
    runner_up = held[1]
    if runner_up.p_value is None:
        verdict = f"{best.run} is ahead, and cannot be compared with {runner_up.run}"
    elif runner_up.level:
        verdict = f"no measurable difference between {best.run} and {runner_up.run}"
    else:
        verdict = f"{best.run} wins"
    winner = best.run if verdict.endswith("wins") else ""
    return replace(first, standings=tuple(held), verdict=verdict, winner=winner)


def _against(
    best: Standing, other: Standing, compare: Callable[[str, str], Comparison]
) -> Standing:
    try:
        found = compare(other.run, best.run)
    except RunError:  # their losses are of other tokens
        return other
    return replace(other, p_value=found.p_value, level="is better than" not in found.verdict)


def as_markdown(board: Leaderboard) -> str:
    """The leaderboard as tables of Markdown: model by task first, then each task."""
    parts = []
    if len(board.contests) > 1:
        header, rows = _matrix(board)
        parts += ["## Model by task", _markdown(header, rows, 1)]
    for one in board.contests:
        parts += [f"## {_title(one)}", f"{one.verdict}.", _markdown(*_standings(one), 2)]
    return "\n\n".join([*parts, NOTE]) + "\n"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> str:
    rules = ["---" if place < numbers else "---:" for place in range(len(header))]
    lines = [header, rules, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_table(board: Leaderboard) -> str:
    """The leaderboard as CSV, one line a run."""
    stream = StringIO()
    names = ["task", "test", "rows", "metric", "run", "model", "value", "low", "high", "winner",
             "level", "p_value", *COSTS]  # fmt: skip
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    for one in board.contests:
        for standing in one.standings:
            writer.writerow(
                {
                    "task": one.task, "test": one.test, "rows": one.rows, "metric": one.metric,
                    "run": standing.run, "model": standing.model, **asdict(standing.score),
                    "winner": int(standing.run == one.winner), "level": int(standing.level),
                    "p_value": standing.p_value, **standing.cost,
                }
            )  # fmt: skip
    return stream.getvalue()


def as_html(board: Leaderboard) -> str:
    """The leaderboard as one page that loads nothing from elsewhere."""
    parts = ["<h1>Leaderboard</h1>"]
    if len(board.contests) > 1:
        header, rows = _matrix(board)
        how = "The best run of each model; a star where it is measurably ahead of the next run."
        parts.append(section("Model by task", how, table(header, rows, numbers=1)))
    for one in board.contests:
        drawn = [(standing.run, asdict(standing.score)) for standing in one.standings]
        header, rows = _standings(one)
        scores, costs = _beside(header, rows)
        body = (
            f'<p class="lead">{escape(_capital(one.verdict))}.</p>'
            + figure(charts.dots(drawn, metric_name(one.metric)))
            + table(*scores, numbers=2)
            + (COSTLY + table(*costs, numbers=1) if len(costs[0]) > 1 else "")
        )
        parts.append(section(_title(one), NOTE, body))
    return page("Leaderboard", parts)


Table = tuple[list[str], list[list[str]]]
SCORES = 5  # columns of a contest before those of costs


def _beside(header: list[str], rows: list[list[str]]) -> tuple[Table, Table]:
    """Scores and costs as two tables, for a page that is narrower than both together."""
    scores = header[:SCORES], [row[:SCORES] for row in rows]
    costs = [header[0], *header[SCORES:]], [[row[0], *row[SCORES:]] for row in rows]
    return scores, costs


def _title(one: Contest) -> str:
    return f"{one.task}: {metric_name(one.metric)} on {one.rows} test rows ({one.test})"


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _standings(one: Contest) -> Table:
    """A table of one contest; of costs those that some run knows."""
    costs = [name for name in COSTS if any(name in s.cost for s in one.standings)]
    header = ["run", "model", one.metric.replace("_", " "), "interval", "p",
              *(COSTS[name] for name in costs)]  # fmt: skip
    rows = []
    for standing in one.standings:
        p = standing.p_value
        score = standing.score
        rows.append(
            [
                f"{standing.run}{' *' if standing.run == one.winner else ''}",
                standing.model,
                f"{score.value:.3f}",
                f"{score.low:.3f} to {score.high:.3f}",
                "" if p is None else f"{p:.3f}" if p >= 0.001 else "<0.001",
                *(_number(standing.cost.get(name)) for name in costs),
            ]
        )
    return header, rows


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _matrix(board: Leaderboard) -> Table:
    """The best run of each model at each task."""
    models = dict.fromkeys(s.model for one in board.contests for s in one.standings)
    repeated = len({one.task for one in board.contests}) < len(board.contests)
    header = ["model"]
    header += [f"{one.task} {one.test}" if repeated else one.task for one in board.contests]
    rows = []
    for model in models:
        cells = [model]
        for one in board.contests:
            best = next((s for s in one.standings if s.model == model), None)
            star = " *" if best is not None and best.run == one.winner else ""
            cells.append("" if best is None else f"{best.score}{star}")
        rows.append(cells)
    return header, rows
