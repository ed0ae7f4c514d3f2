"""The prompts of a recipe: what each gives, which rows of train it may show, how it is known."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fucina import data, tasks
from fucina.errors import RecipeError, nearest
from fucina.prepare.synthesize import placeholders
from fucina.records import Example

if TYPE_CHECKING:
    from fucina.config import PromptConfig, SynthesisConfig

__all__ = ["fingerprint", "given", "presented", "title"]


def given(prompt: "PromptConfig", task: tasks.Task) -> dict[str, Any]:
    """The columns that the model need not write."""
    return {task.answered: prompt.label} if task.answer == "label" else dict(prompt.given)


def fingerprint(prompt: "PromptConfig") -> str:
    """What a prompt is known by, wherever it stands in the recipe."""
    given = json.dumps(prompt.given, sort_keys=True, default=str)
    about = given if prompt.label is None else prompt.label
    return hashlib.sha256(f"{about}\0{prompt.prompt}".encode()).hexdigest()[:12]


def title(prompt: "PromptConfig", place: int) -> str:
    """What a prompt is called, by its place from 0."""
    return prompt.name or prompt.label or f"prompt {place + 1}"


def presented(
    config: "SynthesisConfig", task: tasks.Task, subject: data.Subject
) -> list[list[dict[str, Any]]]:
    """The rows of train that may be shown for each prompt; none where it does not ask for them.

    Args:
        config: The prompts.
        task: Of the rows.
        subject: The rows of the recipe.

    Raises:
        RecipeError: A prompt asks for rows that are none of the task, has an unknown placeholder,
            or rows of the test could be sent.
    """
    fitting = []
    for number, prompt in enumerate(config.prompts, start=1):
        where = f"synthesis.prompts.{number}"
        _check(prompt, task, set(subject.train.targets), where)
        names = ("label",) if task.answer == "label" else tuple(prompt.given)
        fitting.append("examples" in placeholders(prompt.prompt, names, where=where))
    if not any(fitting) or config.examples_shown == 0:
        return [[] for _ in config.prompts]
    if subject.test is None:
        raise RecipeError(
            "without data.test a share of train is the test, and its rows could be sent out.",
            fix="Give a file as data.test, or set synthesis.examples_shown=0.",
        )
    rows = data.presentable(subject).examples
    shown = []
    for number, (prompt, wanted) in enumerate(zip(config.prompts, fitting, strict=True), start=1):
        same = given(prompt, task)
        own = [_shown(row, task) for row in rows if wanted and _has(row, same)]
        shown.append([row for row in own if row])
        if wanted and not shown[-1] and task.answer != "label":
            raise RecipeError(
                f"synthesis.prompts.{number}: no row of train can be shown as {{examples}}.",
                fix="Take {examples} out of the prompt, or mend what is given.",
            )
    return shown


def _check(prompt: "PromptConfig", task: tasks.Task, labels: set[str], where: str) -> None:
    """Stop at a prompt whose rows would be no rows of the task."""
    if task.answer == "label":
        if prompt.label is None:
            raise RecipeError(f"{where}: no label.", fix="Write label: which label comes back.")
        if prompt.label not in labels:
            raise RecipeError(
                f"{where}: no row of train has the label {prompt.label!r}.",
                fix=f"Mend the label, or write some rows of it first; "
                f"{nearest(prompt.label, labels)}",
            )
        return
    needed = list(task.columns)[1:-1]
    known = (*needed, *task.optional)
    for name in prompt.given:
        if name not in known:
            hint = nearest(name, known) if known else "leave it out"
            raise RecipeError(f"{where}.given: the model writes {name!r}, or nobody.", fix=hint)
    for name in needed:
        if name not in prompt.given:
            raise RecipeError(
                f"{where}: no {name}.", fix=f"Write given: {{{name}: …}}, {task.columns[name]}."
            )


def _has(row: Example, same: Mapping[str, Any]) -> bool:
    """Whether a row has what is given: in its columns, or as what a role says."""
    said: dict[str, str] = {turn.role: turn.content for turn in reversed(row.messages)}
    own: Mapping[str, Any] = said if "messages" in row.fields else row.fields
    return all(tasks.as_text(own.get(k, "")) == tasks.as_text(v) for k, v in same.items())


def _shown(row: Example, task: tasks.Task) -> dict[str, Any]:
    """What a model sees of a row; of a conversation how it begins. Empty where that is a call."""
    if task.answer == "label":
        return {task.asked: row.prompt}
    if task.marks:
        parts = [{"text": row.prompt[s.start : s.end], "label": s.label} for s in row.spans]
        return {task.asked: row.prompt, task.answered: parts}
    if "messages" not in row.fields:
        return {name: row.fields[name] for name in (task.asked, task.answered)}
    first, second = [turn for turn in row.messages if turn.role != "system"][:2]
    spoken = (first.role, second.role) == ("user", "assistant") and second.content
    return {task.asked: first.content, task.answered: second.content} if spoken else {}
