"""Let a model write examples, keep them for review, and take into train what a person accepts."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import data, reading, review
from fucina.errors import DataError, EndpointError, RecipeError, nearest
from fucina.prepare.endpoint import Endpoint, Sleep, is_loopback
from fucina.prepare.synthesize import placeholders, synthesize
from fucina.records import Dataset, Example, Progress, silent
from fucina.training_file import write_training_file

if TYPE_CHECKING:
    from fucina.config import PromptConfig, Recipe, SynthesisConfig

__all__ = ["Acceptance", "Written", "accept", "review_path", "write_examples"]


@dataclass(frozen=True)
class Written:
    """What one prompt has brought so far.

    Attributes:
        label: Of its texts.
        wanted: Texts the recipe asks for.
        waiting: Texts a person has not decided on.
        accepted: Texts in train.
        refused: Reason to count.
        problem: Why it came short in this run; empty where it did not.
    """

    label: str
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
        refused: Texts that nearly equal a held-out row, refused now, to that row's origin.
    """

    path: Path
    train: int
    accepted: int
    new: int
    refused: Mapping[str, str]


def review_path(recipe: "Recipe", root: Path) -> Path:
    """Where the texts of a recipe wait for a person."""
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
    if not key and not is_loopback(config.url):
        raise RecipeError(
            f"no key for {config.url}: the variable {config.key_variable} is not set.",
            fix=f"Set it: export {config.key_variable}=…; or name another in "
            "synthesis.key_variable.",
        )
    subject = reading.read_subject(recipe, root, progress=progress)
    examples = _examples(config, subject)
    path = review_path(recipe, root)
    before = review.read(path)
    admission = data.Admission(
        subject, [Example(r.text, r.label, origin=r.origin or path.name) for r in before]
    )

    def keep(place: int, texts: list[str]) -> int:
        prompt = config.prompts[place]
        origin = f"synthetic:{config.model}:{place + 1}"
        rows = []
        for text in texts:
            why = admission.refusal(text)
            admission.add(Example(text, prompt.label, origin=origin))
            status = "refused" if why else "waiting"
            rows.append(
                review.Reviewed(status, text, prompt.label, why, origin, origin, _asked(prompt))
            )
        review.append(path, rows)
        return sum(row.status == "waiting" for row in rows)

    async def run_all() -> dict[int, str]:
        have = [_have(before, prompt) for prompt in config.prompts]
        async with Endpoint(config, key, sleep=sleep, jitter=random.random) as endpoint:
            return await synthesize(
                config, have, examples, ask=endpoint.ask, keep=keep, seed=recipe.seed,
                progress=progress,
            )  # fmt: skip

    problems = asyncio.run(run_all())
    after = review.read(path)
    if problems and len(after) == len(before):
        raise EndpointError(
            f"nothing came: {'; '.join(dict.fromkeys(problems.values()))}.",
            fix="Check that the endpoint runs and synthesis.url, then run it again.",
        )
    return [
        _written(prompt, after, problems.get(place, ""))
        for place, prompt in enumerate(config.prompts)
    ]


def accept(recipe: "Recipe", root: Path, *, progress: Progress = silent) -> Acceptance:
    """Write train and all accepted rows to a new file, and mark the waiting ones accepted.

    Raises:
        RecipeError: There is no section `synthesis`.
        DataError: Nothing waits, a line of the review file is broken, or a label is unknown.
    """
    _section(recipe)
    path = review_path(recipe, root)
    subject = reading.read_subject(recipe, root, progress=progress)
    rows = review.read(path, set(subject.train.targets))
    if all(row.status == "refused" for row in rows):
        raise DataError(f"{path} has nothing to accept.", fix="First run: fucina synthesize RECIPE")
    held_out = data.Known(row for side in subject.sides[1:] for row in side.examples)
    refused: dict[str, str] = {}
    decided = []
    for row in rows:
        if row.status == "refused":
            decided.append(row)
            continue
        same = held_out.find(row.text)  # a person may have edited it into one
        if same is None:
            decided.append(replace(row, status="accepted"))
        else:
            refused[row.text] = same.origin
            decided.append(replace(row, status="refused", why=f"nearly held out: {same.origin}"))
    known = set(subject.train.prompts)
    joining = {r.text: r for r in decided if r.status == "accepted" and r.text not in known}
    examples = tuple(Example(r.text, r.label, r.group, r.origin) for r in joining.values())
    target = root / f"{recipe.name}.accepted.jsonl"
    whole = Dataset("train", (*subject.train.examples, *examples))
    # The rows first: a kill in between leaves them waiting, and accepting again does no harm.
    write_training_file(whole, target, recipe.data)
    review.write(path, decided)
    waited = sum(row.status == "waiting" for row in rows)
    return Acceptance(target, len(subject.train), len(examples), waited - len(refused), refused)


def _section(recipe: "Recipe") -> "SynthesisConfig":
    if recipe.synthesis is None:
        raise RecipeError(
            "the recipe has no section synthesis.",
            fix="Write synthesis: with url:, model: and prompts: (docs/how-to/synthesize.md).",
        )
    return recipe.synthesis


def _examples(config: "SynthesisConfig", subject: data.Subject) -> dict[str, list[str]]:
    """The rows of train that may be shown, by label; none where no prompt asks for them."""
    labels = set(subject.train.targets)
    wanted = False
    for number, prompt in enumerate(config.prompts, start=1):
        where = f"synthesis.prompts.{number}"
        if prompt.label not in labels:
            raise RecipeError(
                f"{where}: no row of train has the label {prompt.label!r}.",
                fix=f"Mend the label, or write some rows of it first; "
                f"{nearest(prompt.label, labels)}",
            )
        wanted |= "examples" in placeholders(prompt.prompt, where=where)
    if not wanted or config.examples_shown == 0:
        return {}
    if subject.test is None:
        raise RecipeError(
            "without data.test a share of train is the test, and its rows could be sent out.",
            fix="Give a file as data.test, or set synthesis.examples_shown=0.",
        )
    shown: dict[str, list[str]] = {}
    for example in data.presentable(subject).examples:
        shown.setdefault(example.target, []).append(example.prompt)
    return shown


def _asked(prompt: "PromptConfig") -> str:
    return hashlib.sha256(f"{prompt.label}\0{prompt.prompt}".encode()).hexdigest()[:12]


def _have(rows: Sequence[review.Reviewed], prompt: "PromptConfig") -> int:
    asked = _asked(prompt)
    return sum(row.asked == asked and row.status != "refused" for row in rows)


def _written(prompt: "PromptConfig", rows: Sequence[review.Reviewed], problem: str) -> Written:
    own = [row for row in rows if row.asked == _asked(prompt)]
    refused = Counter(
        (row.why or "by a person").partition(":")[0] for row in own if row.status == "refused"
    )
    counts = Counter(row.status for row in own)
    return Written(
        prompt.label, prompt.rows, counts["waiting"], counts["accepted"], dict(refused), problem
    )
