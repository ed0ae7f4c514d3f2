"""From a recipe to rows: read, check, audit and divide the files it names."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import data, prepare, run, tasks
from fucina.errors import RecipeError
from fucina.records import Dataset, Finding, Progress, Split, silent
from fucina.tasks.settings import SCRATCH, refuse_idle

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["audit", "read", "read_file", "read_subject", "settle"]


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
    """The recipe with a folder for `model.base: scratch`, which is made here; else as it is.

    Args:
        recipe: What was asked.
        rows: Training rows, which the tokenizer learns its words from.
    """
    if recipe.model.base != SCRATCH:
        return recipe
    from fucina.models import scratch

    system = recipe.chat.system or ""
    texts = [turn.content for row in rows.examples for turn in row.messages]
    texts += [text for row in rows.examples for text in (row.prompt, row.target)]
    base = scratch.make(Path(recipe.output) / ".bases", [*texts, system], seed=recipe.seed)
    model = recipe.model.model_copy(update={"base": str(base.resolve())})
    return recipe.model_copy(update={"model": model})


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
        RecipeError: A setting does nothing for this task or these files, or the constitution
            cannot be read.
        DataError: A file cannot be read.
    """
    refuse_idle(recipe)
    config, task = recipe.data, tasks.of(recipe)
    written = recipe.chat.constitution
    given = [name for name in (config.train, config.validation, config.test) if name is not None]
    short = len({Path(name).name for name in given}) == len(given)

    def rows(name: str, side: str, group: str | None = None) -> Dataset:
        origin = Path(name).name if short else name
        return read_file(
            recipe, root / name, name=side, origin=origin, group=group, progress=progress
        )

    subject = data.Subject(
        rows(config.train, "train", config.group),
        rows(config.validation, "validation") if config.validation is not None else None,
        rows(config.test, "test") if config.test is not None else None,
        answer=task.answer,
        folds=recipe.folds.count,
        allow_duplicates=config.allow_duplicates,
        rules=data.load_constitution(root / written).rules if written else (),
        own=task.checks,
        read=task.read,
    )
    _refuse_unread(recipe, subject.sides)
    return subject


def _refuse_unread(recipe: "Recipe", sides: Sequence[Dataset]) -> None:
    """Stop at columns that are named although no file is read by columns.

    Raises:
        RecipeError: Names them, and how the files are written.
    """
    forms = {side.format for side in sides}
    task = tasks.get(recipe.task)
    heard = {"group", *(task.optional if task.conversations and "alpaca" not in forms else ())}
    named = {name: c for name, c in recipe.data.named.items() if c != name and name not in heard}
    if "columns" in forms or not named:
        return
    settings = [
        f"data.{'' if name in {'text', 'label'} else 'columns.'}{name}={column}"
        for name, column in named.items()
    ]
    raise RecipeError(
        f"{recipe.data.train} is read as {sides[0].format}, which has turns and no columns: "
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
    config = recipe.data
    columns = config.named
    if group is not None:
        columns["group"] = group
    return data.load(
        path,
        tasks.of(recipe),
        columns,
        format=config.format,
        encoding=config.encoding,
        name=name,
        origin=origin,
        answered=answered,
        progress=progress,
    )
