"""What the loop remembers of its members, and how it reaches the outside."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fucina.models.stack import Stack
from fucina.models.trunk import Activations
from fucina.records import Epoch, Fold, Progress, silent
from fucina.train.optimizer import Optimizer
from fucina.train.stopping import BestModel, EarlyStopping

if TYPE_CHECKING:
    from fucina.models.tokenize import Encoded

__all__ = ["Hooks", "Loop", "Material", "Member"]

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Material:
    """What a stack learns from.

    Attributes:
        encoded: n development texts.
        targets: n label indices.
        folds: Training and held-out rows of each of the k members.
        offsets: k x n x c scores added to the logits (the lexical part), float32.
        store: Trunk activations of the texts; None to run the trunk each time.
        losses: One per-row loss a member.
        vectors: n x d pooled vectors of the frozen base; None when nobody needed them.
    """

    encoded: "Encoded"
    targets: np.ndarray
    folds: tuple[Fold, ...]
    offsets: np.ndarray
    store: Activations | None
    losses: tuple[Callable[[Tensor, Tensor], Tensor], ...]
    vectors: np.ndarray | None = None


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
    """How the loop reaches the outside: progress, log, events, best models, stages that ended."""

    progress: Progress = silent
    tell: Tell = silent
    epoch: Callable[[Epoch], None] = silent
    improved: Callable[[Stack, Member], None] = silent
    every_epoch: Callable[[Stack, int, int, Tensor], None] = silent
    lap: Callable[[str], None] = silent


@dataclass
class Loop:
    """The moving parts of one run of the loop.

    Attributes:
        stack: Members and their parameters.
        material: What they learn from.
        active: The members that still train, in the order of the stack.
        optimizer: Moves them.
        step_rows: Rows a member sees in one step.
        batch_rows: Rows of a member in one pass; halved when memory runs out.
    """

    stack: Stack
    material: Material
    active: list[Member]
    optimizer: Optimizer
    step_rows: int
    batch_rows: int
