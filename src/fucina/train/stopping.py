"""When to give up, and which weights to go back to."""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from fucina.config import StoppingConfig

__all__ = ["BestModel", "EarlyStopping", "max_ratio"]

# From the training system this one replaces: focal loss shrinks the training loss far below the
# validation loss long before a model overfits, so its ratio must be allowed to be larger.
RATIOS = {"focal": 20.0, "cross_entropy": 1.15}


def max_ratio(
    config: "StoppingConfig", loss: Literal["cross_entropy", "focal"], *, labels: bool = True
) -> float:
    """The ratio of validation to training loss above which an epoch is bad.

    Of texts and spans the training loss is far below the other while the model still gets better,
    so that `auto` sets them no limit: with 1.15, runs that write ended an epoch or more before
    their best (docs/log.md).

    Example:
        >>> from fucina.config import StoppingConfig
        >>> max_ratio(StoppingConfig(), "focal"), max_ratio(StoppingConfig(max_ratio=3), "focal")
        (20.0, 3.0)
    """
    if config.max_ratio == "auto":
        return RATIOS[loss] if labels else float("inf")
    return float("inf") if config.max_ratio == "off" else float(config.max_ratio)


@dataclass
class EarlyStopping:
    """Remembers the last states of a member; says when to give up, and goes back.

    Two triggers count bad epochs in a row, each on its own: the validation loss did not fall by
    `min_gain` below its best, or validation / training loss is above `ratio`. When one reaches
    `patience` at epoch t, the weights go back to epoch t - patience.

    Args:
        patience: Bad epochs in a row before giving up, 1 or more.
        min_gain: Smallest fall of the validation loss that counts, nats.
        ratio: Largest validation / training loss that is still healthy.

    Example:
        >>> stopping = EarlyStopping(patience=2, min_gain=0.0, ratio=float("inf"))
        >>> for epoch, loss in enumerate([0.9, 0.5, 0.6, 0.7]):
        ...     reason = stopping.see(epoch, loss, loss, f"weights of {epoch}")
        >>> reason, stopping.rollback()
        ('the validation loss did not fall for 2 epochs', (1, 'weights of 1'))
    """

    patience: int
    min_gain: float
    ratio: float
    best_loss: float = float("inf")
    no_gain: int = 0
    over_ratio: int = 0
    states: deque = field(default_factory=deque)

    def see(
        self, epoch: int, train_loss: float, validation_loss: float, state: "Tensor"
    ) -> str | None:
        """Take note of an epoch.

        Returns:
            Why to stop, in words; None to go on.
        """
        self.states.append((epoch, state))
        while len(self.states) > self.patience + 1:
            self.states.popleft()
        gained = validation_loss < self.best_loss - self.min_gain
        self.best_loss = min(self.best_loss, validation_loss)
        self.no_gain = 0 if gained else self.no_gain + 1
        over = train_loss > 0 and validation_loss / train_loss > self.ratio
        self.over_ratio = self.over_ratio + 1 if over else 0
        if self.no_gain >= self.patience:
            return f"the validation loss did not fall for {self.patience} epochs"
        if self.over_ratio >= self.patience:
            return (
                f"validation / training loss stayed above {self.ratio:g} "
                f"for {self.patience} epochs (now {validation_loss / train_loss:.2f})"
            )
        return None

    def rollback(self) -> tuple[int, "Tensor"]:
        """The epoch and state to go back to: `patience` epochs before the last one seen."""
        return self.states[0]


@dataclass
class BestModel:
    """Remembers the state of the best epoch: score first, then validation loss.

    Example:
        >>> best = BestModel()
        >>> [best.see(e, score, loss, f"w{e}") for e, (score, loss) in
        ...  enumerate([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.6, 0.1)])]
        [True, True, True, False]
        >>> best.epoch, best.state
        (2, 'w2')
    """

    epoch: int = -1
    score: float = float("-inf")
    loss: float = float("inf")
    state: "Tensor | None" = None

    def see(self, epoch: int, score: float, loss: float, state: "Tensor") -> bool:
        """Take note of an epoch; returns whether it is the best so far."""
        if (score, -loss) <= (self.score, -self.loss):
            return False
        self.epoch, self.score, self.loss, self.state = epoch, score, loss, state
        return True
