"""Cases that must be right: read those that a recipe demands, and hold a model against them."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import data, evaluate, run, tasks
from fucina.reading import read_file
from fucina.records import Case, Dataset, MustFix, Progress, silent

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.ensemble import Ensemble
    from fucina.models.writer import Writer

__all__ = ["Demanded", "answered", "of_run", "read_cases"]

Demanded = Dataset | Sequence[Case]  # rows with their labels, or what answers in words must be


def read_cases(
    recipe: "Recipe", root: Path, labels: Collection[str], *, progress: Progress = silent
) -> Demanded:
    """The cases of `evaluation.must_fix`; none where a recipe demands none.

    Args:
        recipe: What was asked.
        root: The folder that paths in the recipe are relative to.
        labels: That training has, where rows have labels.
        progress: Shows steps.

    Raises:
        DataError: The file cannot be read, or a case is none.
    """
    if recipe.evaluation.must_fix is None:
        return ()
    path, task = root / recipe.evaluation.must_fix, tasks.of(recipe)
    if task.answer == "text":
        own = task.at(path.parent)
        return data.load_cases(path, own, recipe.data.columns, encoding=recipe.data.encoding)
    cases = read_file(recipe, path, progress=progress)
    evaluate.require_known(cases, labels)
    return cases


def of_run(folder: Path, recipe: "Recipe", labels: Collection[str]) -> Demanded:
    """The cases that a run was held against, where their file still is; else none.

    Raises:
        DataError: The file is there and cannot be read, or a case is none.
    """
    root = Path(run.read_json(folder / "environment.json").get("root", "."))
    named = recipe.evaluation.must_fix
    there = named is not None and (root / named).is_file()
    return read_cases(recipe, root, labels) if there else ()


def answered(
    model: "Ensemble | Writer",
    cases: Demanded,
    learned: Collection[str],
    *,
    threads: ThreadPoolExecutor,
) -> tuple[MustFix, ...]:
    """What a model answers to each case, and whether it is right.

    Args:
        model: One that labels, or one that writes.
        cases: As they were read.
        learned: Prompts of training.
        threads: Where answers are computed.
    """
    from fucina.models.ensemble import Ensemble

    if isinstance(model, Ensemble):
        rows = cases if isinstance(cases, Dataset) else Dataset("cases", ())
        return evaluate.must_fix(model, rows, learned, threads=threads) if rows else ()
    if isinstance(cases, Dataset) or not cases:
        return ()
    return evaluate.must_fix_texts(model, cases, learned, threads=threads)
