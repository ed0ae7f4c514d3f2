"""Trained models of this program, as engines."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from fucina.engines.interface import Piece, Sampling
from fucina.engines.questions import refuse_signs, too_long
from fucina.engines.spelling import Spelling
from fucina.errors import DataError
from fucina.models.constrain import Held
from fucina.models.features import vectors_of
from fucina.models.sampling import sampler
from fucina.models.template import Template
from fucina.records import Example, Predictions, Spans

if TYPE_CHECKING:
    from torch import Tensor

    from fucina.models.base import Base
    from fucina.models.constrain import Choose
    from fucina.models.ensemble import Ensemble
    from fucina.models.marker import Marker
    from fucina.models.writer import Writer

__all__ = ["TorchLabeller", "TorchMarks", "TorchTalker", "embed"]


@dataclass(frozen=True)
class TorchLabeller:
    """Labels with the members of a run.

    Attributes:
        model: The members.
        threads: Where it computes.
        name: For people.
    """

    model: "Ensemble"
    threads: ThreadPoolExecutor
    name: str = "torch"

    @property
    def labels(self) -> tuple[str, ...]:
        """The c labels."""
        return self.model.labels

    def label(self, prompts: Sequence[str]) -> Predictions:
        """Probabilities of n texts."""
        return self.model.predict(prompts, threads=self.threads)


@dataclass(frozen=True)
class TorchMarks:
    """Marks with the members of a run.

    Attributes:
        model: The members.
        threads: Where it computes.
        name: For people.
    """

    model: "Marker"
    threads: ThreadPoolExecutor
    name: str = "torch"

    @property
    def types(self) -> tuple[str, ...]:
        """What a stretch can be."""
        return self.model.types

    def mark(self, prompts: Sequence[str]) -> Spans:
        """What it marks in n texts."""
        return self.model.predict([Example(prompt, "") for prompt in prompts], threads=self.threads)


@dataclass(frozen=True)
class TorchTalker:
    """Talks with the members of a run; each answer is written by the thread that asks for it.

    Attributes:
        model: The members.
        name: For people.
    """

    model: "Writer"
    name: str = "torch"

    @property
    def context(self) -> int:
        """Tokens of question and answer together, at most."""
        return self.model.base.positions

    def prompt_ids(self, example: Example) -> list[int]:
        """What the model reads to answer a row."""
        return self.model.asked(example).tolist()

    def talk(self, example: Example, sampling: Sampling) -> Iterator[Piece]:
        """Answer the last turn of a conversation.

        Raises:
            DataError: It is too long, or has signs that only the template may write.
        """
        self._refuse_signs(example)
        read = self.model.asked(example)
        cut = too_long(len(read), len(self.model.template.asked(example)), sampling)
        for piece in self._pieces(read, sampling, [example], strip=True):
            yield replace(piece, cut=cut) if piece.end else piece

    def complete(self, prompt: str, sampling: Sampling) -> Iterator[Piece]:
        """Go on with a text as it stands.

        Raises:
            DataError: It is empty, or longer than the model reads.
        """
        base = self.model.base
        ids = np.array(base.tokenizer(prompt)["input_ids"], dtype=np.int64)
        if not len(ids):
            raise DataError("the prompt is empty.", fix="Send a text to go on with.")
        if len(ids) >= base.positions:
            raise DataError(
                f"the prompt has {len(ids)} tokens; the model reads {base.positions} with the "
                "answer.",
                fix="Send a shorter prompt.",
            )
        return self._pieces(ids, sampling, [], strip=False)

    def _refuse_signs(self, example: Example) -> None:
        if isinstance(self.model.template, Template):
            refuse_signs(example, self.model.template)

    def _pieces(
        self, prompt: np.ndarray, sampling: Sampling, rows: list[Example], *, strip: bool
    ) -> Iterator[Piece]:
        tokenizer, most = self.model.base.tokenizer, sampling.max_tokens
        model = self.model if most is None else replace(self.model, max_new_tokens=most)
        spelling = Spelling(
            lambda ids: tokenizer.decode(ids, skip_special_tokens=True), sampling.stop, strip=strip
        )
        ended, read = False, len(prompt)
        for token, odds in model.steps(prompt, _sound(self._choose(sampling, rows))):
            ended = token == model.template.end_id
            if ended:
                break
            said = self._likely(token, odds, sampling) if sampling.logprobs else ((), ())
            yield Piece(spelling.push(token), 1, *said)
            if spelling.stopped:
                yield Piece("", end="stop", read=read)
                return
        # The token that ends an answer was written too.
        yield Piece(spelling.finish(), int(ended), end="stop" if ended else "length", read=read)

    @cached_property
    def _held(self) -> Held:
        """What holds answers to grammars that a request brings; it has none of its own."""
        return Held(lambda _: (), self.model.template)

    def _choose(self, sampling: Sampling, rows: list[Example]) -> "Choose":
        pick = sampler(sampling.temperature, sampling.top_p, sampling.seed)
        if sampling.grammar is not None:
            return self._held.keep([sampling.grammar], pick)
        if self.model.held is not None and rows:
            return self.model.held.begin(rows, pick)
        return pick

    def _likely(
        self, token: int, odds: "Tensor", sampling: Sampling
    ) -> tuple[tuple[tuple[str, float]], tuple[dict[str, float]]]:
        """How likely a token was, and others that were likely."""
        tokenizer = self.model.base.tokenizer
        own = (tokenizer.decode([token]), _log(float(odds[token])))
        best = torch.topk(odds, sampling.top_logprobs) if sampling.top_logprobs else None
        others = zip(best.indices.tolist(), best.values.tolist(), strict=True) if best else ()
        return (own,), ({tokenizer.decode([one]): _log(value) for one, value in others},)


def _sound(choose: "Choose") -> "Choose":
    """The same, unless odds are no numbers, of which one would be chosen as if it were likely."""

    def choose_sound(odds: "Tensor") -> "Tensor":
        if not torch.isfinite(odds).all():
            raise FloatingPointError("odds that are no numbers")
        return choose(odds)

    return choose_sound


def _log(odds: float) -> float:
    """A logarithm that JSON can hold."""
    return math.log(odds) if odds > 0 else -9999.0


def embed(base: "Base", threads: ThreadPoolExecutor, texts: Sequence[str]) -> np.ndarray:
    """Vectors of length 1 of n texts, n x d: the states of a base as it pools them."""
    vectors = vectors_of(base, threads, texts)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
