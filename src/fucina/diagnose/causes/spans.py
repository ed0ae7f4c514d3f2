"""Causes in what is marked: too few of a type, bounds, types, names never seen, capitals."""

import numpy as np

from fucina.diagnose.causes.weights import off, points
from fucina.diagnose.span_case import SpanCase
from fucina.records import Cause, Span

__all__ = [
    "few_spans",
    "leaked",
    "missing_types",
    "mixed_types",
    "names_unseen",
    "no_capitals",
    "no_forms",
    "scarce_test",
    "shifted",
    "wrong_bounds",
]

ENOUGH = 150  # spans a type
SHOWN = 5
OTHER_WORLD = 0.85  # of domain_auc: test rows are plainly of another kind


def few_spans(case: SpanCase) -> Cause | None:
    """Types with few spans, of which few are found."""
    few = {name: n for name, n in case.counts.items() if n < ENOUGH}
    true = [(span.label, hit) for _, span, hit in case.true]
    own = [hit for label, hit in true if label in few]
    if not few or not own:
        return None
    recall = float(np.mean(own))
    weight = off(ENOUGH / max(1, min(few.values())), 0.2 + 1.1 * (1 - recall))
    told = ", ".join(f"{name} ({n})" for name, n in sorted(few.items(), key=lambda i: i[1]))
    missing = sum(ENOUGH - n for n in few.values())
    return Cause(
        "few_spans",
        weight,
        f"{len(few)} of {len(case.counts)} types have fewer than {ENOUGH} spans to learn from, and "
        f"{recall:.0%} of their test spans are found.",
        (f"spans: {told}", f"{len(case.development)} rows in all"),
        f"Mark about {missing} more spans, in other texts and with other names.",
        f"some part of the {points(1 - recall)} that are missed.",
        {"folds.count": 5} if not case.recipe.folds.count else {},
    )


def wrong_bounds(case: SpanCase) -> Cause | None:
    """Names are found, but they begin or end one word off."""
    strict, partial = case.score("f1")["value"], case.score("partial_f1")["value"]
    hits: list[str] = []
    for row, span, hit in case.true:
        near = [o for o in case.test.answers[row] if _touch(o, span) and o.label == span.label]
        if not hit and near:
            hits.append(f"{case.surface(row, span)!r} as {case.surface(row, near[0])!r}")
    share = len(hits) / max(1, sum(not hit for _, _, hit in case.true))
    if len(hits) < SHOWN or share < 0.2:
        return None
    return Cause(
        "wrong_bounds",
        float(np.clip(0.2 + 0.9 * share, 0, 0.9)),
        f"{len(hits)} true spans ({share:.0%} of those missed) are found with another beginning or "
        f"end: F1 {strict:.3f}, with half a point for them {partial:.3f}.",
        tuple(hits[:SHOWN]),
        "Say in one rule what belongs to a name (articles, titles, places inside), and mend the "
        "rows that do otherwise: fucina audit names some.",
        f"at most {points(2 * (partial - strict))}.",
    )


