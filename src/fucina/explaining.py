"""The verb that asks which words decided: from a run folder and texts to explanations."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina import asking, explained, run, tasks
from fucina.errors import RunError
from fucina.explain import Wanted, explain
from fucina.opening import load_model
from fucina.records import Example, Explanation, Neighbor, Progress, silent

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.opening import Model

__all__ = ["explain_run", "explainer", "write_page"]

MOST_ROWS = 4000  # that are looked through for what resembles a text


def explain_run(
    folder: Path,
    asked: Sequence[str | Example],
    wanted: Wanted | None = None,
    *,
    member: str = "all",
    neighbors: int = 0,
    progress: Progress = silent,
) -> list[Explanation]:
    """Say which words of texts, or rows, decided their answers.

    Args:
        folder: The run.
        asked: Texts or rows.
        wanted: What is to be explained, and how; its `members` are not looked at.
        member: `all` together, the number of one, or `best`: the one that did best on the rows it
            held out.
        neighbors: How many training rows that resemble each text are shown too.
        progress: Shows steps.

    Returns:
        One explanation a row; of a model that marks, one a span.

    Raises:
        RunError: The run is not complete, a file is broken, or there is no such member.
        DataError: A text is empty, or what is wanted is not there.

    Example:
        >>> explain_run(Path("runs/support"), ["dov'è il pacco?"])  # doctest: +SKIP
    """
    from fucina.models import threads
    from fucina.models.alone import alone, members_of

    folder = run.find(folder)
    with threads.start() as pool:
        recipe, model = load_model(folder, workers=threads.count(pool))
        rows = asking.as_rows(folder, asked)
        count = members_of(model)
        number = _member(folder, member, count)
        if number is not None and count > 1:
            model = alone(model, number)
        said = _named(number, count)
        found = []
        for row in rows:
            found += explain(
                model, row, replace(wanted or Wanted(), members=said),
                threads=pool, text=_part(recipe, row), progress=progress,
            )  # fmt: skip
        if neighbors:
            found = _with_neighbors(folder, model, found, neighbors, pool, progress)
    return found


def write_page(found: Sequence[Explanation], folder: Path, path: Path) -> None:
    """Write explanations as one HTML file; folders that are missing are made."""
    run.write_text(path, explained.page(found, f"{folder.parent.name}/{folder.name}"))


def explainer(
    recipe: "Recipe", model: "Model", threads: ThreadPoolExecutor
) -> Callable[[Example, Mapping[str, Any]], Mapping[str, Any]]:
    """Give a function that explains the answers of a model that stays open.

    It takes a row and options (`label`, `method`, `span`) and gives what JSON has.

    Args:
        recipe: Of the model.
        model: All its members answer together.
        threads: Where it computes.
    """
    from fucina.models.alone import members_of

    members = _named(None, members_of(model))

    def tell(row: Example, options: Mapping[str, Any]) -> Mapping[str, Any]:
        method = options.get("method") or "occlusion"
        wanted = Wanted(method, options.get("label"), options.get("span"), members)
        found = explain(model, row, wanted, threads=threads, text=_part(recipe, row))
        return {"explanations": [one.facts() for one in found]}

    return tell


def _part(recipe: "Recipe", row: Example) -> str | None:
    """What is asked in a row that a task wrote more around; None for its last question."""
    from fucina.explain.written import text_of

    said = row.fields.get(tasks.of(recipe).asked)
    part = said.strip() if isinstance(said, str) else ""
    return part if part and part in text_of(row) else None


def _member(folder: Path, member: str, count: int) -> int | None:
    """Which member is meant, from 0; None for all."""
    if member == "all":
        return None
    if member == "best":
        scores = [own["score"] for own in run.read_json(folder / "metrics.json")["members"]]
        return int(np.argmax(scores))
    if not member.isdecimal() or not 1 <= int(member) <= count:
        raise RunError(
            f"there is no member {member!r}: the run has {count}.",
            fix=f"Give --member 1{f' to {count}' if count > 1 else ''}, best, or all.",
        )
    return int(member) - 1


def _named(number: int | None, count: int) -> str:
    if count == 1:
        return "the only member"
    return f"all {count} members" if number is None else f"member {number + 1} of {count}"


def _with_neighbors(
    folder: Path,
    model: "Model",
    found: Sequence[Explanation],
    count: int,
    pool: ThreadPoolExecutor,
    progress: Progress,
) -> list[Explanation]:
    """The training rows most like each text, as the base saw them before any training.

    Raises:
        RunError: The base is an encoder-decoder, whose vectors are not made.
    """
    from fucina.models.features import vectors_of

    if model.base.halves is not None:
        raise RunError(
            "an encoder-decoder has no vectors to find what resembles a text.",
            fix="Leave out --like.",
        )
    learned = run.read_rows(folder / "development.parquet")[0].examples[:MOST_ROWS]
    progress("looking for training rows alike", 0, 1)
    rows = vectors_of(model.base, pool, [row.prompt for row in learned])
    texts = vectors_of(model.base, pool, [one.text for one in found])
    like = texts @ rows.T / rows.shape[1]
    progress("looking for training rows alike", 1, 1)
    return [
        replace(
            one,
            neighbors=tuple(
                Neighbor(float(own[row]), learned[row].prompt, learned[row].target)
                for row in np.argsort(-own)[:count]
            ),
        )
        for one, own in zip(found, like, strict=True)
    ]
