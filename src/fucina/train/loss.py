"""What training makes small: cross entropy and focal loss, per row."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional

from fucina.errors import RecipeError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fucina.config import LossConfig

__all__ = ["class_weights", "focal_loss", "make_loss"]

Loss = Callable[[Tensor, Tensor], Tensor]


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: Tensor | float | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Tensor:
    """Cross-entropy that counts well-learnt examples less, so that rare labels are heard.

    Each row weighs alpha_t (1 - p)^gamma, where p is the probability given to its true label.
    Source: Lin et al., 2017, eq. 5, https://arxiv.org/abs/1708.02002

    Args:
        logits: Unnormalized scores, ... x c.
        targets: The true labels, as indices into the last axis of `logits`.
        gamma: How fast easy examples fade, 0 or more; at 0 this is cross-entropy.
        alpha: A weight for every row, or c weights, one a label.
        reduction: What to make of the rows.

    Returns:
        In nats: the mean or sum over rows, or the losses in the shape of `targets`.

    Example:
        >>> logits, targets = torch.tensor([[4.0, 0.0], [0.0, 0.1]]), torch.tensor([0, 1])
        >>> f"{focal_loss(logits, targets):.3f}"  # the first example hardly counts
        '0.073'
    """
    log_p = functional.log_softmax(logits, dim=-1).gather(-1, targets[..., None])[..., 0]
    losses = -((1.0 - log_p.exp()).clamp_min(0.0) ** gamma) * log_p
    if isinstance(alpha, Tensor):
        losses = losses * alpha[targets]
    elif alpha is not None:
        losses = losses * alpha
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def class_weights(targets: Tensor, label_count: int) -> Tensor:
    """Weigh labels by the inverse of their count, normalized to sum to the label count.

    Example:
        >>> class_weights(torch.tensor([0, 0, 0, 1]), 2)
        tensor([0.5000, 1.5000])
    """
    counts = torch.bincount(targets, minlength=label_count).clamp_min(1).float()
    weights = 1.0 / counts
    return weights * (label_count / weights.sum())


def make_loss(
    kind: Literal["cross_entropy", "focal"],
    config: "LossConfig",
    labels: "Sequence[str]",
    targets: Tensor,
) -> Loss:
    """Build the per-row loss that the recipe asks for.

    Args:
        kind: `training.loss`.
        config: The recipe's `loss` section.
        labels: The c label names.
        targets: Label indices of the training rows, for balanced weights.

    Returns:
        A function of logits (... x c) and targets (...) to losses (...).

    Raises:
        RecipeError: `alpha` names a label that does not exist, or is given without focal loss.
    """
    weights = torch.ones(len(labels))
    if config.class_weights == "balanced":
        weights = class_weights(targets, len(labels))
    if kind == "cross_entropy":
        if config.alpha is not None:
            raise RecipeError(
                "loss.alpha has no effect on cross entropy.",
                fix="Set training.loss: focal, or remove loss.alpha.",
            )
        return lambda logits, rows: focal_loss(
            logits, rows, gamma=0.0, alpha=weights, reduction="none"
        )
    alpha = weights * _alpha(config.alpha, labels)
    return lambda logits, rows: focal_loss(
        logits, rows, gamma=config.gamma, alpha=alpha, reduction="none"
    )


def _alpha(alpha: float | Mapping[str, float] | None, labels: "Sequence[str]") -> Tensor:
    if alpha is None:
        return torch.ones(len(labels))
    if isinstance(alpha, float):
        return torch.full((len(labels),), alpha)
    for name in alpha:
        if name not in labels:
            raise RecipeError(
                f"loss.alpha: no label {name!r} in the data.",
                fix=f"Use the names of the labels; {nearest(name, labels)}",
            )
    return torch.tensor([alpha.get(label, 1.0) for label in labels])