def _touch(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def mixed_types(case: SpanCase) -> Cause | None:
    """Names are found with right bounds, but taken for another type."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for row, span, hit in case.true:
        same = [o for o in case.test.answers[row] if (o.start, o.end) == (span.start, span.end)]
        if not hit and same:
            pairs.setdefault((span.label, same[0].label), []).append(case.surface(row, span))
    count = sum(map(len, pairs.values()))
    share = count / max(1, len(case.true))
    if count < SHOWN or share < 0.04:
        return None
    (true, said), names = max(pairs.items(), key=lambda item: len(item[1]))
    return Cause(
        "mixed_types",
        float(np.clip(0.2 + 3.0 * share, 0, 0.9)),
        f"{count} of {len(case.true)} true spans have the right bounds and another type, most "
        f"often {true} taken for {said} ({len(names)}).",
        tuple(f"{true} as {said}: {name}" for name in names[:SHOWN]),
        f"Write down what parts {true} from {said}, check the rows of both, and mark more of the "
        "rarer one.",
        f"at most {points(share)} of recall.",
    )


def names_unseen(case: SpanCase) -> Cause | None:
    """Names that training marked are found, others are not: the model knows names by heart."""
    known = [hit for row, span, hit in case.true if case.seen(row, span)]
    new = [hit for row, span, hit in case.true if not case.seen(row, span)]
    if len(new) < SHOWN or len(known) < SHOWN:
        return None
    gap = float(np.mean(known) - np.mean(new))
    if gap < 0.15:
        return None
    share = len(new) / len(case.true)
    return Cause(
        "names_unseen",
        float(np.clip(0.15 + 1.2 * gap * share, 0, 0.85)),
        f"{np.mean(known):.0%} of the test spans whose name was marked in training are found, of "
        f"the others {np.mean(new):.0%}.",
        (f"{len(new)} of {len(case.true)} test spans have a name that training never marked",),
        "Mark texts with other names rather than more of the same; try a base that knows the "
        "language.",
        f"at most {points(gap * share)} of recall.",
    )


def no_capitals(case: SpanCase) -> Cause | None:
    """The base reads small letters only, and names are written with capitals."""
    marked = [row.prompt[span.start] for row in case.development.examples for span in row.spans]
    capital = sum(letter.isupper() for letter in marked) / max(1, len(marked))
    if case.capitals or capital < 0.6:
        return None
    forms = case.recipe.model.lexical
    return Cause(
        "no_capitals",
        0.35 if forms else 0.75,
        f"{case.recipe.model.base} reads small letters only, and {capital:.0%} of the spans begin "
        "with a capital.",
        ("the forms of words, which see capitals, make up for a part of it" if forms else
         "nothing tells the model where a capital stands",),
        "Give a cased base (a folder or hub id of an encoder that knows the language).",
        "often 10 points and more on news; not known before it is tried.",
        {} if forms else {"model.lexical": True},
    )  # fmt: skip


def no_forms(case: SpanCase) -> Cause | None:
    """The forms of words are switched off, and a baseline of words is near."""
    if case.recipe.model.lexical:
        return None
    best = max((b["scores"]["f1"]["value"] for b in case.facts["baselines"]), default=0.0)
    ahead = best - case.score("f1")["value"]
    return Cause(
        "no_forms",
        float(np.clip(0.35 + 1.5 * ahead, 0.2, 0.8)),
        "model.lexical is off: the head sees neither the letters of words nor their capitals.",
        (f"the best free baseline has F1 {best:.3f}",),
        "Set model.lexical=true.",
        "much on few rows and on languages that the base does not know (docs/log.md).",
        {"model.lexical": True},
    )


def missing_types(case: SpanCase) -> Cause | None:
    """Test spans of types that training has not, or that no answer can equal."""
    for check, share in (("new_type", 1.0), ("inside_word", 1.0)):
        finding = case.finding(check)
        count = len([row for row in finding.rows if row.startswith("test:")]) if finding else 0
        if finding is not None and count >= 0.02 * max(1, len(case.true)):
            lost = share * count / max(1, len(case.true))
            return Cause(
                check, float(np.clip(0.3 + 2 * lost, 0, 0.95)), finding.message,
                finding.evidence[:SHOWN], finding.fix, f"at most {points(lost)} of recall.",
            )  # fmt: skip
    return None


def scarce_test(case: SpanCase) -> Cause | None:
    """The interval is so wide that most differences cannot be told."""
    score, rows = case.score("f1"), case.facts["model"]["rows"]
    half = (score["high"] - score["low"]) / 2
    if half < 0.065:
        return None
    needed = round(rows * (half / 0.05) ** 2)
    return Cause(
        "test_too_small",
        float(np.clip(0.3 + 4.0 * (half - 0.065), 0, 0.9)),
        f"{rows} test rows with {len(case.true)} spans tell the F1 to ±{100 * half:.0f} points "
        f"only: {score['low']:.2f} to {score['high']:.2f}.",
        (f"a difference of less than about {points(half)} cannot be seen",),
        f"Mark test rows until there are about {needed} (±5 points), or use folds and read the "
        "held-out scores.",
        "no better model, but a score that can be believed.",
    )


def leaked(case: SpanCase) -> Cause | None:
    """Test rows that training saw."""
    finding = case.finding("leak") or case.finding("near_leak")
    if finding is None:
        return None
    share = len(finding.rows) / max(1, len(case.rows))
    return Cause(
        "leakage",
        float(np.clip(0.4 + share, 0, 0.97)),
        finding.message,
        finding.evidence[:SHOWN],
        "Leave these rows out of train.",
        "a lower score, which is the honest one.",
        repairs=dict.fromkeys(row for row in finding.rows if not row.startswith("test:")),
    )


def shifted(case: SpanCase) -> Cause | None:
    """Test texts are of another kind than those of training."""
    apart = case.beside.domain_auc
    if apart < OTHER_WORLD:
        return None
    return Cause(
        "distribution_shift",
        float(np.clip(0.3 + 4.0 * (apart - OTHER_WORLD), 0, 0.9)),
        f"a model of n-grams tells test texts from training texts {apart:.0%} of the time (50 % "
        "is chance): they are of another kind.",
        (f"the likeness of a test text to its nearest training text is "
         f"{float(np.median(case.beside.likeness[:, 0])):.2f} in the middle",),
        "Mark training rows from where the test rows come from.",
        "not known before it is tried.",
    )  # fmt: skip
