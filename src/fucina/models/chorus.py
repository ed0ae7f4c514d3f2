"""The members of a writer as one voice: the mean of their odds, token by token."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fucina.models.manner import Voice

__all__ = ["Chorus"]


@dataclass(frozen=True)
class Chorus:
    """What writes answers to b prompts, each stack with a voice of its own.

    Attributes:
        voices: One a stack, over the same prompts.
    """

    voices: Sequence[Voice]

    @property
    def room(self) -> list[int]:
        """Tokens that each answer may have before positions end."""
        return self.voices[0].room

    def first(self) -> Tensor:
        """Odds of the first token, b x vocabulary."""
        return torch.cat([voice.first() for voice in self.voices]).mean(dim=0)

    def next(self, tokens: Tensor) -> Tensor:
        """Odds of the token after b tokens that were written just now, b x vocabulary."""
        return torch.cat([voice.next(tokens) for voice in self.voices]).mean(dim=0)
