"""The report holds everything, loads nothing, and survives any text."""

import json

import pytest

from fucina.evaluate import report
from fucina.recipe import parse

RECIPE = parse("{task: classification, name: prova, data: {train: a.csv}}")[0].model_dump(
    mode="json"
)


def _score(value=0.8):
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def _facts(labels, *, members=2, baselines=True, errors=()):
    names = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece")
    scores = {name: _score() for name in names}
    count = len(labels)
    model = {
        "name": "model", "scores": scores, "rows": 3 * count, "labels": list(labels),
        "per_label": {y: {"precision": 1, "recall": 0.5, "f1": 0.6, "support": 3} for y in labels},
        "confusion": [[2 if i == j else int(j == (i + 1) % count) for j in range(count)] for i in range(count)],
        "cost": {"latency_mean_ms": 9.1, "latency_p50_ms": 9, "latency_p95_ms": 12, "peak_memory_mib": 900},
    }  # fmt: skip
    against = {"first": "words", "second": "model", "p_value": 0.0001, "verdict": "model is better than words",
               "differences": {"accuracy": {"value": 0.1, "low": 0.05, "high": 0.2}}}  # fmt: skip
    return {
        "verdict": "Perché no: è così.", "model": model, "out_of_fold": model,
        "baselines": [{**model, "name": "words"}] if baselines else [],
        "against": [against] if baselines else [],
        "reliability": [{"count": 5, "confidence": 0.7, "accuracy": 0.6}],
        "errors": list(errors),
        "folds": {} if members < 2 else {
            name: {"mean": 0.7, "std": 0.05, "values": [0.65, 0.75]} for name in names
        },
        "members": [{"member": m + 1, "kept_epoch": 1, "best_epoch": 1, "score": 0.7,
                     "validation_loss": 0.9, "ended": "ran all epochs"} for m in range(members)],
    }  # fmt: skip


def _events(members=2):
    return [
        {"event": "epoch", "member": m, "epoch": e, "train_loss": None if e == 0 else 1 / e,
         "validation_loss": 1.0, "scores": {"balanced_accuracy": 0.5}, "gradient_norm": 0.4 if e else None,
         "learning_rate": 1e-3 if e else None, "seconds": 1.0}
        for m in range(members) for e in range(3)
    ]  # fmt: skip


@pytest.mark.parametrize("count", [2, 12, 150])
@pytest.mark.parametrize("members", [1, 10])
def test_a_page_loads_nothing_from_elsewhere(count, members):
    page = report(
        _facts([f"etichetta_{i}" for i in range(count)], members=members), _events(members), RECIPE
    )
    assert "<script" not in page
    for mark in ('src="http', 'href="http', "url(http", "@import"):
        assert mark not in page
    assert page.count("<h2>") >= 8
    assert ("Worst confusions" in page) == (count > 30)


def test_hostile_and_italian_text_stay_text():
    bad = "<script>alert('è')</script>"
    errors = [{"prompt": f"{bad} città, perché?", "target": bad, "answer": "b", "confidence": 0.99}]
    page = report(_facts([bad, "è già", "$x_1$"], errors=errors), _events(), RECIPE)
    assert "<script" not in page
    assert "città, perché?" in page
    assert "è già" in page


def test_the_same_run_gives_the_same_page():
    facts = _facts(["a", "b"])
    assert report(facts, _events(), RECIPE) == report(
        json.loads(json.dumps(facts)), _events(), RECIPE
    )


def test_a_run_without_baselines_or_events_has_a_page_too():
    page = report(_facts(["a", "b"], baselines=False), [], RECIPE)
    assert "Beside free baselines" not in page
    assert "How training went" not in page


def test_the_verdict_comes_before_every_number():
    page = report(_facts(["a", "b"]), _events(), RECIPE)
    assert page.index("Perché no: è così.") < page.index("<table>")
