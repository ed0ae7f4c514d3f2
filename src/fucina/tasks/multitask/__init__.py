"""Several tasks at once: one model learns them all, and is judged on each by its own scores.

A part is a task with rows and words of its own. Its rows say which part they are in
`facts["part"]`; the model knows it by the words of the system.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from pydantic import ValidationError

from fucina import tasks
from fucina.config import task_sections
from fucina.errors import DataError, RecipeError, nearest
from fucina.records import Dataset, Example, Finding, Grammar, Message, Ratio
from fucina.settings_file import explain
from fucina.tasks import Choices, Judging, Part, Paths, Task
from fucina.tasks.multitask.labels import in_words
from fucina.tasks.multitask.settings import MultitaskConfig, PartConfig

__all__ = ["TASK"]

ANYTHING = Grammar("regex", r"(.|\n)*")  # what a part that knows no grammar may write


def configured(config: MultitaskConfig) -> Task:
    """The task as a recipe sets it.

    Raises:
        RecipeError: A part is of a task that there is not, or that cannot be learnt beside others.
    """
    parts = tuple(_part(own) for own in config.parts)
    named = {part.name: part for part in parts}

    def read(row: Mapping[str, Any]) -> Example:
        return _to_example(named, row)

    more = {
        name
        for part in parts
        for name in (*part.task.columns, *part.task.optional)
        if name not in {part.task.asked, part.task.answered}
    }
    return Task(
        name="multitask",
        summary="Several tasks learnt by one model, each judged by its own scores.",
        answer="text",
        columns={"prompt": "what is asked", "answer": "what must come out"},
        to_example=read,
        optional={
            "part": "which part of the recipe asks",
            **{name: "what its part has it for" for name in sorted(more)},
        },
        paths=Paths({n: find for part in parts for n, find in part.task.paths.finders.items()}),
        conversations=True,
        judging=Judging(
            headline="perplexity",
            scores=partial(_scores, parts),
            baselines={f"{part.name}/{name}": own for part in parts
                       for name, own in part.task.judging.baselines.items()},
        ),
        choices=Choices(
            configure=configured,
            grammars={"parts": partial(_grammars, named)}
            if any(part.task.choices.grammars for part in parts)
            else {},
            parts=parts,
        ),
    )  # fmt: skip


def _part(config: PartConfig) -> Part:
    """One part: its task, whose rows say the part and begin with its words."""
    task = tasks.get(config.task)
    where = f"multitask.parts: {config.name}"
    if task.name == "multitask":
        raise RecipeError(f"{where} has parts itself.", fix="Name those beside the others.")
    if task.answer == "spans":
        forms = " or ".join(f"{task.name}.{form}" for form in sorted(task.choices.forms))
        raise RecipeError(
            f"{where}: {task.name} answers with spans, and this model writes.",
            fix=f"Set its task: {forms}.",
        )
    task = _set(task, config, where).led_by(config.system)
    if task.answer == "label":
        task = in_words(task)
    checks = (*task.judging.checks, partial(_unsaid, config))
    spoken = replace(
        task,
        to_example=partial(_spoken, task.to_example, config),
        judging=replace(task.judging, checks=checks),
    )
    files = {"columns": dict(config.columns), "group": config.group}
    sides = {side: getattr(config, side) for side in ("train", "validation", "test")}
    return Part(config.name, spoken, {**sides, **files})


def _set(task: Task, config: PartConfig, where: str) -> Task:
    """A task as the settings of its part say."""
    kind = task_sections(task.name).get(task.name)
    if task.choices.configure is None or kind is None:
        if config.settings:
            raise RecipeError(
                f"{where}: {task.name} has no settings of its own.", fix="Leave out settings."
            )
        return task
    try:
        return task.choices.configure(kind(**config.settings))
    except ValidationError as error:
        raise explain(error, {}, f"{where}, settings", kind) from error


def _spoken(
    read: Callable[[Mapping[str, Any]], Example], config: PartConfig, row: Mapping[str, Any]
) -> Example:
    """A row as a conversation that begins with the words of its part."""
    example = read(row)
    turns = example.messages or (
        Message("user", example.prompt), Message("assistant", example.target)
    )  # fmt: skip
    if config.system is not None and turns[0].role != "system":
        turns = (Message("system", config.system), *turns)
    return replace(example, messages=turns, facts={**example.facts, "part": config.name})


def _unsaid(config: PartConfig, rows: Dataset) -> list[Finding]:
    """Words of the system that no row says, because all have their own."""
    said = {row.messages[0].content for row in rows.examples}
    if config.system is None or config.system in said:
        return []
    return [
        Finding(
            "unsaid_system", "warning",
            f"no {rows.name} row begins with the words of its part: all say what the system says.",
            "Leave out system.",
        )
    ]  # fmt: skip


def _to_example(parts: Mapping[str, Part], row: Mapping[str, Any]) -> Example:
    """Read a row that says its part, with what is asked as `prompt` or as a conversation."""
    name = str(row.get("part") or "").strip()
    if not parts:
        raise RecipeError(
            "multitask.parts names no part.",
            fix="Write parts: a list of name, task and train (docs/how-to/multi-task.md).",
        )
    if name not in parts:
        near = f"{nearest(name, parts)} " if name else ""
        raise DataError(
            f"there is no part {name!r}." if name else "which part asks?",
            fix=f"{near}Parts: {', '.join(parts)}; say which in a column part of the rows, or "
            "predict … --field part=NAME.",
        )
    task = parts[name].task
    given = {key: value for key, value in row.items() if key not in {"prompt", "answer", "part"}}
    if "messages" in row and not task.conversations:
        given |= _last_pair(row["messages"], task)
    elif "messages" not in row:
        given |= {task.asked: row["prompt"], task.answered: row["answer"]}
    return task.to_example(given)


def _last_pair(messages: Sequence[Message], task: Task) -> dict[str, str]:
    """A conversation as the fields of a task that has no turns."""
    said = {turn.role: turn.content for turn in messages}
    return {task.asked: said.get("user", ""), task.answered: said.get("assistant", "")}


def _scores(
    parts: Sequence[Part], answers: Sequence[str], rows: Sequence[Example]
) -> Mapping[str, Ratio]:
    """The scores of each part under its name; rows of other parts neither gain nor lose."""
    found = {}
    for part in parts:
        own = [place for place, row in enumerate(rows) if row.facts["part"] == part.name]
        if part.task.judging.scores is None:
            continue
        marks = part.task.judging.scores([answers[at] for at in own], [rows[at] for at in own])
        for name, mark in marks.items():
            gained, possible = np.zeros(len(rows)), np.zeros(len(rows))
            gained[own], possible[own] = mark.gained, mark.possible
            found[f"{part.name}/{name}"] = Ratio(gained, possible, mark.descriptive)
    return found


def _grammars(
    parts: Mapping[str, Part], train: Sequence[Example], rows: Sequence[Example]
) -> list[Grammar]:
    """Each answer held to what its part knows of its answers."""
    found = [ANYTHING] * len(rows)
    for name, part in parts.items():
        own = [place for place, row in enumerate(rows) if row.facts["part"] == name]
        learned = [row for row in train if row.facts["part"] == name]
        make = next(iter(part.task.choices.grammars.values()), None)
        if make is not None and own:
            for place, grammar in zip(own, make(learned, [rows[at] for at in own]), strict=True):
                found[place] = grammar
    return found


TASK = configured(MultitaskConfig())
