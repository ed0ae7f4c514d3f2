"""What the loop remembers of its members, and how it reaches the outside."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from fucina.models.lexical import Lexicon, Table
from fucina.models.stack import Stack
from fucina.records import Epoch, Fold, Predictions, Progress, Spans, Texts, silent
from fucina.train.batches import Chunk
from fucina.train.optimizer import Optimizer
from fucina.train.stopping import BestModel, EarlyStopping

if TYPE_CHECKING:
    from fucina.train.checkpoint import State

__all__ = ["Gradients", "HeldOut", "Hooks", "Kind", "Loop", "Material", "Member", "Prepared"]

Gradients = tuple[Tensor, Tensor, np.ndarray]

Tell = Callable[[str], None]


class Material(Protocol):
    """What a stack learns from, as far as the loop must know it."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of the n rows that a pass computes."""

    @property
    def weights(self) -> np.ndarray:
        """What each of the n rows counts in the mean of a step: 1, or its learnt tokens."""

    @property
    def folds(self) -> tuple[Fold, ...]:
        """Training and held-out rows of each of the k members."""


@dataclass(frozen=True)
class HeldOut:
    """What a member did on the rows held out for it.

    Attributes:
        loss: Mean, in nats.
        score: Decides which epoch is kept; higher is better.
        scores: For people, by name.
        answers: Kept with the best epoch; n rows.
    """

    loss: float
    score: float
    scores: Mapping[str, float]
    answers: np.ndarray


@dataclass(frozen=True)
class Kind:
    """What the loop leaves to the kind of answer.

    Attributes:
        gradients: The loop, the passes of one step, the weight of each member's rows in it, the
            threads, and what seeds dropout, to the gradients of adapters and heads and the summed
            losses of the members.
        judge: The loop, the threads, and whether nothing was trained yet, to what each active
            member does on its held-out rows.
    """

    gradients: "Callable[[Loop, list[Chunk], np.ndarray, Executor, int], Gradients]"
    judge: "Callable[[Loop, Executor, bool], list[HeldOut]]"


@dataclass(frozen=True)
class Prepared:
    """What all members need, made once before they train.

    Attributes:
        kind: How they answer.
        labels: c, of spans the tags; 0 for texts.
        heads: k x H, where their heads start.
        material: Numbers of members to what they learn from.
        lexicon: The n-grams, or forms of words; None without a lexical part.
        lexical: For each member what these say, or None.
        out_of_fold: The finished members to their answers on the rows they held out.
        truncated: Development rows longer than the limit.
        longest_tokens: Tokens of the longest one.
        read: n counts of tokens of the development rows.
        learnt: n counts of those that are learnt; none where labels are.
    """

    kind: Kind
    labels: int
    heads: Tensor
    material: "Callable[[Sequence[int]], Material]"
    lexicon: Lexicon | None
    lexical: tuple[Table | None, ...]
    out_of_fold: "Callable[[Sequence[Member]], Predictions | Texts | Spans]"
    truncated: tuple[int, ...]
    longest_tokens: int
    read: np.ndarray
    learnt: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass
class Member:
    """What is remembered of one member while it trains, and what is left of it in the end."""

    index: int
    best: BestModel
    stopping: EarlyStopping
    steps: int = 0
    bad_steps: int = 0
    state: Tensor = field(default_factory=lambda: torch.zeros(0))
    kept_epoch: int = 0
    reason: str = ""
    held_out: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True)
class Hooks:
    """How the loop reaches the outside: progress, log, events, models, states, ended stages."""

    progress: Progress = silent
    tell: Tell = silent
    epoch: Callable[[Epoch], None] = silent
    improved: Callable[[Stack, Member], None] = silent
    every_epoch: Callable[[Stack, int, int, Tensor], None] = silent
    save: "Callable[[State], None]" = silent
    lap: Callable[[str], None] = silent


@dataclass
class Loop:
    """The moving parts of one run of the loop.

    Attributes:
        stack: Members and their parameters.
        material: What they learn from.
        kind: How they answer.
        active: The members that still train, in the order of the stack.
        optimizer: Moves them.
        step_rows: Rows a member sees in one step.
        batch_rows: Rows of a member in one pass; halved when memory runs out.
    """

    stack: Stack
    material: Material
    kind: Kind
    active: list[Member]
    optimizer: Optimizer
    step_rows: int
    batch_rows: int
