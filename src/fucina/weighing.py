"""A recipe weighed on a machine, and the change that makes it fit there."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import forecast, plan, reading
from fucina.recipe import load
from fucina.records import Split

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.counting import Counts
    from fucina.models.blueprint import Blueprint

__all__ = ["Case", "change_that_fits", "weighed"]


@dataclass(frozen=True)
class Case:
    """What all estimates of a plan share.

    Attributes:
        path: Of the recipe.
        overrides: That it is planned with.
        split: Rows and folds.
        drawn: The base, without its numbers.
        machine: This one.
        past: Runs that were done on it.
        cut: Rows divided for other numbers of folds, with their tokens; filled when needed.
    """

    path: Path
    overrides: tuple[str, ...]
    split: Split
    drawn: "Blueprint"
    machine: plan.Machine
    past: tuple[plan.Past, ...]
    cut: dict[int, tuple[Split, "Counts"]] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The folder that paths in the recipe are relative to."""
        return self.path.resolve().parent

    def recipe(self, *more: str) -> "Recipe":
        """The recipe with further overrides."""
        return load(self.path, [*self.overrides, *more])[0]

    def work(self, recipe: "Recipe", part: Split | None = None) -> plan.Work:
        """Count a recipe, on all of its rows or on a part of them."""
        split, counts = self._counted(recipe)
        if part is not None:
            split, counts = part, forecast.count(part, self.drawn, recipe)
        drawn = self.drawn
        network = plan.measure(
            drawn.network, drawn.layers, drawn.width, recipe.adapter, drawn.head, drawn.encoder,
            quantize=recipe.model.quantize,
        )  # fmt: skip
        shapes = forecast.shapes(split, counts, recipe)
        return plan.work(network, shapes, recipe, stored=forecast.fits(shapes, network))

    def _counted(self, recipe: "Recipe") -> "tuple[Split, Counts]":
        """The rows and their tokens, counted once; a recipe with other folds divides them anew."""
        folds = recipe.folds.count or 1
        if folds not in self.cut:
            same = folds == len(self.split.folds)
            split = self.split if same else reading.read(recipe, self.root)[0]
            self.cut[folds] = split, forecast.count(split, self.drawn, recipe)
        return self.cut[folds]


def weighed(
    case: Case, more: tuple[str, ...], machine: plan.Machine, known: plan.Correction | None
) -> "tuple[Recipe, plan.Work, plan.Estimate]":
    """Weigh a recipe as the engine would run it: checkpointing is decided by the memory.

    Args:
        case: The recipe.
        more: Further overrides.
        machine: Where.
        known: What a probe or past runs showed.

    Returns:
        The recipe as it would run, what it asks for, and what it takes.
    """
    recipe = case.recipe(*more)
    work = case.work(recipe)
    found = plan.estimate(work, machine, recipe, known)
    recipe = plan.decided(recipe, found.peak_mib, machine.memory_mib)
    if recipe.engine.checkpointing is True:
        work = case.work(recipe)
        found = plan.estimate(work, machine, recipe, known)
    return recipe, work, found


def change_that_fits(
    case: Case,
    more: tuple[str, ...],
    found: plan.Estimate,
    machine: plan.Machine,
    known: plan.Correction | None,
) -> tuple[tuple[str, ...], plan.Estimate | None]:
    """Find the first change that makes a recipe fit in a machine's memory, and what it takes then.

    Args:
        case: The recipe.
        more: Further overrides.
        found: What it takes without a change.
        machine: Where.
        known: What a probe or past runs showed.

    Returns:
        No change and the same estimate where it fits; no change and None where nothing does.
    """
    if plan.fits_in(found.peak_mib, machine.memory_mib):
        return (), found
    recipe = case.recipe(*more)
    for change in plan.changes(recipe, case.work(recipe).network.depth):
        _, _, tried = weighed(case, (*more, *change), machine, known)
        if plan.fits_in(tried.peak_mib, machine.memory_mib):
            return change, tried
    return (), None
