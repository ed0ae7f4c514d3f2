"""Which members of a run are exported, and a model of those alone."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fucina import run
from fucina.config import LOW_IS_GOOD
from fucina.errors import RecipeError
from fucina.models.by_class import ByClass
from fucina.models.ensemble import Ensemble
from fucina.models.lexical import Table
from fucina.models.writer import Writer

if TYPE_CHECKING:
    from fucina.models.by_name import ByName
    from fucina.models.stack import Stack
    from fucina.shipment.job import Job

__all__ = ["keep", "mean_table", "members_of", "picked", "stacks_of"]


def picked(job: "Job") -> list[int]:
    """Numbers of the members that are exported, from 0.

    Raises:
        RecipeError: There is no such member.
    """
    every, wanted = list(range(job.members)), job.wanted
    if len(every) == 1 or wanted in ("averaged", "together"):
        return every
    if wanted == "best":
        facts = run.read_json(job.folder / "metrics.json")
        names = [facts["headline"], "token_loss", *facts["folds"]]
        name = next(name for name in names if name in facts["folds"])
        values = facts["folds"][name]["values"]
        return [int(np.argmin(values) if name in LOW_IS_GOOD else np.argmax(values))]
    if wanted.isdigit() and 1 <= int(wanted) <= len(every):
        return [int(wanted) - 1]
    raise RecipeError(
        f"members={wanted}: the run has {len(every)} members.",
        fix=f"Say best, averaged, together, distilled, or a number from 1 to {len(every)}.",
    )


def stacks_of(model: Any) -> "tuple[Stack, ...]":
    """The stacks of a model that labels, marks or writes."""
    owner: Any = model.weigher if isinstance(model, Ensemble) else model
    return owner.stacks


def members_of(model: Any) -> "list[tuple[Stack, int]]":
    """Stack, and place in it, of each member."""
    return [(stack, place) for stack in stacks_of(model) for place in range(stack.members)]


def keep(model: Any, members: list[int]) -> Any:
    """The same model with some of its members alone; the one given cannot be used any more.

    Args:
        model: As `opening.load_as` gives it.
        members: Their numbers.
    """
    every = members_of(model)
    if len(members) == len(every):
        return model
    kept = []
    for stack in stacks_of(model):
        places = [every[member][1] for member in members if every[member][0] is stack]
        if places:
            stack.bind(stack.adapters[places].clone(), stack.heads[places].clone())
            kept.append(stack)
    if isinstance(model, Writer):
        return replace(model, stacks=tuple(kept))
    if not isinstance(model, Ensemble):
        return replace(model, stacks=tuple(kept), lexical=_some(model.lexical, members))
    weigher = model.weigher
    if isinstance(weigher, ByClass):
        lexical = _some(weigher.lexical, members)
        return replace(model, weigher=replace(weigher, stacks=tuple(kept), lexical=lexical))
    named = cast("ByName", weigher)
    return replace(model, weigher=replace(named, stacks=tuple(kept)))


def _some(tables: tuple[Table | None, ...], members: list[int]) -> tuple[Table | None, ...]:
    return tuple(tables[member] for member in members) if tables else ()


def mean_table(tables: tuple[Table | None, ...]) -> Table | None:
    """One table for several: the mean of what members make of n-grams; None without any.

    Of one it is the same. Rarity differs a little between members, as each saw other rows, so that
    of several it is near the mean of their scores, and what that costs is measured.
    """
    known = [table for table in tables if table is not None]
    if not known:
        return None
    share = len(known) / len(tables)
    rarity = np.mean([table.rarity for table in known], axis=0)
    return Table(rarity, share * np.mean([table.weights for table in known], axis=0))
