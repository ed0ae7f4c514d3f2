"""Intervals and tests of shares, against known values and simulation."""

import math

import numpy as np
import pytest

from fucina.errors import DataError
from fucina.metrics import mcnemar, minimum_detectable_difference, wilson


def test_wilson_of_90_of_100_is_the_known_interval():
    found = wilson(90, 100)
    assert (found.value, found.low, found.high) == pytest.approx((0.9, 0.8256, 0.9448), abs=1e-4)


@pytest.mark.parametrize("rows", [1, 10, 25, 1000])
def test_all_right_has_the_exact_lower_bound_and_none_right_its_mirror(rows):
    """Clopper-Pearson: the share p at which p to the power of n is 2.5 %."""
    assert wilson(rows, rows).low == pytest.approx(0.025 ** (1 / rows))
    assert wilson(rows, rows).high == 1.0
    assert wilson(0, rows).high == pytest.approx(1 - 0.025 ** (1 / rows))
    assert wilson(0, rows).low == 0.0


def test_more_confidence_is_wider():
    assert wilson(90, 100, 0.99).low < wilson(90, 100, 0.95).low < wilson(90, 100, 0.8).low


def _pair(only_first, only_second, both=20):
    first = np.array([True] * only_first + [False] * only_second + [True] * both)
    second = np.array([False] * only_first + [True] * only_second + [True] * both)
    return first, second


def test_mcnemar_of_3_against_10_is_the_known_p_value():
    first, second = _pair(3, 10)
    assert mcnemar(first, second) == pytest.approx(0.09229, abs=1e-5)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_mcnemar_ignores_rows_on_which_the_models_agree():
    assert mcnemar(*_pair(3, 10, both=0)) == mcnemar(*_pair(3, 10, both=500))


def test_mcnemar_takes_zeros_and_ones_for_booleans():
    first, second = _pair(3, 10)
    assert mcnemar(first.astype(float), second.astype(int)) == mcnemar(first, second)


def test_mcnemar_of_equal_models_is_1():
    first, _ = _pair(3, 10)
    assert mcnemar(first, first) == 1.0


def test_mcnemar_of_different_rows_is_an_error():
    with pytest.raises(DataError, match="10 rows of one model and 1 of the other"):
        mcnemar(np.ones(10, dtype=bool), np.ones(1, dtype=bool))


def test_the_detectable_difference_turns_the_published_formula_around():
    """At discordant shares 0.45 and 0.05 the formula asks for 22.01 rows, power 80 %."""
    found = minimum_detectable_difference(22, 0.5, disagreement=0.5)
    assert found == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize(("rows", "disagreement"), [(100, 0.3), (300, 0.1), (1000, 0.02)])
def test_a_difference_of_that_size_is_found_four_times_of_five(rows, disagreement):
    gain = minimum_detectable_difference(rows, 0.8, disagreement=disagreement)
    share = min(1.0, (disagreement + gain) / 2 / max(disagreement, gain))
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(500):
        differing = rng.binomial(rows, max(disagreement, gain))
        better = rng.binomial(differing, share)
        found += mcnemar(*_pair(differing - better, better, both=0)) < 0.05
    # The exact test is stricter than the formula's normal one; 500 trials vary by 2 %.
    assert 0.70 < found / 500 < 0.86


def test_more_rows_show_less_and_shared_errors_help():
    sizes = [minimum_detectable_difference(rows, 0.9) for rows in (10, 100, 1000, 10_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert minimum_detectable_difference(500, 0.9, disagreement=0.05) < sizes[2] * 2**0.5


def test_a_perfect_model_does_not_make_every_difference_detectable():
    """Even if all rows that differ go one way, it takes some 8 of them."""
    assert minimum_detectable_difference(100, 1.0) == pytest.approx(0.08, abs=0.01)


def test_five_rows_show_nothing_whatever_happens():
    assert mcnemar(*_pair(0, 5, both=0)) > 0.05 > mcnemar(*_pair(0, 6, both=0))
    assert math.isinf(minimum_detectable_difference(5, 0.5))
    assert math.isfinite(minimum_detectable_difference(6, 0.5))


@pytest.mark.parametrize(
    "call", [lambda: wilson(0, 0), lambda: minimum_detectable_difference(0, 1)]
)
def test_no_rows_is_an_error_with_a_fix(call):
    with pytest.raises(DataError, match="no rows") as caught:
        call()
    assert caught.value.fix
