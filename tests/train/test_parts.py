"""Loss, schedule, stopping: the small parts of the loop."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from fucina.config import LossConfig, StoppingConfig
from fucina.errors import RecipeError
from fucina.train.loss import class_weights, focal_loss, make_loss
from fucina.train.schedule import rate, warmup_steps
from fucina.train.stopping import BestModel, EarlyStopping, max_ratio


def test_focal_loss_without_gamma_is_cross_entropy():
    logits, targets = torch.randn(20, 5), torch.randint(5, (20,))
    for reduction in ("mean", "sum", "none"):
        assert torch.allclose(
            focal_loss(logits, targets, gamma=0.0, reduction=reduction),
            functional.cross_entropy(logits, targets, reduction=reduction),
            atol=1e-6,
        )


def test_focal_loss_is_the_formula_of_the_paper():
    logits, targets = torch.randn(7, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    alpha = torch.tensor([0.25, 0.5, 2.0])
    p = torch.softmax(logits, -1)[torch.arange(7), targets]
    expected = -alpha[targets] * (1 - p) ** 1.5 * p.log()
    found = focal_loss(logits, targets, gamma=1.5, alpha=alpha, reduction="none")
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_scalar_alpha_scales_every_row():
    logits, targets = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    assert torch.allclose(
        focal_loss(logits, targets, alpha=0.25), 0.25 * focal_loss(logits, targets)
    )


def test_class_weights_sum_to_the_label_count():
    weights = class_weights(torch.tensor([0] * 90 + [1] * 9 + [2]), 3)
    assert weights.sum().item() == pytest.approx(3.0)
    assert weights[2] / weights[0] == pytest.approx(90.0)


def test_alpha_of_an_unknown_label_names_the_nearest():
    with pytest.raises(RecipeError, match="rimborsi") as caught:
        make_loss(
            "focal", LossConfig(alpha={"rimborsi": 2.0}), ("rimborso", "ordine"), torch.tensor([0])
        )
    assert "rimborso" in caught.value.fix


def test_alpha_with_cross_entropy_is_refused_because_it_would_do_nothing():
    with pytest.raises(RecipeError, match="no effect"):
        make_loss("cross_entropy", LossConfig(alpha=0.5), ("a", "b"), torch.tensor([0, 1]))


def test_balanced_weights_and_alpha_change_the_loss():
    logits, targets = torch.randn(6, 2), torch.tensor([0, 0, 0, 0, 0, 1])
    plain = make_loss("focal", LossConfig(), ("a", "b"), targets)(logits, targets)
    for config in (
        LossConfig(class_weights="balanced"),
        LossConfig(alpha={"b": 3.0}),
        LossConfig(gamma=0),
    ):
        assert not torch.allclose(
            make_loss("focal", config, ("a", "b"), targets)(logits, targets), plain
        )


def test_under_a_warm_up_longer_than_the_run_the_rate_only_rises():
    steps = warmup_steps(100, 40)
    rates = [rate(s, warmup=steps, total=40, schedule="cosine") for s in range(40)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.4)


@given(st.integers(1, 500), st.floats(0, 0.99), st.sampled_from(["cosine", "linear", "constant"]))
def test_the_rate_rises_to_its_peak_and_never_above(total, warmup, schedule):
    steps = warmup_steps(warmup, total)
    rates = [rate(s, warmup=steps, total=total, schedule=schedule) for s in range(total)]
    assert all(0 < value <= 1 for value in rates)
    assert max(rates) == 1.0
    rising, falling = rates[: steps + 1], rates[steps:]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


def test_the_loss_trigger_goes_back_patience_epochs():
    stopping = EarlyStopping(patience=3, min_gain=0.01, ratio=float("inf"))
    losses = [1.0, 0.8, 0.795, 0.81, 0.9, 0.5]
    for epoch, loss in enumerate(losses):
        reason = stopping.see(epoch, loss, loss, epoch)
        if reason:
            break
    assert epoch == 4  # 0.795 is no gain of 0.01, so 2, 3, 4 are bad
    assert "did not fall for 3 epochs" in reason
    assert stopping.rollback() == (1, 1)


def test_the_ratio_trigger_works_while_the_validation_loss_still_falls():
    stopping = EarlyStopping(patience=2, min_gain=0.0, ratio=1.15)
    seen = [
        stopping.see(epoch, train, validation, epoch)
        for epoch, (train, validation) in enumerate([(1.0, 1.0), (0.5, 0.9), (0.4, 0.8)])
    ]
    assert seen[:2] == [None, None]
    assert "stayed above 1.15" in seen[2]
    assert stopping.rollback() == (0, 0)


def test_the_buffer_never_holds_more_states_than_it_needs():
    stopping = EarlyStopping(patience=2, min_gain=0.0, ratio=float("inf"))
    for epoch in range(50):
        stopping.see(epoch, 1.0, 1.0 - epoch / 100, epoch)
    assert [epoch for epoch, _ in stopping.states] == [47, 48, 49]


def test_the_ratio_threshold_follows_the_loss_unless_set():
    assert max_ratio(StoppingConfig(), "cross_entropy") == 1.15
    assert max_ratio(StoppingConfig(), "focal") == 20.0
    assert max_ratio(StoppingConfig(max_ratio="off"), "focal") == float("inf")


def test_only_improvements_count_as_best():
    best = BestModel()
    assert best.see(1, 0.5, 1.0, "a")
    assert not best.see(2, 0.5, 1.0, "b")
    assert best.see(3, 0.5, 0.9, "c")  # equal accuracy, lower loss
    assert not best.see(4, 0.4, 0.1, "d")
    assert best.state == "c"
