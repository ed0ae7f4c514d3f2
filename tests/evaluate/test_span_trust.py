"""How sure a span is, and how often it is right."""

import numpy as np
import pytest

from fucina.config import EvaluationConfig
from fucina.evaluate import calibrate_spans, sentences
from fucina.evaluate.span_trust import whether_right
from fucina.metrics import expected_calibration_error
from fucina.records import Span, Spans

CONFIG = EvaluationConfig(bootstrap_samples=100)


def _spans(count, *, sure, right, seed=0):
    """One span a text; of those marked so surely so many are right."""
    rng = np.random.default_rng(seed)
    true, other = Span(0, 4, "LOC"), Span(0, 4, "PER")
    answers = [(true,) if rng.random() < right else (other,) for _ in range(count)]
    return Spans(tuple(f"Bari {n}" for n in range(count)), ((true,),) * count, tuple(answers),
                 ((sure,),) * count, (9,) * count, ("LOC", "PER"))  # fmt: skip


@pytest.mark.parametrize(("sure", "right"), [(0.98, 0.75), (0.7, 0.95)])
def test_confidence_that_is_off_is_scaled_to_the_share_that_is_right(sure, right):
    found = calibrate_spans(_spans(800, sure=sure, right=right), CONFIG, seed=1)
    assert (found.temperature > 1) == (sure > right)
    assert found.before.value == pytest.approx(abs(sure - right), abs=0.03)
    assert found.after.value < 0.04
    assert found.rows == 800


def test_confidence_that_is_right_stays():
    found = calibrate_spans(_spans(800, sure=0.8, right=0.8), CONFIG, seed=1)
    assert found.temperature == pytest.approx(1, abs=0.15)
    assert found.before.value < 0.04


def test_few_spans_or_none_are_left_as_they_are():
    assert calibrate_spans(_spans(20, sure=0.99, right=0.5), CONFIG, seed=1).temperature == 1
    none = Spans(("Bari",), ((),), ((),), ((),), (4,), ("LOC",))
    assert calibrate_spans(none, CONFIG, seed=1) is None
    assert sentences({"answer": "spans"}) == []
    off = EvaluationConfig(calibrate=False, bootstrap_samples=100)
    assert calibrate_spans(_spans(800, sure=0.98, right=0.6), off, seed=1).temperature == 1


def test_a_span_is_right_only_where_bounds_and_type_are():
    asked = whether_right(_spans(50, sure=0.9, right=0.5))
    targets = np.array([target == "wrong" for target in asked.targets]).astype(int)
    share = 1 - targets.mean()
    assert expected_calibration_error(asked.probabilities, targets) == pytest.approx(0.9 - share)
