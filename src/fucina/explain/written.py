"""Why a text was answered by another: what is asked of models that write."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from fucina.errors import DataError, ModelError
from fucina.explain.gradients import Path, integrate
from fucina.explain.question import Question, Reading, read
from fucina.explain.words import share
from fucina.models.glass import states_of
from fucina.models.template import Template
from fucina.models.word_loss import token_losses
from fucina.models.writer import Writer
from fucina.records import Example, Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fucina.models.stack import Stack

__all__ = ["ask_text", "follow_tokens", "text_gradients", "text_of", "with_text"]

WRITTEN = "log-probability of the answer, in nats, the mean of all members"


def text_of(row: Example) -> str:
    """What is asked last in a row: the last turn of a user, or the prompt."""
    said = [turn.content for turn in row.messages[:-1] if turn.role == "user"]
    return said[-1] if said else row.prompt


def with_text(row: Example, text: str, other: str) -> Example:
    """The row with another text in the place of the one asked.

    Example:
        >>> with_text(Example("Domanda: dove?", ""), "dove?", "quando?").prompt
        'Domanda: quando?'

    Raises:
        DataError: The text does not stand in the row.
    """
    changed = replace(row, prompt=_exchanged(row.prompt, text, other))
    if not row.messages:
        return changed
    users = [i for i, turn in enumerate(row.messages[:-1]) if turn.role == "user"]
    if not users:
        return changed
    turns, last = list(row.messages), users[-1]
    turns[last] = replace(turns[last], content=_exchanged(turns[last].content, text, other))
    return replace(changed, messages=tuple(turns))


def _exchanged(said: str, text: str, other: str) -> str:
    before, found, after = said.rpartition(text)
    if not found:
        raise DataError(
            "the text does not stand in what the model is asked.",
            fix="Give the words of the question as they are in the row.",
        )
    return f"{before}{other}{after}"


def _answered(row: Example, answer: str) -> Example:
    if not row.messages:
        return replace(row, target=answer)
    last = replace(row.messages[-1], content=answer, tool_calls=())
    return replace(row, target=answer, messages=(*row.messages[:-1], last))


def ask_text(
    model: Writer, row: Example, text: str, answer: str | None, *, threads: ThreadPoolExecutor
) -> tuple[Question, Example]:
    """Ask why a row is answered as it is.

    Args:
        model: Its members.
        row: The row.
        text: The part of it whose words are weighed.
        answer: The answer; None for what the model writes.
        threads: Where it computes.

    Returns:
        The question, and the row with its answer, of what the model reads.

    Raises:
        DataError: There is no word, or the answer does not fit.
    """
    wrote = model.predict([row], threads=threads, foretell=False).answers[0]
    row = _answered(row, wrote if answer is None else answer)
    model = last_only(model)
    base = model.base

    def fits(part: str) -> bool:
        asked = _shortest(with_text(row, text, part))
        if isinstance(model.template, Template):
            return len(model.template.render(asked).ids) <= base.max_length_tokens
        return len(model.template.asked(asked)) <= base.max_length_tokens

    reading = read(text, fits, from_end=base.halves is not None)

    def likely(texts: Sequence[str]) -> np.ndarray:
        return -model.foretell([with_text(row, text, own) for own in texts], threads=threads)[0]

    _, tokens = model.foretell([with_text(row, text, reading.text)], threads=threads)
    sure = likely([reading.text])[0] / max(tokens[0], 1)
    asked = Question(
        "text", reading, row.target, wrote, float(np.exp(sure)), likely, max(1, int(tokens[0]))
    )
    return asked, with_text(row, text, reading.text)


def last_only(model: Writer) -> Writer:
    """The model, of whose rows only the last answer counts."""
    if not isinstance(model.template, Template):
        return model
    template = replace(model.template, supervise="last")
    return replace(model, base=replace(model.base, template=template))


def _shortest(row: Example) -> Example:
    """The row without all exchanges that can be left out."""
    turns = row.messages
    users = [i for i, turn in enumerate(turns[:-1]) if turn.role == "user"]
    if not users:
        return row
    first = turns[:1] if turns[0].role == "system" else ()
    return replace(row, messages=(*first, *turns[users[-1] :]))


def text_gradients(
    model: Writer, row: Example, question: Question, *, progress: Progress
) -> tuple[np.ndarray, float, Path, str]:
    """The weights of words by gradients.

    Args:
        model: Its members.
        row: What the model reads, with the answer.
        question: About it.
        progress: Told after each number of points.

    Returns:
        A number for each word, what fell to none, the path, and what a weight of 1 is.

    Raises:
        ModelError: The model is an encoder-decoder.
    """
    if model.base.halves is not None:
        raise ModelError(
            "gradients are not taken through an encoder-decoder.", fix="Use --method occlusion."
        )
    template = cast("Template", last_only(model).template)
    values, rest, path = follow_tokens(
        model.stacks, _shortest(row) if question.reading.unread else row, question.reading,
        template, progress=progress,
    )  # fmt: skip
    return values, rest, path, WRITTEN


def follow_tokens(
    stacks: "Sequence[Stack]",
    row: Example,
    reading: Reading,
    template: Template,
    *,
    progress: Progress,
) -> tuple[np.ndarray, float, Path]:
    """Follow the path of the words of a question, behind which an answer is written.

    Args:
        stacks: The members.
        row: The question and its answer.
        reading: The words.
        template: How both are written.
        progress: Told after each number of points.

    Returns:
        A number for each word, what fell to none, and the path.

    Raises:
        ModelError: The template changes the words, so that they cannot be found.
    """
    rendered = template.render(row)
    told = template.tokenizer(rendered.text, add_special_tokens=False, return_offsets_mapping=True)
    covers = np.zeros((len(rendered.ids), 2), dtype=np.int64)
    offsets = np.array(told["offset_mapping"])[: len(covers)]
    covers[: len(offsets)] = offsets
    learnt = np.flatnonzero(rendered.supervised)
    text = reading.text.strip()
    place = rendered.text.rfind(text, 0, int(covers[learnt[0], 0]))
    if place < 0:
        raise ModelError(
            f"the chat template ({template.name}) changes the words that are asked.",
            fix="Use --method occlusion.",
        )
    covers = covers - place + reading.text.index(text)
    moving = (covers[:, 0] < len(reading.text)) & (covers[:, 1] > 0)
    moving &= (covers[:, 0] < covers[:, 1]) & ~rendered.supervised
    targets = torch.from_numpy(rendered.ids[learnt])
    before = torch.from_numpy(learnt - 1)

    def score(stack: "Stack", network: "nn.Module", rows: "Tensor") -> "Tensor":
        states = states_of(stack, network, rows)[:, before.to(rows.device)]
        head = network.get_submodule(stack.base.head)
        wanted = targets.to(rows.device).repeat(len(states))
        losses = token_losses(states.flatten(0, 1), head, wanted, cap=stack.base.cap)
        return -losses.view(stack.members, len(rows), -1).sum(dim=-1)

    path = integrate(stacks, rendered.ids, moving, score, progress=progress)
    values, rest = share(path.values, covers, reading.words)
    return values, rest, path
