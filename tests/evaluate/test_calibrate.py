"""Confidence that means what it says."""

import numpy as np
import pytest

from fucina.config import EvaluationConfig
from fucina.evaluate import calibrate
from fucina.metrics import apply_temperature, fit_temperature, log_loss
from fucina.records import Predictions


def _answers(rows, *, sharper, seed=0):
    """Labels drawn from calibrated probabilities, which are then made too sure or too modest."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet([0.5] * 4, size=rows)
    targets = [int(rng.choice(4, p=p)) for p in true]
    labels = ("a", "b", "c", "d")
    return Predictions(
        labels, apply_temperature(true, 1 / sharper), tuple(labels[t] for t in targets)
    )


CONFIG = EvaluationConfig(bootstrap_samples=200)


@pytest.mark.parametrize("sharper", [0.4, 3.0])
def test_the_temperature_undoes_what_made_it_too_sure_or_too_modest(sharper):
    found = calibrate(_answers(3000, sharper=sharper), CONFIG, seed=0)
    assert found.temperature == pytest.approx(sharper, rel=0.1)
    assert found.after.high < found.before.low


def test_a_calibrated_model_is_left_as_it_is_or_nearly_so():
    found = calibrate(_answers(3000, sharper=1.0), CONFIG, seed=0)
    assert found.temperature == pytest.approx(1.0, rel=0.1)


def test_a_temperature_that_moves_the_error_from_some_rows_to_others_is_not_kept():
    sure, modest = np.tile([0.9999, 0.0001], (1000, 1)), np.tile([0.6, 0.4], (1000, 1))
    right = np.random.default_rng(0).random(2000) < 0.9
    answers = Predictions(
        ("a", "b"), np.concatenate([sure, modest]), tuple(np.where(right, "a", "b").tolist())
    )
    found = calibrate(answers, CONFIG, seed=0)
    best = fit_temperature(answers.probabilities, 1 - right.astype(int))
    softer = apply_temperature(answers.probabilities, best)
    assert log_loss(softer, 1 - right) < log_loss(answers.probabilities, 1 - right) - 0.05
    assert found.temperature == 1.0
    assert found.after == found.before


def test_confidence_that_says_nothing_is_not_scaled_to_nothing():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.6, 0.9, 400)
    right = rng.random(400) < 0.3  # whatever was said: of two labels the other is the better bet
    answers = Predictions(
        ("a", "b"), np.stack([sure, 1 - sure], axis=1), tuple(np.where(right, "a", "b").tolist())
    )
    assert calibrate(answers, CONFIG, seed=0).temperature == 1


def test_few_rows_and_false_leave_confidence_alone():
    assert calibrate(_answers(20, sharper=5.0), CONFIG, seed=0).temperature == 1.0
    off = EvaluationConfig(bootstrap_samples=200, calibrate=False)
    found = calibrate(_answers(2000, sharper=5.0), off, seed=0)
    assert found.temperature == 1.0
    assert found.after == found.before


def test_the_threshold_keeps_to_the_target_on_other_rows():
    config = EvaluationConfig(bootstrap_samples=200, max_error=0.15)
    found = calibrate(_answers(4000, sharper=2.0), config, seed=0)
    other = _answers(4000, sharper=2.0, seed=9)
    scaled = apply_temperature(other.probabilities, found.temperature)
    answered = scaled.max(axis=1) >= found.threshold
    right = np.array(other.answers) == np.array(other.targets)
    assert found.proved
    assert 0.05 < answered.mean() < 0.9
    assert (~right[answered]).mean() <= 0.15


def test_without_a_target_every_row_is_answered():
    assert calibrate(_answers(500, sharper=1.0), CONFIG, seed=0).threshold is None
