"""One member of a trained model by itself."""

from dataclasses import replace
from typing import TYPE_CHECKING

from fucina.models.by_class import ByClass
from fucina.models.by_name import ByName
from fucina.models.ensemble import Ensemble, Weigher
from fucina.models.marker import Marker
from fucina.models.stack import Stack

if TYPE_CHECKING:
    from fucina.models.writer import Writer

__all__ = ["alone", "members_of"]


def members_of(model: "Ensemble | Marker | Writer") -> int:
    """How many members answer together."""
    if isinstance(model, Ensemble):
        return model.members
    return sum(stack.members for stack in model.stacks)


def alone(model: "Ensemble | Marker | Writer", member: int) -> "Ensemble | Marker | Writer":
    """The model with one of its members.

    The others are taken out of its stacks, so the model that was given is of no use afterwards.

    Args:
        model: K members.
        member: Which of them stays, from 0.
    """
    if isinstance(model, Ensemble):
        return replace(model, weigher=_weigher(model.weigher, member))
    stacks = _one(model.stacks, member)
    if isinstance(model, Marker):
        return replace(model, stacks=stacks, lexical=model.lexical[member : member + 1])
    return replace(model, stacks=stacks)


def _weigher(weigher: Weigher, member: int) -> Weigher:
    if isinstance(weigher, ByClass):
        lexical = weigher.lexical[member : member + 1]
        return replace(weigher, stacks=_one(weigher.stacks, member), lexical=lexical)
    if isinstance(weigher, ByName):
        return replace(weigher, stacks=_one(weigher.stacks, member))
    raise TypeError(type(weigher).__name__)


def _one(stacks: tuple[Stack, ...], member: int) -> tuple[Stack, ...]:
    for stack in stacks:
        if member < stack.members:
            row = slice(member, member + 1)
            stack.bind(stack.adapters[row].clone(), stack.heads[row].clone())
            return (stack,)
        member -= stack.members
    raise IndexError(member)
