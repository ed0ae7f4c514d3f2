"""What is said while a training runs."""

import pytest

from fucina.config import ExpectationsConfig
from fucina.records import Epoch
from fucina.train.signs import Signs, met

NONE = ExpectationsConfig()


def _epochs(train, held, *, norms=None, seconds=None, accuracy=None, member=0):
    count = len(held)
    norms, seconds = norms or [1.0] * count, seconds or [1.0] * count
    accuracy = accuracy or [0.5] * count
    return [
        Epoch(member, n, train[n], held[n], {"accuracy": accuracy[n]}, norms[n], 1e-3, seconds[n])
        for n in range(count)
    ]


def _said(epochs, expected=NONE, planned=0.0):
    signs = Signs(expected, planned)
    return [sentence for epoch in epochs for sentence in signs.see(epoch)]


def test_a_healthy_run_is_silent():
    assert _said(_epochs([9, 1.0, 0.6, 0.4, 0.3], [1.2, 0.9, 0.7, 0.6, 0.58])) == []


@pytest.mark.parametrize(("word", "epochs"), [
    ("not falling", _epochs([9, 1.0, 1.0, 0.99], [1.2, 1.2, 1.2, 1.2])),
    ("explode", _epochs([9, 1.0, 0.9], [1.2, 1.0, 0.9], norms=[0, 1.0, 30.0])),
    ("jumped from 1.200 to 3.000", _epochs([9, 4.0], [1.2, 3.0])),
    ("overfitting", _epochs([9, 1.0, 0.5, 0.3, 0.1], [1.2, 0.9, 0.8, 1.0, 1.1])),
    ("epoch 3 took 9 s", _epochs([9, 1.0, 0.8, 0.6], [1.2, 1, 0.9, 0.8], seconds=[0, 3, 3, 9])),
])  # fmt: skip
def test_each_bad_sign_is_said_once(word, epochs):
    said = _said(epochs)
    assert len([s for s in said if word in s]) == 1
    again = [*epochs, epochs[-1]]
    assert len([s for s in _said(again) if word in s]) == 1


def test_an_epoch_slower_than_planned_is_said_at_the_first():
    epochs = _epochs([9, 1.0], [1.2, 1.0], seconds=[0, 20])
    assert "took 20 s instead of 10 s" in _said([*epochs[:1], epochs[1]], planned=10.0)[0]


def test_members_share_what_was_said():
    epochs = [
        e
        for pair in zip(
            _epochs([9, 1.0, 0.9], [1.2, 3.0, 1.0]),
            _epochs([9, 1.0, 0.9], [1.2, 3.0, 1.0], member=1),
            strict=True,
        )
        for e in pair
    ]
    assert len(_said(epochs)) == 1


def test_expectations_are_watched_live():
    expected = ExpectationsConfig(
        loss_initial=0.4, metric_baseline=0.5, metric_milestone=0.8, metric_target=0.95,
        time_warning_s=5,
    )  # fmt: skip
    said = _said(
        _epochs([9, 1.0, 0.6], [1.2, 0.9, 0.8], accuracy=[0.3, 0.6, 0.85], seconds=[0, 3, 3]),
        expected,
    )
    assert [next(w for w in ("loss", "baseline", "milestone", "has taken 6 s") if w in s) for s in said] == [
        "loss", "baseline", "milestone", "has taken 6 s",
    ]  # fmt: skip


def test_what_was_expected_is_compared_with_what_came():
    expected = ExpectationsConfig(
        loss_initial=1.2, loss_target=0.3, loss_warning=0.8, metric_baseline=0.833,
        metric_milestone=0.9, metric_target=0.95, time_expected_s=60, time_warning_s=5,
    )  # fmt: skip
    epochs = _epochs([9, 1.0, 0.5], [1.2, 0.9, 0.8], accuracy=[0.3, 0.92, 0.91])
    rows = {row["name"]: row["met"] for row in met(expected, epochs, seconds=10.0)}
    assert rows == {
        "loss_initial": True, "loss_target": False, "loss_warning": True, "metric_baseline": True,
        "metric_milestone": True, "metric_target": False, "time_expected_s": True,
        "time_warning_s": False,
    }  # fmt: skip
    assert met(NONE, epochs, seconds=1.0) == []
