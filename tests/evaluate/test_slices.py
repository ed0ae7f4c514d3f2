"""Parts of the rows and evidence: how they are scored, and that the report shows them."""

from dataclasses import replace

import numpy as np
import pytest

from fucina import tasks
from fucina.config import EvaluationConfig
from fucina.evaluate.hardest import evidence, text_errors
from fucina.evaluate.report_texts import text_parts
from fucina.evaluate.slices import slice_scores
from fucina.metrics import mean_of
from fucina.records import Example, Texts

ROWS = tuple(Example(f"frage {n}", "ja") for n in range(4))
MARKS = {"f1": mean_of([1.0, 0.0, 1.0, 0.5])}
TEXTS = Texts(
    tuple(row.prompt for row in ROWS), ("ja",) * 4, ("ja", "<nein>", "ja", "?"),
    np.array([1.0, 9.0, 2.0, 3.0]), np.ones(4), np.ones(4, bool), MARKS,
)  # fmt: skip
CONFIG = EvaluationConfig(bootstrap_samples=100)


def _divided(answers, rows):  # noqa: ARG001  as tasks call it
    return {"half": ["first", "first", "second", "second"]}


def _task(**judging):
    task = tasks.get("hashtags")
    return replace(task, judging=replace(task.judging, **judging))


def test_each_part_has_the_headline_of_its_rows_the_best_first():
    found = slice_scores(TEXTS, ROWS, _task(slices=_divided), CONFIG, seed=0)["half"]
    assert list(found) == ["second", "first"]
    assert found["first"]["rows"] == 2
    assert [found[name]["value"] for name in found] == pytest.approx([0.75, 0.5])
    assert found["first"]["low"] <= 0.5 <= found["first"]["high"]


def test_a_task_without_parts_has_none():
    assert slice_scores(TEXTS, ROWS, tasks.get("hashtags"), CONFIG, seed=0) == {}
    assert evidence(TEXTS, ROWS, tasks.get("hashtags")) == {}


def test_the_report_shows_parts_and_what_stands_beside_the_worst_answer():
    task = _task(
        slices=_divided,
        evidence=lambda answer, row: {"kind": "wrong & bad", "true result": "a | b", "result": answer},
    )  # fmt: skip
    shown = evidence(TEXTS, ROWS, task)
    errors = text_errors(TEXTS, "f1", shown)
    assert errors[0]["prompt"] == "frage 1"
    assert errors[0]["evidence"]["result"] == "<nein>"
    parts = slice_scores(TEXTS, ROWS, task, CONFIG, seed=0)
    facts = {
        "against": [], "baselines": [], "headline": "f1", "errors": errors,
        "model": {"scores": {}, "slices": parts, "rows": 4},
    }  # fmt: skip
    page = "".join(text_parts(facts))
    assert "By half" in page
    assert "<pre>&lt;nein&gt;</pre>" in page
    assert "frage 1 · wrong &amp; bad" in page
    assert page.index("second") < page.index("first")
