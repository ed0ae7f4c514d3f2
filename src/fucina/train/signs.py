"""Good and bad signs while a training runs, each in a plain sentence and said once."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fucina.records import Epoch

if TYPE_CHECKING:
    from fucina.config import ExpectationsConfig

__all__ = ["Signs", "met"]

STILL = 0.98  # a training loss above this share of its first value is not falling
LEARNED = 0.05  # nats; below this there is nothing left to fall
EXPLODED = 10.0  # times the gradient norm of the first epoch
JUMPED = 1.5  # times the held-out loss of the start
RISEN = 1.1  # times the lowest held-out loss
SLOWER = 1.5  # times the planned, or the fastest, seconds of an epoch
FAR = 0.5  # share by which the first loss may differ from the expected one


@dataclass
class Signs:
    """Remembers the epochs of all members, and what was said already.

    Args:
        expected: The recipe's expectations.
        planned_epoch_s: Seconds that an epoch was planned to take; 0 when unknown.

    Example:
        >>> from fucina.config import ExpectationsConfig
        >>> signs = Signs(ExpectationsConfig())
        >>> epochs = [Epoch(0, n, 1.0, 1.1, {"accuracy": 0.3}, 2.0, 5e-4, 1.0) for n in range(4)]
        >>> [sentence for epoch in epochs for sentence in signs.see(epoch)][0][:40]
        'the training loss is not falling: 1.000 '
    """

    expected: "ExpectationsConfig"
    planned_epoch_s: float = 0.0
    epochs: dict[int, list[Epoch]] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)

    def see(self, epoch: Epoch) -> list[str]:
        """Take note of an epoch; returns what should be said, at most once a run each."""
        past = self.epochs.setdefault(epoch.member, [])
        past.append(epoch)
        found = {**self._expected(past), **(self._bad(past) if len(past) > 1 else {})}
        new = [sentence for kind, sentence in found.items() if kind not in self.said]
        self.said |= set(found)
        return new

    def _bad(self, past: list[Epoch]) -> dict[str, str]:
        now, trained = past[-1], past[1:]
        first, found = trained[0], {}
        lowest = min(e.validation_loss for e in past)
        if len(trained) > 2 and now.train_loss > max(LEARNED, STILL * first.train_loss):
            found["still"] = (
                f"the training loss is not falling: {first.train_loss:.3f} after epoch 1, "
                f"{now.train_loss:.3f} after epoch {now.epoch}. The learning rate may be too low "
                "or far too high."
            )
        if now.gradient_norm > EXPLODED * first.gradient_norm > 0:
            found["exploded"] = (
                f"gradients explode: their norm went from {first.gradient_norm:.2g} to "
                f"{now.gradient_norm:.2g}. Lower training.learning_rate."
            )
        if now is first and now.validation_loss > JUMPED * past[0].validation_loss:
            found["jumped"] = (
                f"the held-out loss jumped from {past[0].validation_loss:.3f} to "
                f"{now.validation_loss:.3f} in the first epoch. Lower training.learning_rate."
            )
        if _overfits(past):
            found["overfits"] = (
                f"overfitting: the held-out loss rose from {lowest:.3f} to "
                f"{now.validation_loss:.3f} while the training loss fell to {now.train_loss:.3f}; "
                "the best epoch is kept."
            )
        usual = self.planned_epoch_s or min(e.seconds for e in trained)
        if usual > 1 and now.seconds > SLOWER * usual:
            found["slow"] = (
                f"epoch {now.epoch} took {now.seconds:.0f} s instead of {usual:.0f} s: "
                "is something else using this machine?"
            )
        return found

    def _expected(self, past: list[Epoch]) -> dict[str, str]:
        want, now, found = self.expected, past[-1], {}
        score = now.scores.get(want.metric, 0.0)
        name = want.metric.replace("_", " ")
        if len(past) == 2 and want.loss_initial is not None:
            off = now.train_loss / want.loss_initial - 1
            if abs(off) > FAR:
                found["loss_initial"] = (
                    f"the first training loss is {now.train_loss:.3f}, about {want.loss_initial:g} "
                    "was expected: are base, labels and loss those you had in mind?"
                )
        for step in ("baseline", "milestone", "target"):
            wanted = getattr(want, f"metric_{step}")
            if wanted is not None and score >= wanted:
                found[f"metric_{step}"] = (
                    f"held-out {name} {score:.3f} reached the {step} {wanted:g} at epoch "
                    f"{now.epoch}."
                )
        spent = sum(e.seconds for e in past)
        if want.time_warning_s is not None and spent > want.time_warning_s:
            found["time_warning"] = (
                f"training has taken {spent:.0f} s, more than the {want.time_warning_s:g} s that "
                "were to be a warning."
            )
        return found


def _overfits(past: list[Epoch]) -> bool:
    """Two epochs in a row well above the lowest held-out loss, with a falling training loss."""
    if len(past) < 4:
        return False
    lowest = min(e.validation_loss for e in past)
    last = past[-2:]
    above = all(e.validation_loss > RISEN * lowest for e in last)
    learns = last[1].train_loss < last[0].train_loss < past[1].train_loss
    return above and learns


def met(
    expected: "ExpectationsConfig", epochs: list[Epoch], seconds: float
) -> list[dict[str, str | float | bool]]:
    """Compare what was expected with what came, after the last epoch.

    Args:
        expected: The recipe's expectations.
        epochs: Of all members; their means over members are compared.
        seconds: How long training took.

    Returns:
        A row for each expectation: name, expected, got, met.
    """
    trained = sorted({e.epoch for e in epochs if e.epoch > 0})
    losses = [float(np.mean([e.train_loss for e in epochs if e.epoch == n])) for n in trained]
    best: dict[int, float] = {}
    for epoch in epochs:
        score = epoch.scores.get(expected.metric, 0.0)
        best[epoch.member] = max(best.get(epoch.member, 0.0), score)
    score = float(np.mean(list(best.values()))) if best else 0.0
    first, last = (losses[0], losses[-1]) if losses else (float("nan"), float("nan"))
    rows = (
        ("loss_initial", first, lambda want: abs(first / want - 1) <= FAR),
        ("loss_target", last, lambda want: last <= want),
        ("loss_warning", last, lambda want: last <= want),
        ("metric_baseline", score, lambda want: score > want),
        ("metric_milestone", score, lambda want: score >= want),
        ("metric_target", score, lambda want: score >= want),
        ("time_expected_s", seconds, lambda want: seconds <= want),
        ("time_warning_s", seconds, lambda want: seconds <= want),
    )
    return [
        {"name": name, "expected": want, "got": got, "met": bool(check(want))}
        for name, got, check in rows
        if (want := getattr(expected, name)) is not None
    ]
