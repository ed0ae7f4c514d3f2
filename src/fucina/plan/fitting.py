"""Which changes make a recipe take less memory, the least harmful first."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["changes", "fits_in"]

HEADROOM = 0.9  # of the free memory: an estimate may be off by a tenth


def fits_in(peak_mib: float, free_mib: float) -> bool:
    """Whether a run fits, with room for the error of its estimate."""
    return peak_mib <= HEADROOM * free_mib


def changes(recipe: "Recipe", depth: int) -> Iterator[tuple[str, ...]]:
    """Overrides to try one after the other; each keeps those before it.

    The mathematics stays with smaller batches and more accumulation; fewer layers and fewer folds
    change the result. What the engine cannot do (gradient checkpointing, 4 bits) is not offered;
    once it can, it belongs between the batches and the layers.

    Example:
        >>> from fucina.recipe import parse
        >>> text = "{task: classification, name: a, data: {train: a}, training: {batch_size: 4}}"
        >>> next(changes(parse(text)[0], 6))
        ('training.batch_size=2', 'training.accumulation=2')
    """
    config = recipe.training
    kept: tuple[str, ...] = ()
    batch = config.batch_size
    while batch > 1:
        batch = -(-batch // 2)
        times = -(-config.batch_size * config.accumulation // batch)
        kept = (f"training.batch_size={batch}", f"training.accumulation={times}")
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
