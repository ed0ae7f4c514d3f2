"""What writing leaves to the kind of network: rows, prompts, and the voice that answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor, nn

from fucina.models.prefix import Prefix
from fucina.models.stack import Stack
from fucina.records import Example

if TYPE_CHECKING:
    from fucina.models.base import Base
    from fucina.models.conversations import TextBatch, Written
    from fucina.models.pairs import PairBatch, Pairs

__all__ = ["Manner", "Voice"]


class Voice(Protocol):
    """One stack that writes answers to b prompts token by token."""

    room: list[int]  # tokens that each answer may have before positions end

    def first(self) -> Tensor:
        """Odds of the first token, k x b x vocabulary."""

    def next(self, tokens: Tensor) -> Tensor:
        """Odds of the token after b tokens that were written just now, k x b x vocabulary."""


@dataclass(frozen=True)
class Manner:
    """How a kind of network writes.

    Attributes:
        rows: Rows and base, to their tokens, with nothing shared.
        foretell: A stack, those tokens, numbers of rows and a worker, to what members make of them.
        asked: A row and the base, to the tokens that are given to answer it.
        voice: A stack, prompts, what they begin with, and the base, to what writes the answers.
        shares: Whether a beginning of all prompts may be run once.
    """

    rows: "Callable[[Sequence[Example], Base], Written | Pairs]"
    foretell: "Callable[..., tuple[TextBatch | PairBatch, Tensor, nn.Module]]"
    asked: "Callable[[Example, Base], np.ndarray]"
    voice: "Callable[[Stack, list[np.ndarray], Prefix | None, Base], Voice]"
    shares: bool
