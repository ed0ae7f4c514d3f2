"""Ways to answer the test rows of a recipe without training: by a prompt, or by what is found."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.advise import as_label, asked_of, behind, joined, with_shots
from fucina.endpoint import Server
from fucina.errors import DataError, RecipeError
from fucina.lookup import Lookup
from fucina.records import Example, Message, Progress, Texts, silent
from fucina.retrieval.prompting import TURN_TAKES
from fucina.speaking import Speaker, open_speaker

if TYPE_CHECKING:
    from fucina.config import AdviseConfig, ContenderConfig, Recipe, Way
    from fucina.endpoint import Reply
    from fucina.tasks import Task

__all__ = [
    "ROOM",
    "TIMED",
    "Case",
    "Tried",
    "UntriedError",
    "by_itself",
    "prompted",
    "require_supported",
    "said_to",
]

OF_LABEL = 32  # tokens
TIMED = 20  # answers that are asked one by one
ROOM = 4 * TURN_TAKES  # tokens that a chat template may put around turns


class UntriedError(Exception):
    """A way cannot be tried, and why."""


@dataclass(frozen=True)
class Case:
    """What all ways share.

    Attributes:
        recipe: What was asked.
        task: Of the recipe.
        config: Its section `advise`.
        rows: Test rows, with their true answers.
        known: Training rows, of which some are shown.
        labels: That a row can have, or types that spans can have.
        system: What a model is told that has not learnt it.
        session: What stands before each question; may be empty.
        lookup: Looks up documents, or training rows.
        progress: Shows steps.
        parts: What rows are about, to their places; empty where that is not known.
    """

    recipe: "Recipe"
    task: "Task"
    config: "AdviseConfig"
    rows: Sequence[Example]
    known: Sequence[Example]
    labels: tuple[str, ...]
    system: str
    session: str
    lookup: Lookup
    progress: Progress = silent
    parts: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """Tokens of an answer at most; the name of a label is short."""
        return OF_LABEL if self.task.answer == "label" else self.recipe.chat.max_new_tokens


@dataclass(frozen=True)
class Tried:
    """What a way came to.

    Attributes:
        texts: Answers to the rows, with losses where a model here foretold the true ones.
        latency_ms: Of the first rows, asked one by one; looking up included.
        notes: What is to be known about it, a sentence each.
    """

    texts: Texts
    latency_ms: tuple[float, ...]
    notes: tuple[str, ...] = ()


def prompted(
    case: Case, way: "Way", model: "ContenderConfig", remember: "Callable[..., Any]", key: str
) -> Tried:
    """Let a model answer that was not trained for it.

    Args:
        case: What is asked.
        way: prompt, few_shot or retrieval.
        model: Who answers.
        remember: Gives what the model answered to the same before, or asks it.
        key: Of its endpoint.

    Raises:
        UntriedError: The prompt has no room, or the model does not write.
        EndpointError: It does not answer.
    """
    most = case.most
    with _open(model, most, key, case.progress) as speaker:
        try:
            asked = [_turns(case, way, speaker, n, most) for n in range(len(case.rows))]
        except DataError as error:
            raise UntriedError(error.problem.rstrip(".")) from error
        began = [ms for _, ms in asked]
        turns = [own for own, _ in asked]
        _require_room(speaker, turns, most)
        ask = remember(speaker, model)
        first = [ask([own])[0] for own in turns[:TIMED]]
        replies = [*first, *(ask(turns[TIMED:]) if turns[TIMED:] else [])]
    times = [1000 * reply.seconds + ms for reply, ms in zip(first, began, strict=False)]
    return Tried(_texts(case, replies), tuple(times))


@contextmanager
def _open(model: "ContenderConfig", most: int, key: str, progress: Progress) -> "Iterator[Speaker]":
    what: str | Server = model.by
    if model.url is not None:
        settings = ("advise.models.url", "advise.models.by")
        what = Server(
            model.url, model.by, model.key_variable, model.timeout_s, model.retries,
            model.protocol, settings,
        )  # fmt: skip
    with open_speaker(what, max_new_tokens=most, key=key, progress=progress) as speaker:
        yield speaker


def _turns(
    case: Case, way: "Way", speaker: Speaker, number: int, most: int
) -> tuple[tuple[Message, ...], float]:
    """What a row asks in a way, and the milliseconds that looking up took."""
    row = case.rows[number]
    if way == "retrieval":
        found = case.lookup.find(row)
        room = speaker.reads - most - ROOM
        told = (case.system, case.session)
        return behind(row, found.hits, found.shots, told, speaker.count, room), found.ms
    turns = asked_of(row, joined(case.system, case.session))
    return (with_shots(turns, case.lookup.shots()) if way == "few_shot" else turns), 0.0


def _require_room(speaker: Speaker, asked: Sequence[Sequence[Message]], most: int) -> None:
    longest = max(sum(speaker.count(turn.content) for turn in turns) for turns in asked)
    if longest + most > speaker.reads:
        raise UntriedError(
            f"a prompt has about {longest:,} tokens, and {speaker.name} reads {speaker.reads:,} "
            f"with the {most:,} of an answer"
        )


def _texts(case: Case, replies: "Sequence[Reply]") -> Texts:
    answers = [reply.text.strip() for reply in replies]
    if case.task.answer == "label":
        answers = [as_label(answer, case.labels) for answer in answers]
    return replace(
        said_to(case, answers),
        ended=np.array([reply.ended for reply in replies]),
        read=tuple(reply.prompt_tokens for reply in replies),
        written=tuple(reply.answer_tokens for reply in replies),
    )


def said_to(case: Case, answers: Sequence[str]) -> Texts:
    """Answers to the rows, of which nothing else is known."""
    nothing = np.zeros(len(answers))
    return Texts(
        tuple(row.prompt for row in case.rows),
        tuple(row.target for row in case.rows),
        tuple(answers), nothing, nothing, np.ones(len(answers), bool),
    )  # fmt: skip


def by_itself(case: Case) -> Tried:
    """Answer with what is found alone: sentences of the documents, or the nearest rows' answer."""
    answers, times = [], []
    for number, row in enumerate(case.rows):
        case.progress("looking up", number + 1, len(case.rows))
        began = time.perf_counter()
        answers.append(case.lookup.say(row))
        times.append(1000 * (time.perf_counter() - began))
    return Tried(said_to(case, answers), tuple(times[:TIMED]), (case.lookup.by_itself,))


def require_supported(task: "Task") -> None:
    """Refuse what cannot be weighed.

    Raises:
        RecipeError: Several jobs at once.
    """
    if task.choices.parts:
        raise RecipeError(
            f"{task.name} learns several jobs together, and advise weighs one.",
            fix="Give a recipe of one of them.",
        )
