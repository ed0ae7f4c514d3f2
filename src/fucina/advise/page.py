"""The advice as one HTML page."""

from collections.abc import Mapping, Sequence
from html import escape

from fucina.config import metric_name
from fucina.evaluate.charts import dots
from fucina.evaluate.page import figure, folded, section, table
from fucina.evaluate.page import page as whole
from fucina.records import Advice, Interval

__all__ = ["dollars", "holds", "page", "seconds"]

COLUMNS = 3  # of scores with their intervals beside each other


def page(advice: Advice, examples: Sequence[Mapping[str, str]]) -> str:
    """All that was found, as HTML.

    Args:
        advice: What was found.
        examples: Rows with what each arm answered: what a column is called, to its text.
    """
    lead = " ".join([f"Recommended: {advice.chosen}.", *advice.reason])
    parts = [
        f'<h1>Prompt, retrieval or fine-tuning</h1>\n<p class="lead">{escape(lead)}</p>',
        _quality(advice),
        _parts(advice),
        _costs(advice),
        _against(advice),
        _goals(advice),
        _triggers(advice),
        _matrix(advice),
        _left_out(advice),
        _examples(examples),
    ]
    return whole(f"Advice: {advice.chosen}", parts)


def _quality(advice: Advice) -> str:
    metric = advice.metric
    spread = [
        (arm.name, {"value": s.value, "low": s.low, "high": s.high})
        for arm in advice.arms if (s := arm.scores[metric])
    ]  # fmt: skip
    names = list(dict.fromkeys(name for arm in advice.arms for name in arm.scores))
    cells = {arm.name: [_score(arm.scores.get(name)) for name in names] for arm in advice.arms}
    return section(
        "Quality",
        f"{advice.rows} test rows, the same for every way; bars are 95 % intervals of "
        f"{metric_name(metric)}, the score that decides.",
        figure(dots(spread, metric_name(metric)))
        + _side_by_side("metric", [metric_name(name) for name in names], cells),
    )


def _score(score: Interval | None) -> str:
    return "–" if score is None else str(score)


def _side_by_side(first: str, names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> str:
    """Columns as tables that fit on a page, so many to each."""
    parts = [list(columns)[begin : begin + COLUMNS] for begin in range(0, len(columns), COLUMNS)]
    return "".join(
        table(
            [first, *some],
            ([name, *(columns[one][row] for one in some)] for row, name in enumerate(names)),
            numbers=1,
        )
        for some in parts
    )


def _parts(advice: Advice) -> str:
    if not advice.arms[0].parts:
        return ""
    cells = {
        name: [str(arm.parts[name][advice.metric]) for arm in advice.arms]
        for name in advice.arms[0].parts
    }
    how = f"{metric_name(advice.metric)} of the rows about each part, by advise.by."
    body = _side_by_side("way", [arm.name for arm in advice.arms], cells)
    return section("Part by part", how, body)


def _costs(advice: Advice) -> str:
    rows = [
        [
            arm.name, f"{seconds(arm.latency_ms[0])} / {seconds(arm.latency_ms[1])}",
            f"{arm.read:,.0f} + {arm.written:,.0f}",
            "elsewhere" if arm.memory_mib is None else f"{arm.memory_mib:,.0f} MiB",
            dollars(arm.cost.training), dollars(arm.cost.per_query), dollars(arm.cost.month),
        ]
        for arm in advice.arms
    ]  # fmt: skip
    header = ["way", "p50 / p95", "tokens", "memory", "training", "a query", "a month"]
    even = [
        [pair, "never" if volume is None else f"{volume:,.0f} queries a month"]
        for pair, volume in advice.break_even.items()
    ]
    how = (
        f"USD, at {advice.queries_per_month:,} queries a month. Latency is of "
        f"{max(arm.timed for arm in advice.arms)} answers asked one by one. "
        + " ".join(advice.assumed)
    )
    body = table(header, rows, numbers=1)
    if even:
        body += table(["the second is cheaper than the first", "from"], even, numbers=1)
    return section("What it costs", how, body)


def _against(advice: Advice) -> str:
    rows = []
    for found in advice.against:
        first = next(iter(found.differences.values()))
        gain = f"{first.value:+.3f} [{first.low:+.3f}, {first.high:+.3f}]"
        rows.append([found.first, gain, f"{found.p_value:.3g}", found.verdict])
    header = ["against", "difference", "p", "verdict"]
    how = f"{advice.chosen} minus each other way on the same rows, paired bootstrap and swaps."
    return section("Against the others", how, table(header, rows)) if rows else ""


def _goals(advice: Advice) -> str:
    rows = [
        *(["missed", said] for said in advice.missed),
        *(["not known", said] for said in advice.unknown),
        *(["reached", said] for said in advice.met),
    ]
    return section("Goals of the recipe", f"For {advice.chosen}.", table(["", ""], rows)) * bool(
        rows
    )


def _triggers(advice: Advice) -> str:
    rows = [[one.name, holds(one.holds), one.said] for one in advice.triggers]
    how = "When these hold, learning it is worth more than saying it before every question."
    return section("Reasons to fine-tune", how, table(["", "holds", ""], rows))


def _matrix(advice: Advice) -> str:
    rows = [
        [part.name, part.changes.replace("_", " "), f"{part.tokens:,}", part.approach, part.why]
        for part in advice.matrix
    ]
    how = "Where each component belongs; advise.components of the recipe is this table to edit."
    header = ["component", "changes", "tokens", "approach", "why"]
    return section("Decision matrix", how, table(header, rows)) if rows else ""


def _left_out(advice: Advice) -> str:
    rows = [*advice.left_out.items()]
    how = "What the recipe asks for and cannot be tried."
    return section("Left out", how, table(["way", "why"], rows)) if rows else ""


def _examples(examples: Sequence[Mapping[str, str]]) -> str:
    blocks = [folded(" ".join(row["asked"].split())[:90], row) for row in examples]
    how = "The first test rows; all are in answers.jsonl."
    return section("Answers side by side", how, "\n".join(blocks))


def seconds(ms: float) -> str:
    """Milliseconds as people say them.

    Example:
        >>> seconds(12.3), seconds(2345.6)
        ('12 ms', '2.3 s')
    """
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def dollars(amount: float | None) -> str:
    """USD with as many places as matter; a question mark where it is not known.

    Example:
        >>> dollars(0.000123), dollars(14.6), dollars(None), dollars(0)
        ('0.00012', '14.60', '?', '0')
    """
    if amount is None:
        return "?"
    if not amount:
        return "0"
    return f"{amount:,.2f}" if amount >= 0.1 else f"{amount:.2g}"


def holds(one: bool | None) -> str:
    """Yes, no, or not known."""
    return {True: "yes", False: "no", None: "not known"}[one]
