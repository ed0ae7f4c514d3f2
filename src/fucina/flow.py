"""The data-flow: a recipe goes in, a judged run comes out. Each line is a stage.

    data.load → data.check → prepare.split → train.cross_validate → evaluate.judge → report
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import run
from fucina.errors import DataError, RunError
from fucina.recipe import dump, load
from fucina.records import Comparison, Dataset, Evaluation, Predictions, Split
from fucina.session import Session, open_session

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["compare", "evaluate", "predict", "read", "train"]


def train(
    recipe: "Recipe", root: Path, session: Session, *, resume: bool = False
) -> tuple[Path, dict[str, Evaluation]]:
    """Take a recipe to a trained and judged run.

    Args:
        recipe: What to do.
        root: The folder that paths in the recipe are relative to.
        session: Progress, log and threads.
        resume: Go on with the newest unfinished run of this recipe.

    Returns:
        The run folder, and the evaluations by name: `model` and the baselines.
    """
    from fucina import models, prepare, tasks
    from fucina.train.cross_validate import cross_validate

    task = tasks.get(recipe.task)
    split = read(recipe, root, task, prepare.split, session)
    folder = session.begin(recipe, root, split, resume=resume)
    base = models.load(recipe.model, recipe.training.precision)
    fit = cross_validate(
        split, base, recipe, threads=session.threads, hooks=session.hooks(recipe),
        memory=session.memory(),
    )
    session.keep(fit, recipe, split)
    return folder, _judge_all(folder, recipe, root, split, base, session)
