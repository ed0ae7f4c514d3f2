"""Trained members that answer together: the probabilities of each, made one answer."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from fucina.metrics import apply_temperature
from fucina.records import Predictions, Progress, silent

if TYPE_CHECKING:
    from fucina.models.base import Base

__all__ = ["Ensemble", "Weigher", "combine", "settle", "softmax"]


class Weigher(Protocol):
    """k members that weigh labels: by a head of classes, or by the names of the labels."""

    @property
    def members(self) -> int:
        """K."""

    def scores(
        self, prompts: Sequence[str], *, threads: ThreadPoolExecutor, progress: Progress
    ) -> np.ndarray:
        """What every member makes of n prompts, k x n x c; softmax makes them probabilities."""


@dataclass(frozen=True)
class Ensemble:
    """k members over one base, ready to answer.

    Attributes:
        base: The frozen model.
        labels: The c label names.
        weigher: The members.
        how: `average` of probabilities, or `vote`.
        temperature: Divides the log of the probabilities; 1 changes nothing.
        threshold: The confidence below which no answer is given; 0 to answer all.
    """

    base: "Base"
    labels: tuple[str, ...]
    weigher: Weigher
    how: Literal["average", "vote"]
    temperature: float = 1.0
    threshold: float = 0.0

    @property
    def members(self) -> int:
        """K."""
        return self.weigher.members

    def predict(
        self,
        prompts: Sequence[str],
        *,
        threads: ThreadPoolExecutor,
        targets: Sequence[str] = (),
        progress: Progress = silent,
    ) -> Predictions:
        """Answer n prompts.

        Args:
            prompts: The texts.
            threads: Where chunks run.
            targets: True labels to carry along.
            progress: Told after each chunk.
        """
        each = self.member_probabilities(prompts, threads=threads, progress=progress)
        probabilities = settle(each, self.how, self.temperature)
        return Predictions(
            self.labels, probabilities, tuple(targets), tuple(prompts), self.threshold
        )

    def member_probabilities(
        self, prompts: Sequence[str], *, threads: ThreadPoolExecutor, progress: Progress = silent
    ) -> np.ndarray:
        """The answer of every member apart, k x n x c."""
        if not prompts:
            return np.zeros((self.members, 0, len(self.labels)))
        return softmax(self.weigher.scores(prompts, threads=threads, progress=progress))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Make scores probabilities along the last axis.

    Example:
        >>> softmax(np.array([0.0, np.log(3.0)])).round(2).tolist()
        [0.25, 0.75]
    """
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def settle(each: np.ndarray, how: Literal["average", "vote"], temperature: float) -> np.ndarray:
    """The answer of k members under a temperature: k x n x c probabilities to n x c."""
    made = combine(each, how)
    return made if temperature == 1.0 else apply_temperature(made, temperature)


def combine(each: np.ndarray, how: Literal["average", "vote"]) -> np.ndarray:
    """Make one answer of k.

    Args:
        each: k x n x c probabilities.
        how: `average` the probabilities; or `vote`: the share of members for each label, where
            equal shares are decided by the average.

    Returns:
        n x c, rows sum to 1.

    Example:
        >>> each = np.array([[[0.9, 0.1]], [[0.4, 0.6]], [[0.45, 0.55]]])
        >>> combine(each, "average").round(2).tolist(), combine(each, "vote").round(2).tolist()
        ([[0.58, 0.42]], [[0.33, 0.67]])
    """
    average = each.mean(axis=0)
    if how == "average":
        return average
    votes = np.zeros_like(average)
    for member in each:
        votes[np.arange(len(votes)), member.argmax(axis=1)] += 1.0
    votes = votes + 1e-6 * average  # decides ties, too small to overrule a vote
    return votes / votes.sum(axis=1, keepdims=True)
