"""Losses and calibration: by hand, against scikit-learn, and as properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from fucina.errors import DataError
from fucina.metrics import (
    apply_temperature,
    brier,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
)

SEEDS = st.integers(0, 10_000)


def _random(seed, rows=200, labels=5, sharpness=1.0):
    """Rows whose true label is drawn from their own probabilities, then sharpened."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.ones(labels), rows)
    targets = (true.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).clip(max=labels - 1)
    return apply_temperature(true, 1 / sharpness), targets


@pytest.mark.parametrize("labels", [2, 5])
def test_losses_agree_with_scikit_learn(labels):
    probabilities, targets = _random(0, labels=labels)
    assert log_loss(probabilities, targets) == pytest.approx(
        reference.log_loss(targets, probabilities, labels=range(labels))
    )
    assert brier(probabilities, targets) == pytest.approx(
        ((probabilities - np.eye(labels)[targets]) ** 2).sum() / len(targets)
    )
    if labels == 2:
        halved = reference.brier_score_loss(targets, probabilities[:, 1])
        assert brier(probabilities, targets) == pytest.approx(2 * halved)


def test_a_true_label_of_probability_zero_costs_much_but_not_infinity():
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-12))
    assert brier(np.array([[1.0, 0.0]]), np.array([1])) == 2.0


def test_calibration_error_is_what_a_hand_computes():
    """Two bins of 10: sure 0.95 and right 2 of 2; sure 0.65 and right 1 of 3.

    The gaps are 0.05 and 0.31667; weighted 2/5 and 3/5 they make 0.02 + 0.19 = 0.21.
    """
    sureness, right = np.array([0.95, 0.95, 0.65, 0.65, 0.65]), [1, 1, 1, 0, 0]
    probabilities = np.stack([sureness, 1 - sureness], axis=1)
    targets = 1 - np.array(right)
    assert expected_calibration_error(probabilities, targets, bins=10) == pytest.approx(0.21)
    low, high = reliability(probabilities, targets)
    assert (low.count, low.confidence, low.accuracy) == pytest.approx((3, 0.65, 1 / 3))
    assert (high.count, high.confidence, high.accuracy) == pytest.approx((2, 0.95, 1.0))


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 30))
def test_calibration_error_is_the_weighted_gap_of_the_reliability_bins(seed, bins):
    probabilities, targets = _random(seed, rows=50)
    found = reliability(probabilities, targets, bins=bins)
    assert sum(bin.count for bin in found) == 50
    gap = sum(bin.count * abs(bin.confidence - bin.accuracy) for bin in found) / 50
    error = expected_calibration_error(probabilities, targets, bins=bins)
    assert error == pytest.approx(gap)
    assert 0 <= error <= 1


def test_confidence_on_an_edge_and_of_exactly_1_has_a_bin():
    probabilities = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert [bin.count for bin in reliability(probabilities, np.array([0, 0]), bins=2)] == [1, 1]


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.floats(0.05, 20))
def test_temperature_keeps_the_order_of_the_labels_and_the_sum(seed, temperature):
    probabilities, _ = _random(seed, rows=20)
    cooled = apply_temperature(probabilities, temperature)
    assert cooled.sum(axis=1) == pytest.approx(np.ones(20))
    # At 0.05 the small ones underflow to equal zeros, so the order may tie but never turn.
    ordered = np.take_along_axis(cooled, probabilities.argsort(axis=1), axis=1)
    assert (np.diff(ordered, axis=1) >= 0).all()
    assert (cooled[np.arange(20), probabilities.argmax(axis=1)] == cooled.max(axis=1)).all()


def test_temperature_1_changes_nothing_and_half_undoes_2():
    probabilities, _ = _random(1)
    assert apply_temperature(probabilities, 1.0) == pytest.approx(probabilities)
    assert apply_temperature(apply_temperature(probabilities, 2.0), 0.5) == pytest.approx(
        probabilities
    )


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 30), st.floats(0.2, 5))
def test_a_fitted_temperature_never_raises_the_log_loss(seed, rows, sharpness):
    probabilities, targets = _random(seed, rows=rows, sharpness=sharpness)
    cooled = apply_temperature(probabilities, fit_temperature(probabilities, targets))
    assert log_loss(cooled, targets) <= log_loss(probabilities, targets)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_a_fitted_temperature_finds_how_much_too_sure_a_model_is(sharpness):
    probabilities, targets = _random(2, rows=20_000, sharpness=sharpness)
    # 20,000 rows leave about 1 % of chance in the temperature.
    assert fit_temperature(probabilities, targets) == pytest.approx(sharpness, rel=0.05)


def test_a_model_that_is_always_right_or_always_wrong_gets_a_finite_temperature():
    probabilities = np.array([[0.8, 0.2]] * 9)
    always_right = fit_temperature(probabilities, np.zeros(9, dtype=int))
    always_wrong = fit_temperature(probabilities, np.ones(9, dtype=int))
    assert 0.05 <= always_right < 1 < always_wrong <= 20


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_a_temperature_that_is_not_above_0_is_an_error(temperature):
    with pytest.raises(DataError, match="temperature"):
        apply_temperature(np.array([[0.5, 0.5]]), temperature)


@pytest.mark.parametrize(
    "function", [log_loss, brier, expected_calibration_error, reliability, fit_temperature]
)
@pytest.mark.parametrize(
    ("probabilities", "targets", "said"),
    [
        (np.empty((0, 2)), [], "no rows"),
        (np.array([[0.5, 0.5]]), [0, 1], "2 true labels"),
        (np.array([0.5, 0.5]), [0, 1], "shape"),
        (np.array([[0.5, 0.5]]), [2], "2 labels"),
        (np.array([[0.5, 0.5], [np.nan, 0.5]]), [0, 1], "row 1"),
    ],
)
def test_what_cannot_be_scored_is_an_error_with_a_fix(function, probabilities, targets, said):
    with pytest.raises(DataError, match=said) as caught:
        function(probabilities, np.array(targets, dtype=int))
    assert caught.value.fix
