"""Bootstrap intervals: that they hold the truth, keep a width, and agree with each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fucina.errors import DataError
from fucina.metrics import (
    bootstrap,
    bootstrap_scores,
    expected_calibration_error,
    log_loss,
    paired_bootstrap,
    paired_bootstrap_scores,
    scores,
    wilson,
)

LABELS = 5


def _random(seed, rows=200, skill=0.3):
    rng = np.random.default_rng(seed)
    targets = rng.integers(LABELS, size=rows)
    probabilities = rng.dirichlet(np.ones(LABELS), rows)
    probabilities[np.arange(rows), targets] += skill
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return targets, probabilities.argmax(axis=1), probabilities


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_the_values_are_those_of_the_plain_functions(seed):
    targets, answers, probabilities = _random(seed, rows=60)
    found = bootstrap_scores(targets, answers, probabilities, LABELS, samples=20)
    expected = scores(targets, answers, LABELS)
    expected["log_loss"] = log_loss(probabilities, targets)
    expected["ece"] = expected_calibration_error(probabilities, targets)
    assert {name: score.value for name, score in found.items()} == pytest.approx(expected)


def test_the_fast_path_gives_the_interval_of_the_plain_one():
    targets, answers, probabilities = _random(0, rows=300)
    fast = bootstrap_scores(targets, answers, probabilities, LABELS, samples=2000)["macro_f1"]
    plain = bootstrap(
        lambda picks: scores(targets[picks], answers[picks], LABELS)["macro_f1"], 300, samples=2000
    )
    # Other resamples: ends of 2,000 vary by about a thirtieth of the width.
    assert (fast.low, fast.high) == pytest.approx((plain.low, plain.high), abs=0.01)


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap(lambda picks: values[picks].mean(), 400, samples=2000)
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.01
    )


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Of 200 test sets of one model, some 190 intervals hold the score of 200,000 rows."""
    targets, answers, probabilities = _random(12345, rows=200_000)
    truth = {**scores(targets, answers, LABELS), "log_loss": log_loss(probabilities, targets)}
    hits = dict.fromkeys(truth, 0)
    for seed in range(200):
        found = bootstrap_scores(*_random(seed, rows=150), LABELS, samples=200)
        for name, value in truth.items():
            hits[name] += found[name].low <= value <= found[name].high
    # 190 expected, give or take 3; percentile intervals on 150 rows hold a little less.
    assert all(180 <= count <= 199 for count in hits.values()), hits


def test_a_seed_gives_the_same_interval_and_another_seed_another():
    rows = _random(0)
    one = bootstrap_scores(*rows, LABELS, samples=50, seed=1)
    assert bootstrap_scores(*rows, LABELS, samples=50, seed=1) == one
    assert bootstrap_scores(*rows, LABELS, samples=50, seed=2) != one


def test_accuracy_has_the_interval_of_wilson():
    targets, answers, probabilities = _random(0)
    found = bootstrap_scores(targets, answers, probabilities, LABELS, samples=20)["accuracy"]
    assert found == wilson(int((targets == answers).sum()), len(targets))


@pytest.mark.parametrize("rows", [1, 3, 30])
def test_a_perfect_model_keeps_the_exact_lower_bound_in_every_label_score(rows):
    targets = np.arange(rows) % 3
    found = bootstrap_scores(targets, targets, np.eye(3)[targets], 3, samples=50)
    bound = pytest.approx(0.025 ** (1 / rows))
    for name in ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1"):
        assert (found[name].value, found[name].low, found[name].high) == (1.0, bound, 1.0), name


def test_a_model_that_is_never_right_keeps_the_exact_upper_bound():
    targets = np.arange(30) % 3
    answers = (targets + 1) % 3
    found = bootstrap_scores(targets, answers, np.eye(3)[answers], 3, samples=50)
    bound = pytest.approx(1 - 0.025 ** (1 / 30))
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert (found[name].value, found[name].low, found[name].high) == (0.0, 0.0, bound), name


