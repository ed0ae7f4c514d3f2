"""Integrated gradients: what each token adds on the way from a text that says nothing to this one.

Source: Sundararajan et al., 2017, https://arxiv.org/abs/1703.01365, computed by captum. On that way
the tokens of the text go in a straight line from padding to their own embeddings; special tokens
and a template stay as they are. What all steps add is what the score gains on the way, and what is
missing of that is told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from fucina.errors import MissingExtraError
from fucina.models.glass import embed, opened, reference

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fucina.models.stack import Stack
    from fucina.records import Progress

__all__ = ["Path", "integrate", "require_captum"]

FEWEST, MOST = 16, 512  # points of the path
CLOSE = 0.02  # of what the score gains: a smaller miss is small
LEAST_GAIN = 0.5  # of nats or logits, below which a miss is measured against this
ROW_TOKENS = 4096  # of all members, that are on their way at once


@dataclass(frozen=True)
class Path:
    """What tokens add on the way, the mean of all members.

    Attributes:
        values: L numbers, 0 for tokens that stay as they are.
        gained: How much the score gains on the way.
        delta: What the values miss of that.
        steps: Points at which gradients were taken.
    """

    values: np.ndarray
    gained: float
    delta: float
    steps: int

    @property
    def converged(self) -> bool:
        """Whether what is missing is small."""
        return is_close(self.delta, self.gained)


def is_close(delta: float, gained: float) -> bool:
    """Whether what is missing is small beside what was gained.

    Example:
        >>> is_close(0.02, 3.0), is_close(0.2, 3.0), is_close(0.005, 0.0)
        (True, False, True)
    """
    return abs(delta) <= CLOSE * max(abs(gained), LEAST_GAIN)


def require_captum() -> None:
    """Refuse to go on without captum.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import captum.attr  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("captum", extra="explain") from error


def integrate(
    stacks: "Sequence[Stack]",
    ids: np.ndarray,
    moving: np.ndarray,
    score: "Callable[[Stack, nn.Module, Tensor], Tensor]",
    *,
    progress: "Progress",
) -> Path:
    """Follow the path for all members, with ever more points until the sum is right.

    Args:
        stacks: The members.
        ids: L tokens.
        moving: L booleans: the token is one of the text.
        score: A stack, its network and b x L x d embedded tokens, to k x b scores.
        progress: Told after each number of points.
    """
    steps = FEWEST
    while True:
        progress("following the gradients", steps, MOST)
        parts = [_along(stack, ids, moving, score, steps) for stack in stacks]
        shares = np.array([stack.members for stack in stacks], dtype=float)
        shares /= shares.sum()
        values = np.einsum("s,sl->l", shares, np.stack([own for own, _ in parts]))
        gained = float(shares @ [gain for _, gain in parts])
        found = Path(values, gained, float(values.sum() - gained), steps)
        if found.converged or steps >= MOST:
            progress("following the gradients", MOST, MOST)
            return found
        steps *= 2


def _along(
    stack: "Stack",
    ids: np.ndarray,
    moving: np.ndarray,
    score: "Callable[[Stack, nn.Module, Tensor], Tensor]",
    steps: int,
) -> tuple[np.ndarray, float]:
    """Values and gain of one stack."""
    from captum.attr import IntegratedGradients

    with opened(stack) as network:
        own = embed(network, torch.from_numpy(ids).to(stack.device))
        silent = reference(network, stack.base.tokenizer)
        there = torch.from_numpy(moving).to(own.device)
        start = torch.where(there[:, None], silent, own)

        def run(rows: "Tensor") -> "Tensor":
            return score(stack, network, rows).mean(dim=0)

        rows = max(1, ROW_TOKENS // (len(ids) * stack.members))
        values = IntegratedGradients(run).attribute(
            own[None], start[None], n_steps=steps, internal_batch_size=rows
        )
        with torch.no_grad():
            end, begin = run(own[None])[0].double(), run(start[None])[0].double()
        each = values[0].double().sum(dim=-1).cpu().numpy()
    return each, float(end - begin)
