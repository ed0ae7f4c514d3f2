"""From a recipe to rows: read, check, audit and divide the files it names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import data, prepare, run, tasks
from fucina.errors import DataError, RecipeError
from fucina.records import Dataset, Finding, Progress, Split, silent
from fucina.tasks.settings import AUTO, EMBEDDED, SCRATCH, learnt_as, refuse_idle

if TYPE_CHECKING:
    from fucina.config import DataConfig, Recipe

__all__ = ["Source", "audit", "read", "read_file", "read_subject", "settle", "sources"]


def read(
    recipe: "Recipe", root: Path, *, progress: Progress = silent
) -> tuple[Split, list[Finding]]:
    """Read, check and divide the rows of a recipe.

    Raises:
        DataError: A file cannot be read, or the rows cannot be used as they are.
    """
    subject = read_subject(recipe, root, progress=progress)
    findings = data.gate(subject)
    data.raise_errors(findings)
    split = prepare.split(
        data.group_similar(subject.train),
        validation=subject.validation,
        test=subject.test,
        config=recipe.data,
        folds=recipe.folds.count,
        seed=recipe.seed,
        answer=subject.answer,
    )
    return split, findings


def settle(recipe: "Recipe", rows: Dataset) -> "Recipe":
    """The recipe with the base that `model.base: auto` or `scratch` means, which may be made here.

    Args:
        recipe: What was asked.
        rows: Training rows, which the tokenizer learns its words from.
    """
    base = EMBEDDED[learnt_as(recipe)] if recipe.model.base == AUTO else recipe.model.base
    if base == SCRATCH:
        from fucina.models import scratch

        texts = [turn.content for row in rows.examples for turn in row.messages]
        texts += [text for row in rows.examples for text in (row.prompt, row.target)]
        texts.append(recipe.chat.system or "")
        made = scratch.make(Path(recipe.output) / ".bases", texts, seed=recipe.seed)
        base = str(made.resolve())
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"base": base})})


def audit(
    recipe: "Recipe", root: Path, *, progress: Progress = silent
) -> tuple[data.Subject, list[Finding]]:
    """Look at the rows of a recipe with every check; a k-fold run of it is used where there is one.

    Raises:
        DataError: A file cannot be read.
        RecipeError: The constitution cannot be read.
        ModelError: The tokenizer of the base model cannot be had, or cannot write conversations.
        MissingExtraError: A library of a check is not installed.
    """
    from fucina.models import source
    from fucina.models.base import choose_template
    from fucina.models.tokenize import count_tokens

    subject = read_subject(recipe, root, progress=progress)
    recipe = settle(recipe, subject.train)
    name, place = recipe.model.base, source.locate(recipe.model.base)
    tokenizer, config = source.read_tokenizer(name, place), source.read_config(name, place)
    positions = getattr(config, "max_position_embeddings", None)
    if subject.answer == "text":
        halves = source.has_halves(config)
        own = root / recipe.chat.template
        template = choose_template(tokenizer, recipe.chat, own, halves=halves)
        subject = replace(subject, template=template)
    subject = replace(
        subject,
        max_length_tokens=min(
            recipe.model.max_length_tokens,
            tokenizer.model_max_length,
            positions or recipe.model.max_length_tokens,
        ),
        count_tokens=lambda texts: count_tokens(texts, tokenizer),
        out_of_fold=run.latest_out_of_fold(recipe) if subject.answer == "label" else None,
    )
    return subject, data.audit(subject, progress=progress)


def read_subject(recipe: "Recipe", root: Path, *, progress: Progress = silent) -> data.Subject:
    """Read the files of a recipe; rows are called by file and line, or by path if names repeat.

    Raises:
        RecipeError: A setting does nothing for this task or these files, the constitution cannot
            be read, or some parts have a file and others have none.
        DataError: A file cannot be read, or a part has no rows.
    """
    refuse_idle(recipe)
    task, written = tasks.of(recipe), recipe.chat.constitution
    places = sources(recipe)
    named = [name for place in places for name in place.files.values()]
    short = len({Path(name).name for name in named}) == len(named)

    def rows(place: Source, side: str) -> Dataset:
        name = place.files[side]
        group = place.config.group if side == "train" else None
        return _load(
            place, root / name, name=side, origin=Path(name).name if short else name,
            group=group, progress=progress,
        )  # fmt: skip

    sides = {
        side: [rows(place, side) for place in places]
        for side in ("train", "validation", "test")
        if _has(places, side)
    }
    for place, *own in zip(places, *sides.values(), strict=True):
        _refuse_unread(place, own)
    whole = {side: _together(places, own, task) for side, own in sides.items()}
    return data.Subject(
        whole["train"],
        whole.get("validation"),
        whole.get("test"),
        answer=task.answer,
        folds=recipe.folds.count,
        allow_duplicates=recipe.data.allow_duplicates,
        rules=data.load_constitution(root / written).rules if written else (),
        own=task.judging.checks,
        read=task.read,
        parts={part.name: part.task.judging.checks for part in task.choices.parts},
    )


@dataclass(frozen=True)
class Source:
    """Files that are read alike: all of a recipe, or those of one of its parts.

    Attributes:
        name: Of the part; empty where there is none.
        task: Reads their rows.
        config: How they are written, and what they are called.
    """

    name: str
    task: tasks.Task
    config: "DataConfig"

    @property
    def files(self) -> dict[str, str]:
        """Side to file, of those there are."""
        sides = ("train", "validation", "test")
        return {side: name for side in sides if (name := getattr(self.config, side))}


def sources(recipe: "Recipe") -> list[Source]:
    """Where the rows of a recipe come from: the files of `data`, or else those of its parts.

    Raises:
        RecipeError: There are neither.
    """
    task, config = tasks.of(recipe), recipe.data
    if config.train:
        return [Source("", task, config)]
    parts = task.choices.parts
    if not parts:
        raise RecipeError(
            f"{recipe.task} has no rows: it names no part, and no data.train.",
            fix="Write its parts: name, task and train of each (docs/how-to/multi-task.md).",
        )
    return [Source(p.name, p.task, config.model_copy(update=dict(p.files))) for p in parts]


def _has(places: Sequence[Source], side: str) -> bool:
    """Whether rows of a side have files of their own.

    Raises:
        RecipeError: Only those of some parts have.
    """
    without = [place.name for place in places if side not in place.files]
    if without and (side == "train" or len(without) < len(places)):
        instead = "" if side == "train" else f", or leave {side} out of all"
        raise RecipeError(
            f"multitask.parts: {', '.join(without)} has no {side} file.",
            fix=f"Write {side}: FILE in each part{instead}.",
        )
    return not without


def _together(places: Sequence[Source], sides: Sequence[Dataset], task: tasks.Task) -> Dataset:
    """The rows of one side, those of parts one after the other.

    Raises:
        DataError: A part has none.
    """
    parts, whole = task.choices.parts, sides[0]
    if not parts:
        return whole
    # Columns differ from part to part: such rows are written again as conversations.
    # A group of one part has nothing to do with that of the same name in another.
    examples = tuple(
        replace(row, fields={}, group=f"{place.name}/{row.group}".strip("/") if row.group else "")
        for place, side in zip(places, sides, strict=True)
        for row in side.examples
    )
    findings = tuple(finding for side in sides for finding in side.findings)
    there = {row.facts["part"] for row in examples}
    empty = [part.name for part in parts if part.name not in there]
    if empty:
        raise DataError(
            f"{whole.name} has no rows of {', '.join(empty)}.",
            fix="Add rows whose column part says so, or leave the part out of multitask.parts.",
        )
    return replace(whole, examples=examples, columns={}, findings=findings)


def _refuse_unread(place: Source, sides: Sequence[Dataset]) -> None:
    """Stop at columns that are named although no file is read by columns.

    Raises:
        RecipeError: Names them, and how the files are written.
    """
    forms, task = {side.format for side in sides}, place.task
    heard = {"group", *(task.optional if task.conversations and "alpaca" not in forms else ())}
    named = {name: c for name, c in place.config.named.items() if c != name and name not in heard}
    if "columns" in forms or not named:
        return
    settings = [
        f"data.{'' if name in {'text', 'label'} else 'columns.'}{name}={column}"
        for name, column in named.items()
    ]
    raise RecipeError(
        f"{place.config.train} is read as {sides[0].format}, which has turns and no columns: "
        f"{', '.join(settings)} {'do' if len(named) > 1 else 'does'} nothing.",
        fix="Leave it out, or set data.format to csv, jsonl, … to read columns.",
    )


def read_file(
    recipe: "Recipe",
    path: Path,
    *,
    name: str = "",
    origin: str = "",
    group: str | None = None,
    answered: bool = True,
    progress: Progress = silent,
) -> Dataset:
    """Read one file with the columns of a recipe.

    Args:
        recipe: Says how the file is written, and what its columns are called.
        path: The file.
        name: Of the rows, for messages.
        origin: What rows are called by, with their line.
        group: Column of groups. Only rows that are divided need one, and those are train's.
        answered: Rows must have an answer.
        progress: Shows steps.
    """
    place = Source("", tasks.of(recipe), recipe.data)
    return _load(
        place, path, name=name, origin=origin, group=group, answered=answered, progress=progress
    )


def _load(
    place: Source,
    path: Path,
    *,
    name: str,
    origin: str,
    group: str | None,
    answered: bool = True,
    progress: Progress,
) -> Dataset:
    columns = place.config.named
    if group is not None:
        columns["group"] = group
    return data.load(
        path,
        place.task,
        columns,
        format=place.config.format,
        encoding=place.config.encoding,
        name=name,
        origin=origin,
        answered=answered,
        progress=progress,
    )