def test_one_answer_for_all_rows_has_its_sure_balanced_accuracy():
    """1 / c whatever the rows: the bound of the accuracy says nothing about it."""
    targets = np.repeat([0, 1, 2], [80, 10, 10])
    probabilities = np.tile([0.8, 0.1, 0.1], (100, 1))
    found = bootstrap_scores(targets, np.zeros(100, dtype=int), probabilities, 3)
    score = found["balanced_accuracy"]
    assert (score.value, score.low, score.high) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert found["accuracy"] == wilson(80, 100)


def test_precision_of_1_by_luck_is_widened_by_the_rows_that_were_right():
    targets, answers = np.zeros(40, dtype=int), np.repeat([0, 1], [30, 10])
    found = bootstrap_scores(targets, answers, np.eye(2)[answers], 2, samples=50)
    assert found["macro_precision"].value == 1.0
    assert found["macro_precision"].low == wilson(30, 30).low
    assert found["macro_recall"].value == 0.75


def test_a_paired_difference_is_narrower_than_two_intervals():
    targets, answers, probabilities = _random(3, rows=400)
    other = answers.copy()
    other[:40] = targets[:40]
    found = paired_bootstrap_scores(targets, answers, other, LABELS)["accuracy"]
    single = bootstrap_scores(targets, answers, probabilities, LABELS)["accuracy"]
    assert found.value == pytest.approx((other == targets).mean() - (answers == targets).mean())
    assert found.high - found.low < single.high - single.low


def test_the_paired_paths_agree():
    targets, answers, _ = _random(3, rows=400)
    other = np.where(np.arange(400) < 40, targets, answers)

    def both(picks):
        return (answers == targets)[picks].mean(), (other == targets)[picks].mean()

    fast = paired_bootstrap_scores(targets, answers, other, LABELS, samples=2000)["accuracy"]
    plain = paired_bootstrap(both, 400, samples=2000)
    assert plain.value == pytest.approx(fast.value)
    assert (plain.low, plain.high) == pytest.approx((fast.low, fast.high), abs=0.005)


def test_swapping_the_models_turns_the_sign():
    targets, answers, _ = _random(4)
    other = np.roll(answers, 1)
    one = paired_bootstrap_scores(targets, answers, other, LABELS, samples=50)
    two = paired_bootstrap_scores(targets, other, answers, LABELS, samples=50)
    for name in one:
        assert (one[name].low, one[name].high) == pytest.approx((-two[name].high, -two[name].low))


def test_a_model_against_itself_differs_by_nothing():
    targets, answers, _ = _random(3)
    for found in paired_bootstrap_scores(targets, answers, answers, LABELS, samples=50).values():
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_an_answer_that_is_no_label_is_wrong_in_a_comparison():
    targets = np.array([0, 1, 0, 1])
    found = paired_bootstrap_scores(targets, np.full(4, -1), targets, 2, samples=20)
    assert found["accuracy"].value == 1.0
    assert found["macro_f1"].value == 1.0


NOTHING = np.array([], dtype=int)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap(lambda picks: picks.mean(), 0),
        lambda: paired_bootstrap(lambda picks: (0.0, 0.0), 0),
        lambda: bootstrap_scores(NOTHING, NOTHING, np.empty((0, 2)), 2),
        lambda: paired_bootstrap_scores(NOTHING, NOTHING, NOTHING, 2),
    ],
)
def test_no_rows_is_an_error_with_a_fix(call):
    with pytest.raises(DataError, match="no rows") as caught:
        call()
    assert caught.value.fix


def test_rows_that_do_not_match_are_an_error():
    targets, answers, probabilities = _random(0)
    with pytest.raises(DataError, match="199 answers"):
        bootstrap_scores(targets, answers[1:], probabilities, LABELS)
    with pytest.raises(DataError, match="200 true labels"):
        bootstrap_scores(targets, answers, probabilities[1:], LABELS)
    with pytest.raises(DataError, match="199 answers"):
        paired_bootstrap_scores(targets, answers, answers[1:], LABELS)
