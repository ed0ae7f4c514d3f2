"""Label more, or stop?"""

import numpy as np
import pytest

from fucina.config import EvaluationConfig
from fucina.evaluate import learning_curve
from fucina.records import Predictions

CONFIG = EvaluationConfig(bootstrap_samples=300)


def _answers(wrong, rows=2000):
    probabilities = np.array([[0.0, 1.0]] * wrong + [[1.0, 0.0]] * (rows - wrong))
    return Predictions(("a", "b"), probabilities, ("a",) * rows, ("",) * rows)


@pytest.mark.parametrize("power", [0.3, 0.7])
def test_a_power_law_is_carried_on(power):
    sizes = [100, 200, 400, 800]
    errors = [round(1200 * (n / 100) ** -power) for n in sizes]
    curve = learning_curve(sizes, [_answers(n) for n in errors], CONFIG, seed=0)
    expected = errors[-1] / 2000 * (1 - 2**-power)
    assert curve.gain.value == pytest.approx(expected, rel=0.05)
    assert curve.gain.low < expected < curve.gain.high
    assert curve.advice.startswith("Label about 800 more")
    assert [a.value for a in curve.scores] == pytest.approx([1 - e / 2000 for e in errors])


def test_a_flat_curve_says_stop():
    curve = learning_curve(
        [100, 200, 400, 800], [_answers(n) for n in (61, 60, 60, 60)], CONFIG, seed=0
    )
    assert curve.advice.startswith("Stop labelling")
    assert abs(curve.gain.value) < 0.005


def test_few_test_rows_say_that_they_cannot_tell():
    points = [_answers(n, rows=20) for n in (9, 9, 8, 8)]
    curve = learning_curve([10, 20, 40, 80], points, CONFIG, seed=0)
    assert "too uncertain to tell with 20 test rows" in curve.advice


def test_a_model_without_errors_needs_no_rows():
    curve = learning_curve([10, 20, 40, 80], [_answers(n) for n in (40, 2, 0, 0)], CONFIG, seed=0)
    assert curve.advice.startswith("Stop labelling")
