"""Which changes make a recipe take less memory, the least harmful first."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["changes", "decided", "fits_in"]

HEADROOM = 0.9  # of the free memory: an estimate may be off by a tenth


def fits_in(peak_mib: float, free_mib: float) -> bool:
    """Whether a run fits, with room for the error of its estimate."""
    return peak_mib <= HEADROOM * free_mib


def decided(recipe: "Recipe", peak_mib: float, free_mib: float) -> "Recipe":
    """Settle `engine.checkpointing: auto`: layers are computed twice only where memory needs it.

    Args:
        recipe: What is asked for.
        peak_mib: What it takes without.
        free_mib: What there is.

    Example:
        >>> from fucina.recipe import parse
        >>> recipe, _ = parse("{task: classification, name: a, data: {train: a}}")
        >>> [decided(recipe, peak, 1000.0).engine.checkpointing for peak in (800.0, 990.0)]
        [False, True]
    """
    if recipe.engine.checkpointing != "auto":
        return recipe
    needed = recipe.adapter.kind != "head" and not fits_in(peak_mib, free_mib)
    engine = recipe.engine.model_copy(update={"checkpointing": needed})
    return recipe.model_copy(update={"engine": engine})


def changes(recipe: "Recipe", depth: int) -> Iterator[tuple[str, ...]]:
    """Overrides to try one after the other; each keeps those before it.

    The mathematics stays with smaller batches and more accumulation, and with gradient
    checkpointing, which takes time instead of memory; moments in 8 bits and weights in 4 bits are
    near; fewer layers and fewer folds change the result.

    Example:
        >>> from fucina.recipe import parse
        >>> text = "{task: classification, name: a, data: {train: a}, training: {batch_size: 4}}"
        >>> next(changes(parse(text)[0], 6))
        ('training.batch_size=2', 'training.accumulation=2')
    """
    kept: tuple[str, ...] = ()
    for lighter in _lighter(recipe):
        for batch in _batches(recipe):
            kept = (*lighter, *batch)
            if kept:
                yield kept
    layers = depth if recipe.adapter.layers == "all" else min(depth, recipe.adapter.layers)
    while recipe.adapter.kind != "head" and layers > 1:
        layers = -(-layers // 2)
        fewer = (*kept, f"adapter.layers={layers}")
        yield fewer
        if layers == 1:
            kept = fewer
    folds = recipe.folds.count
    while folds > 0:
        folds = folds // 2 if folds > 3 else 0
        yield (*kept, f"folds.count={folds}")


def _lighter(recipe: "Recipe") -> Iterator[tuple[str, ...]]:
    """Ways to hold less, each with those before it; nothing is the first."""
    kept: tuple[str, ...] = ()
    yield kept
    engine, kind = recipe.engine, recipe.adapter.kind
    if engine.checkpointing is False and kind != "head":
        kept += ("engine.checkpointing=true",)
        yield kept
    if kind == "full" and engine.optimizer == "adamw":  # the moments of adapters are small
        kept += ("engine.optimizer=adamw_8bit",)
        yield kept
    if kind != "full" and recipe.model.quantize == "none":
        yield ("model.quantize=nf4",)
        if kept:
            yield (*kept, "model.quantize=nf4")


def _batches(recipe: "Recipe") -> Iterator[tuple[str, ...]]:
    """Batches halved again and again; a step learns from as many rows. The given one is first."""
    config = recipe.training
    yield ()
    batch = config.batch_size
    while batch > 1:
        batch = -(-batch // 2)
        times = -(-config.batch_size * config.accumulation // batch)
        yield (f"training.batch_size={batch}", f"training.accumulation={times}")
