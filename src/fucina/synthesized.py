"""Let a model write examples, keep them for review, and take into train what a person accepts."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from fucina import data, prompts, reading, review, tasks
from fucina.endpoint import Endpoint, Sleep, read_named, read_rows, require_key
from fucina.errors import DataError, EndpointError, RecipeError
from fucina.prepare.synthesize import instruction, synthesize
from fucina.records import Example, Progress, silent
from fucina.training_file import write_training_file

if TYPE_CHECKING:
    from fucina.config import PromptConfig, Recipe, SynthesisConfig

__all__ = ["Acceptance", "Written", "accept", "review_path", "write_examples"]


@dataclass(frozen=True)
class Written:
    """What one prompt has brought so far.

    Attributes:
        name: What it is called.
        wanted: Rows the recipe asks for.
        waiting: Rows a person has not decided on.
        accepted: Rows in train.
        refused: Reason to count.
        problem: Why it came short in this run; empty where it did not.
    """

    name: str
    wanted: int
    waiting: int
    accepted: int
    refused: Mapping[str, int]
    problem: str = ""


@dataclass(frozen=True)
class Acceptance:
    """What moved into train.

    Attributes:
        path: The new file: train and all that was ever accepted.
        train: Rows of train in it.
        accepted: Accepted rows in it.
        new: Those that waited until now.
        refused: Rows that nearly equal a held-out one, refused now: what each asks, to the origin
            of that one.
    """

    path: Path
    train: int
    accepted: int
    new: int
    refused: Mapping[str, str]


def review_path(recipe: "Recipe", root: Path) -> Path:
    """Where the rows that a model wrote wait for a person."""
    return root / f"{recipe.name}.review.jsonl"


def write_examples(
    recipe: "Recipe",
    root: Path,
    key: str,
    *,
    progress: Progress = silent,
    sleep: Sleep = asyncio.sleep,
) -> list[Written]:
    """Ask until every prompt has its rows; each reply is on disk before the next is looked at.

    Args:
        recipe: With a section `synthesis`.
        root: The folder that paths in the recipe are relative to, and where the review file is.
        key: Of the endpoint; empty for one on this machine.
        progress: Shows steps.
        sleep: Waits between tries.

    Raises:
        RecipeError: The section is missing or wrong, or rows of the test could be sent.
        EndpointError: The endpoint refuses, or never answered; what came before is kept.
        DataError: A file cannot be read, or the review file is broken.
    """
    config = _section(recipe)
    task, path = tasks.of(recipe).at(root), review_path(recipe, root)
    require_key(config, key, section="synthesis")
    subject = reading.read_subject(recipe, root, progress=progress)
    types = _kinds(subject, task)
    asked = (task.asked,) if task.answer == "label" else (task.asked, task.answered)
    examples = prompts.presented(config, task, subject)
    before = review.read(path, task)
    admission = data.Admission(subject)
    for row in before:
        with suppress(DataError):  # a refused one may be no row at all
            known = review.example(row, task)
            admission.add(replace(known, origin=known.origin or path.name))

    def keep(place: int, written: list[dict[str, Any]]) -> int:
        prompt = config.prompts[place]
        origin = f"synthetic:{config.model}:{prompt.name or place + 1}"
        rows = []
        for own in written:
            named = _named(own, task, types)
            whole = prompts.given(prompt, task) | named
            fields = {n: whole[n] for n in (*task.columns, *task.optional) if n in whole}
            row = review.Reviewed(
                "waiting", fields, "", origin, origin, prompts.fingerprint(prompt)
            )
            rows.append(_judged(admission, row, recipe, root, types))
        review.append(path, rows)
        return sum(row.status == "waiting" for row in rows)

    async def run_all() -> dict[int, str]:
        have = [_have(before, prompt) for prompt in config.prompts]
        told = instruction(task, asked, types)
        async with Endpoint(config, key, section="synthesis", sleep=sleep) as endpoint:
            return await synthesize(
                config, have, examples,
                ask=lambda text: endpoint.ask(told, text, lambda said: read_rows(said, asked)),
                keep=keep, seed=recipe.seed, progress=progress,
            )  # fmt: skip

    problems = asyncio.run(run_all())
    after = review.read(path, task)
    if problems and len(after) == len(before):
        raise EndpointError(
            f"nothing came: {'; '.join(dict.fromkeys(problems.values()))}.",
            fix="Check that the endpoint runs and synthesis.url, then run it again.",
        )
    return [
        _written(prompt, place, after, problems.get(place, ""))
        for place, prompt in enumerate(config.prompts)
    ]


def accept(recipe: "Recipe", root: Path, *, progress: Progress = silent) -> Acceptance:
    """Write train and all accepted rows to a new file, and mark the waiting ones accepted.

    Raises:
        RecipeError: There is no section `synthesis`.
        DataError: Nothing waits, a line of the review file is broken, or a label is unknown.
    """
    _section(recipe)
    task, path = tasks.of(recipe).at(root), review_path(recipe, root)
    subject = reading.read_subject(recipe, root, progress=progress)
    rows = review.read(path, task, _kinds(subject, task))
    if all(row.status == "refused" for row in rows):
        raise DataError(f"{path} has nothing to accept.", fix="First run: fucina synthesize RECIPE")
    held_out = data.HeldOut(subject)
    known = set(subject.train.prompts)
    joining: dict[str, Example] = {}
    refused: dict[str, str] = {}
    decided = []
    for row in rows:
        if row.status == "refused":
            decided.append(row)
            continue
        example = review.example(row, task)
        same = held_out.find(example)  # a person may have edited it into one
        if same is None:
            decided.append(replace(row, status="accepted"))
            if example.prompt not in known:
                joining[example.prompt] = example
        else:
            refused[example.prompt] = same.origin
            decided.append(replace(row, status="refused", why=f"nearly held out: {same.origin}"))
    target = root / f"{recipe.name}.accepted.jsonl"
    whole = replace(subject.train, examples=(*subject.train.examples, *joining.values()))
    # The rows first: a kill in between leaves them waiting, and accepting again does no harm.
    write_training_file(whole, target, recipe.data)
    review.write(path, decided)
    waited = sum(row.status == "waiting" for row in rows)
    return Acceptance(target, len(subject.train), len(joining), waited - len(refused), refused)


def _section(recipe: "Recipe") -> "SynthesisConfig":
    if recipe.synthesis is None:
        raise RecipeError(
            "the recipe has no section synthesis.",
            fix="Write synthesis: with url:, model: and prompts: (docs/how-to/synthesize.md).",
        )
    return recipe.synthesis


def _kinds(subject: data.Subject, task: tasks.Task) -> list[str]:
    """The labels, or the types of spans, that rows of train have."""
    return sorted(set().union(*(review.kinds(row, task) for row in subject.train.examples)))


def _named(row: dict[str, Any], task: tasks.Task, types: Sequence[str]) -> dict[str, Any]:
    """What a model wrote; of what it marked the words and the type, where it says these."""
    if not task.marks:
        return row
    named = read_named(row[task.answered], types)
    text = normalize("NFC", row[task.asked])
    return {**row, task.asked: text, task.answered: row[task.answered] if named is None else named}


def _judged(
    admission: data.Admission,
    row: review.Reviewed,
    recipe: "Recipe",
    root: Path,
    types: Sequence[str],
) -> review.Reviewed:
    """The row, refused where it may not join; its paths as a file beside the recipe has them.

    The next one must differ from it, whether it may join or not.
    """
    task = tasks.of(recipe).at((root / recipe.data.train).parent)  # as what a prompt gives
    if task.marks and not isinstance(row.fields[task.answered], list):
        return replace(row, status="refused", why="unusable: what is marked is not listed")
    try:
        example = review.example(row, task)
    except DataError as error:
        return replace(row, status="refused", why=f"unusable: {error.problem}")
    strange = sorted(review.kinds(example, task).difference(types))
    why = f"unknown type: {strange[0]}" if strange else admission.refusal(example)
    admission.add(example)
    moved = {name: example.fields_at(root)[name] for name in example.paths}
    row = replace(row, fields={**row.fields, **moved})
    return replace(row, status="refused", why=why) if why else row


def _have(rows: Sequence[review.Reviewed], prompt: "PromptConfig") -> int:
    asked = prompts.fingerprint(prompt)
    return sum(row.asked == asked and row.status != "refused" for row in rows)


def _written(
    prompt: "PromptConfig", place: int, rows: Sequence[review.Reviewed], problem: str
) -> Written:
    own = [row for row in rows if row.asked == prompts.fingerprint(prompt)]
    refused = Counter(
        (row.why or "by a person").partition(":")[0] for row in own if row.status == "refused"
    )
    counts = Counter(row.status for row in own)
    name = prompts.title(prompt, place)
    return Written(name, prompt.rows, counts["waiting"], counts["accepted"], dict(refused), problem)
