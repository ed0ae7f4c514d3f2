"""Metrics against scikit-learn, and intervals against what is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from fucina import metrics
from fucina.errors import DataError
from fucina.metrics.statistics import bootstrap_scores, paired_bootstrap_scores, wilson


def _random(seed, rows=200, labels=5, skill=0.6):
    rng = np.random.default_rng(seed)
    targets = rng.integers(labels, size=rows)
    probabilities = rng.dirichlet(np.ones(labels), rows)
    probabilities[np.arange(rows), targets] += skill
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return targets, probabilities.argmax(axis=1), probabilities


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_scikit_learn(seed):
    targets, answers, probabilities = _random(seed)
    found = metrics.scores(targets, answers, 5)
    macro = {"average": "macro", "zero_division": 0}
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(targets, answers))
    assert found["balanced_accuracy"] == pytest.approx(
        reference.balanced_accuracy_score(targets, answers)
    )
    assert found["macro_f1"] == pytest.approx(reference.f1_score(targets, answers, **macro))
    assert found["macro_precision"] == pytest.approx(
        reference.precision_score(targets, answers, **macro)
    )
    assert metrics.log_loss(probabilities, targets) == pytest.approx(
        reference.log_loss(targets, probabilities, labels=range(5))
    )
    assert (
        metrics.confusion(targets, answers, 5) == reference.confusion_matrix(targets, answers)
    ).all()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40), st.randoms()
)
def test_scores_lie_between_0_and_1_and_ignore_the_order_of_rows(pairs, random):
    targets, answers = (np.array(side) for side in zip(*pairs, strict=True))
    found = metrics.scores(targets, answers, 4)
    assert all(0 <= value <= 1 for value in found.values())
    order = list(range(len(pairs)))
    random.shuffle(order)
    assert metrics.scores(targets[order], answers[order], 4) == pytest.approx(found)


def test_no_rows_is_an_error():
    with pytest.raises(DataError):
        metrics.scores(np.array([], dtype=int), np.array([], dtype=int), 3)


def test_wilson_is_the_known_interval_and_a_perfect_score_has_a_lower_bound():
    known = wilson(90, 100)
    assert (known.low, known.high) == (
        pytest.approx(0.8256, abs=1e-4),
        pytest.approx(0.9448, abs=1e-4),
    )
    assert wilson(25, 25).low == pytest.approx(0.8628, abs=1e-4)  # Clopper-Pearson
    assert wilson(25, 25).high == 1.0


def test_mcnemar_is_exact():
    first = np.array([True] * 3 + [False] * 10 + [True] * 20)
    second = np.array([False] * 3 + [True] * 10 + [True] * 20)
    assert metrics.mcnemar(first, second) == pytest.approx(0.09229, abs=1e-5)
    assert metrics.mcnemar(first, first) == 1.0


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Of 100 test sets drawn from one model, some 95 intervals hold its true accuracy."""
    true = np.mean([np.mean(np.equal(*_random(seed, 5000)[:2])) for seed in range(20)])
    hits = 0
    for seed in range(100):
        targets, answers, probabilities = _random(1000 + seed, 150)
        found = bootstrap_scores(targets, answers, probabilities, 5, samples=200)
        hits += found["balanced_accuracy"].low <= true <= found["balanced_accuracy"].high
    assert 87 <= hits <= 100


def test_a_perfect_model_keeps_an_interval_with_width():
    targets = np.arange(30) % 3
    probabilities = np.eye(3)[targets] * 0.9 + 0.1 / 3
    found = bootstrap_scores(targets, targets, probabilities, 3, samples=100)
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert found[name].value == 1.0
        assert found[name].low < 0.9


def test_a_paired_difference_is_narrower_than_two_intervals():
    targets, answers, probabilities = _random(3, 400)
    other = answers.copy()
    other[:20] = targets[:20]
    found = paired_bootstrap_scores(targets, answers, other, 5, samples=500)["accuracy"]
    single = bootstrap_scores(targets, answers, probabilities, 5, samples=500)["accuracy"]
    assert found.value == pytest.approx((other == targets).mean() - (answers == targets).mean())
    assert found.high - found.low < (single.high - single.low)
    assert paired_bootstrap_scores(targets, answers, answers, 5, samples=50)["macro_f1"].high == 0


def test_calibration_error_agrees_with_a_second_way():
    targets, _, probabilities = _random(7)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    expected = 0.0
    for low, high in zip(np.arange(15) / 15, np.arange(1, 16) / 15, strict=True):
        own = (confidence > low) & (confidence <= high)
        if own.any():
            expected += own.mean() * abs(confidence[own].mean() - right[own].mean())
    assert metrics.expected_calibration_error(probabilities, targets) == pytest.approx(expected)
    assert sum(b.count for b in metrics.reliability(probabilities, targets)) == 200
