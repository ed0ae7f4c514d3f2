"""The fixes of causes in spans are settings that spans can hear."""

import dataclasses
import math

import numpy as np
import pytest

from fucina.diagnose import SpanCase, liken, rank_span_causes
from fucina.recipe import parse
from fucina.records import Dataset, Epoch, Example, Finding, Span, Spans

NAMES = ("Ada", "Ugo", "Zoë", "Ivo", "Eva", "Leo")
OTHERS = ("Noè", "Mia", "Gea", "Pia", "Lia", "Teo")


def _rows(count, names=NAMES, before="oggi chiama"):
    made = []
    for number in range(count):
        name, text = names[number % 6], f"{before} {names[number % 6]} alle {number}"
        start = text.index(name)
        made.append(Example(text, f"PER: {name}", origin=f"a:{number}", spans=(Span(start, start + 3, "PER"),)))  # fmt: skip
    return tuple(made)


def _case(*overrides, rows=None, test=None, marked=None, capitals=True, facts=None, findings=(),
          auc=0.5, wide=0.02):  # fmt: skip
    recipe = parse("{task: entities, name: a, data: {train: a.jsonl, test: b.jsonl}}", overrides)[0]
    rows, test = _rows(200) if rows is None else rows, _rows(40) if test is None else test
    answers = marked or [row.spans for row in test]
    found = np.mean([a == row.spans for a, row in zip(answers, test, strict=True)])
    losses = ((math.nan, 0.5), (0.2, 0.3), (0.05, 0.2))
    scores = {name: {"value": found, "low": found - wide, "high": found + wide}
              for name in ("f1", "partial_f1", "precision", "recall")}  # fmt: skip
    beside = liken([r.prompt for r in rows], [r.prompt for r in test], seed=0)
    return SpanCase(
        recipe=recipe,
        facts={"model": {"scores": scores, "rows": len(test)}, "members": [{"ended": "ran all epochs"}],
               "out_of_fold": {"scores": scores}, "baselines": [{"scores": {"f1": {"value": 0.9}}}],
               "truncated": [], "longest_tokens": 20, **(facts or {})},
        epochs=tuple(Epoch(0, n, t, h, {"f1": 0.5}, 1.0, 5e-4, 1.0) for n, (t, h) in enumerate(losses)),
        development=Dataset("train", rows), fold=np.array([0] * 20 + [-1] * (len(rows) - 20)),
        rows=Dataset("test", test),
        test=Spans(tuple(r.prompt for r in test), tuple(r.spans for r in test), tuple(answers),
                   tuple((0.9,) * len(a) for a in answers), tuple(len(r.prompt) for r in test), ("LOC", "PER")),
        findings=tuple(findings), beside=dataclasses.replace(beside, domain_auc=auc), capitals=capitals,
    )  # fmt: skip


def _longer(rows):
    return [(Span(r.spans[0].start, r.spans[0].end + 5, "PER"),) for r in rows]


def _retyped(rows):
    return [(Span(r.spans[0].start, r.spans[0].end, "LOC"),) for r in rows]


def _finding(check, count, side="test"):
    rows = tuple(f"{side}:{n}" for n in range(count))
    return Finding(check, "warning", "so many.", "Mend.", rows, rows)


PLANTED = {
    "few_spans": lambda: _case(rows=_rows(30), marked=[()] * 40),
    "wrong_bounds": lambda: _case(marked=_longer(_rows(40))),
    "mixed_types": lambda: _case(marked=_retyped(_rows(40))),
    "names_unseen": lambda: _case(
        test=_rows(20) + _rows(20, OTHERS), marked=[r.spans for r in _rows(20)] + [()] * 20
    ),
    "no_capitals": lambda: _case("model.lexical=false", capitals=False),
    "no_forms": lambda: _case("model.lexical=false", marked=[()] * 40),
    "new_type": lambda: _case(findings=[_finding("new_type", 30)]),
    "test_too_small": lambda: _case(wide=0.3),
    "leakage": lambda: _case(findings=[_finding("leak", 30, "a")]),
    "distribution_shift": lambda: _case(auc=0.99),
    "truncation": lambda: _case(facts={"truncated": list(range(150)), "longest_tokens": 99_999}),
    "duplicates": lambda: _case(rows=_rows(10) * 20),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_cause_is_named_and_its_fix_accepted(name, accepted):
    case = PLANTED[name]()
    found = rank_span_causes(case)
    assert name in [cause.name for cause in found]
    for cause in found:
        accepted(cause, case.recipe)
