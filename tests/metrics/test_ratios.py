"""Scores that are one sum over another: agreement with known formulas, intervals, and swaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from fucina.metrics import (
    matches,
    mean_of,
    paired_ratio,
    ratio_interval,
    sign_flips,
    swaps,
    value_of,
)
from fucina.records import Ratio

COUNTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1)


@given(COUNTS)
def test_matches_are_micro_scores(counts):
    """Each row as hits, wrong answers and misses; scikit-learn counts the same as labels."""
    hits, wrong, missed = np.array(counts).T
    found = matches(hits, hits + wrong, hits + missed)
    said = [1] * int(hits.sum()) + [1] * int(wrong.sum()) + [0] * int(missed.sum())
    true = [1] * int(hits.sum()) + [0] * int(wrong.sum()) + [1] * int(missed.sum())
    if not said:
        assert [value_of(ratio) for ratio in found.values()] == [0, 0, 0]
        return
    expected = precision_recall_fscore_support(true, said, average="binary", zero_division=0)[:3]
    assert [value_of(found[name]) for name in ("precision", "recall", "f1")] == pytest.approx(
        expected
    )


def test_a_share_of_rows_has_wilsons_interval_and_a_mean_the_bootstraps():
    share = ratio_interval(mean_of([1.0] * 9 + [0.0]))
    assert (share.low, share.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    mean = ratio_interval(mean_of(np.arange(100) / 99))
    assert mean.low < mean.value < mean.high
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * 0.2916 / 10, rel=0.15)


def test_rows_with_nothing_to_gain_change_nothing():
    some = Ratio(np.array([1.0, 2.0, 0.0]), np.array([2.0, 2.0, 0.0]))
    assert value_of(some) == 0.75
    nothing = Ratio(np.zeros(3), np.zeros(3))
    assert (value_of(nothing), ratio_interval(nothing).high) == (0, 0)


def test_swaps_of_means_are_sign_flips():
    rng = np.random.default_rng(0)
    one, two = rng.random(30), rng.random(30) + 0.15
    expected = sign_flips(two - one, samples=20_000)
    assert swaps(mean_of(one), mean_of(two), samples=20_000) == pytest.approx(expected, abs=0.01)


def test_models_that_do_not_differ_are_seldom_told_apart():
    """Under the null hypothesis the p value is below 0.05 in about one of twenty trials."""
    rng = np.random.default_rng(1)
    low = 0
    for trial in range(200):
        possible = rng.integers(1, 6, 40).astype(float)
        one, two = (Ratio(rng.binomial(possible.astype(int), 0.4), possible) for _ in range(2))
        low += swaps(one, two, samples=300, seed=trial) < 0.05
    assert 2 <= low <= 20


def test_a_paired_difference_is_narrower_than_two_intervals():
    rng = np.random.default_rng(2)
    hard = rng.random(80)
    one, two = mean_of(hard), mean_of(hard + 0.05)
    gap = paired_ratio(one, two)
    assert gap.value == pytest.approx(0.05)
    assert gap.high - gap.low < 0.1 * (ratio_interval(one).high - ratio_interval(one).low)
