"""Why a text got its label: what is asked of models that weigh labels."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from fucina.errors import DataError, nearest
from fucina.explain.gradients import Path, integrate
from fucina.explain.ngrams import ngram_shares
from fucina.explain.question import TINY, Question, Reading, read
from fucina.explain.words import share
from fucina.explain.written import follow_tokens
from fucina.metrics import apply_temperature
from fucina.models.by_class import ByClass
from fucina.models.by_name import ByName
from fucina.models.ensemble import Ensemble, combine
from fucina.models.glass import states_of
from fucina.models.stack import pool
from fucina.records import Example, Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fucina.models.stack import Stack
    from fucina.models.template import Template

__all__ = ["ask_label", "label_gradients"]

ABOVE = "how far the label's score (logit) stands above the mean of all labels"
NAMED = "log-probability of the label's name, in nats"


def ask_label(
    model: Ensemble, text: str, label: str | None, *, threads: ThreadPoolExecutor
) -> Question:
    """Ask why a text has a label.

    Args:
        model: Its members.
        text: The text.
        label: The label; None for the one that it answers.
        threads: Where it computes.

    Raises:
        DataError: There is no such label, or no word.
    """
    if label is not None and label not in model.labels:
        raise DataError(f"there is no label {label!r}.", fix=nearest(label, model.labels))
    reading = read(text, _fits(model))
    told = model.predict([text], threads=threads)
    answered = told.answers[0]
    code = model.labels.index(answered if label is None else label)

    def likely(texts: Sequence[str]) -> np.ndarray:
        each = model.member_probabilities(texts, threads=threads)
        odds = combine(each, "average")
        if model.temperature != 1.0:
            odds = apply_temperature(odds, model.temperature)
        return np.log(np.maximum(odds[:, code], TINY))

    return Question(
        "label", reading, model.labels[code], answered, float(told.probabilities[0, code]), likely,
        notes=tuple(_notes(model, reading)),
    )  # fmt: skip


def _fits(model: Ensemble) -> Callable[[str], bool]:
    """Whether a text is read whole."""
    base, weigher = model.base, model.weigher
    if isinstance(weigher, ByName):
        most = base.max_length_tokens - weigher.names.longest
        return lambda text: len(weigher.template.asked(Example(text, ""))) <= most
    return lambda text: len(base.tokenizer(text)["input_ids"]) <= base.max_length_tokens


def _notes(model: Ensemble, reading: Reading) -> list[str]:
    notes = []
    if model.how == "vote" and model.members > 1:
        notes.append("The members vote; explained is the average of their probabilities.")
    lexical = isinstance(model.weigher, ByClass) and model.weigher.lexicon is not None
    if reading.unread and lexical:
        notes.append(
            "The n-grams of the words behind the cut count too, and are not looked at here."
        )
    return notes


def label_gradients(
    model: Ensemble, question: Question, *, progress: Progress
) -> tuple[np.ndarray, float, Path, str]:
    """The weights of words by gradients, with what the n-grams say added exactly.

    Returns:
        A number for each word, what fell to none, the path, and what a weight of 1 is.
    """
    reading, code = question.reading, model.labels.index(question.answer)
    if isinstance(model.weigher, ByName):
        names, template = model.weigher.names, model.weigher.template
        values, rest, path = follow_tokens(
            model.weigher.stacks, Example(reading.text, names.labels[code]), reading,
            cast("Template", template), progress=progress,
        )  # fmt: skip
        return values, rest, path, NAMED
    weigher = cast("ByClass", model.weigher)
    found = model.base.tokenizer(reading.text, return_offsets_mapping=True)
    ids, covers = np.array(found["input_ids"]), np.array(found["offset_mapping"]).reshape(-1, 2)
    slope = centered(len(model.labels), code)

    def score(stack: "Stack", network: "nn.Module", rows: "Tensor") -> "Tensor":
        states = states_of(stack, network, rows).float()
        mask = torch.ones(states.shape[:2], dtype=torch.long, device=states.device)
        vectors = pool(states, mask, model.base.pooling).view(stack.members, len(rows), -1)
        logits = torch.baddbmm(stack.bias, vectors, stack.head)
        return logits @ torch.from_numpy(slope).to(logits)

    moving = covers[:, 0] < covers[:, 1]
    path = integrate(weigher.stacks, ids, moving, score, progress=progress)
    values, rest = share(path.values, covers, reading.words)
    if weigher.lexicon is not None:
        signs = ngram_shares(reading.text, weigher.lexicon, weigher.lexical, slope)
        places = [(place, place + 1) for place in range(len(signs))]
        own, lost = share(signs, places, reading.words)
        values, rest = values + own, rest + lost
    return values, rest, path, ABOVE


def centered(count: int, code: int) -> np.ndarray:
    """How the distance of a score above the mean of all depends on each of them.

    Example:
        >>> centered(4, 1).tolist()
        [-0.25, 0.75, -0.25, -0.25]
    """
    return np.eye(count)[code] - 1 / count
