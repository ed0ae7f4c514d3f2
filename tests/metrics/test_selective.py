"""Answer only when sure."""

import numpy as np
import pytest

from fucina.errors import DataError
from fucina.metrics import pick_threshold, risk_coverage


def test_points_count_what_is_answered_and_wrong():
    rng = np.random.default_rng(1)
    sure, right = rng.random(500), rng.random(500) < 0.7
    for point in risk_coverage(sure, right):
        answered = sure >= point.threshold
        assert point.coverage == answered.mean()
        assert point.risk == (~right[answered]).mean()
        assert point.bound > point.risk


def test_the_last_point_answers_every_row_and_equal_confidences_stay_together():
    points = risk_coverage(np.array([0.5] * 10), np.array([True] * 9 + [False]))
    assert [(p.coverage, p.risk) for p in points] == [(1.0, 0.1)]


def test_the_bounds_hold_for_whichever_threshold_is_picked():
    """Of 400 draws, at most about 5 % may have any point whose true risk is above its bound."""
    rng = np.random.default_rng(2)
    failures = 0
    for _ in range(400):
        sure = rng.random(300)
        right = rng.random(300) < sure  # so answers above t are wrong with (1 - t) / 2
        points = risk_coverage(sure, right)
        failures += any((1 - point.threshold) / 2 > point.bound for point in points)
    assert failures <= 30


def test_a_proved_target_is_kept_on_fresh_rows():
    rng = np.random.default_rng(3)
    broken = 0
    for _ in range(200):
        sure = rng.random(3000)
        right = rng.random(3000) < sure
        point, proved = pick_threshold(risk_coverage(sure, right), 0.2)
        assert proved
        broken += (1 - point.threshold) / 2 > 0.2
    assert broken <= 15


def test_few_rows_prove_nothing_but_still_choose():
    point, proved = pick_threshold(risk_coverage(np.linspace(1, 0, 20), np.arange(20) < 10), 0.02)
    assert not proved
    assert point.coverage == 0.5


def test_no_threshold_where_the_surest_are_wrong():
    assert pick_threshold(risk_coverage(np.linspace(1, 0, 50), np.zeros(50, bool)), 0.2) == (
        None,
        False,
    )


@pytest.mark.parametrize("rows", [(0, 0), (2, 3)])
def test_rows_without_meaning_are_refused(rows):
    with pytest.raises(DataError):
        risk_coverage(np.ones(rows[0]), np.ones(rows[1], bool))
