"""The data-flow: a recipe goes in, a judged run comes out. Each line of `train` is a stage.

`using` holds the verbs that start from a run folder.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import data, evaluate, prepare, run, tasks
from fucina.records import Dataset, Finding, Outcome, Progress, Split, silent

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["read", "read_file", "train"]


def train(
    recipe: "Recipe",
    root: Path,
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
    resume: bool = False,
) -> Outcome:
    """Take a recipe to a trained and judged run.

    Args:
        recipe: What to do.
        root: The folder that paths in the recipe are relative to.
        progress: Shows steps.
        say: Shows messages.
        resume: Go on with the newest unfinished run of this recipe.

    Raises:
        FucinaError: Whatever is wrong with recipe, data, model or machine.
    """
    from fucina.journal import Journal
    from fucina.models import base as bases
    from fucina.models import precision, saved, threads
    from fucina.train.cross_validate import cross_validate

    split, findings = read(recipe, root, progress=progress)
    rules = recipe.evaluation.rules and evaluate.load_rules(
        root / recipe.evaluation.rules, split.labels
    )
    base = bases.load(recipe.model, precision.choose(recipe))
    folder = (
        run.reopen(recipe, split) if resume else run.begin(recipe, split, precision=base.precision)
    )
    journal = Journal(folder, recipe, progress, say)
    for finding in findings:
        journal.tell(f"{finding.severity}: {finding.message}")
    journal.log(
        f"{len(split.development)} rows, {len(split.labels)} labels, {len(split.folds)} "
        f"member(s), {len(split.test)} test rows; {base.name} in {base.precision}"
    )
    with threads.start() as pool:
        fit = cross_validate(
            split, base, recipe, threads=pool, hooks=journal.hooks(), memory=journal.memory()
        )
        journal.keep(fit)
        model = saved.load(folder, recipe, base, split.labels, workers=threads.count(pool))
        outcome = evaluate.outcome(
            folder,
            model,
            split,
            fit.out_of_fold,
            recipe,
            rules=rules or None,
            threads=pool,
            progress=progress,
        )
    journal.finish(outcome, fit)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return outcome


def read(
    recipe: "Recipe", root: Path, *, progress: Progress = silent
) -> tuple[Split, list[Finding]]:
    """Read, check and divide the rows of a recipe.

    Raises:
        DataError: A file cannot be read, or the rows cannot be used as they are.
    """
    config = recipe.data
    rows = read_file(recipe, root / config.train, name="train", progress=progress)
    validation, test = (
        None if name is None else read_file(recipe, root / name, name=side, progress=progress)
        for name, side in ((config.validation, "validation"), (config.test, "test"))
    )
    findings = data.check(
        rows, validation, test, folds=recipe.folds.count, allow_duplicates=config.allow_duplicates
    )
    data.raise_errors(findings)
    split = prepare.split(
        rows,
        validation=validation,
        test=test,
        config=config,
        folds=recipe.folds.count,
        seed=recipe.seed,
    )
    return split, findings


def read_file(
    recipe: "Recipe", path: Path, *, name: str = "", progress: Progress = silent
) -> Dataset:
    """Read one file with the columns of a recipe."""
    config = recipe.data
    columns = {"text": config.text, "label": config.label}
    if config.group:
        columns["group"] = config.group
    return data.load(
        path,
        columns,
        to_example=tasks.get(recipe.task).to_example,
        format=config.format,
        encoding=config.encoding,
        name=name,
        progress=progress,
    )
