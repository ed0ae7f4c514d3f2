"""The three kinds of engine: one that labels, one that marks spans, one that talks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from fucina.records import Example, Grammar, Predictions, Spans

__all__ = ["Labeller", "Marks", "Piece", "Sampling", "Talker"]


class Labeller(Protocol):
    """Gives every text one of a few labels."""

    @property
    def name(self) -> str:
        """What computes, for people: `torch`, `onnx int8`."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The c labels."""

    def label(self, prompts: Sequence[str]) -> Predictions:
        """Probabilities of n texts, n x c, with the temperature and the threshold of the run."""


class Marks(Protocol):
    """Finds stretches in texts."""

    @property
    def name(self) -> str:
        """What computes, for people."""

    @property
    def types(self) -> tuple[str, ...]:
        """What a stretch can be."""

    def mark(self, prompts: Sequence[str]) -> Spans:
        """What it marks in n texts."""


@dataclass(frozen=True)
class Sampling:
    r"""How an answer is written.

    Attributes:
        max_tokens: Of the answer at most; None for what the model was trained with.
        temperature: 0 writes the most probable token; else odds are raised to 1 / temperature.
        top_p: The most probable tokens that hold this share of the odds are drawn from, 0 < p <= 1.
        seed: Of drawing; equal seeds draw alike. None draws anew each time.
        stop: Texts that end the answer and are no part of it.
        logprobs: Say how likely each token was.
        top_logprobs: And those of so many others, 0 to 20.
        grammar: What the answer is held to; None for nothing.
        whole: Refuse a question that is too long, with a DataError, where else it is cut.
    """

    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int = 0
    grammar: Grammar | None = None
    whole: bool = False


@dataclass(frozen=True)
class Piece:
    r"""Some of an answer, as it is written.

    Attributes:
        text: What comes next; may be empty where a token is half a character.
        tokens: How many tokens it is.
        logprobs: Natural logarithm of the probability of each of its tokens, with the token as
            text; empty where not asked for.
        top: For each of its tokens, others to the logarithm of their probability.
        end: Empty while more comes; `stop` where the model or a stop ended it, `length` where it
            was cut.
        read: Tokens of the prompt; told with the last piece.
        cut: The prompt was too long to be read whole; told with the last piece.
    """

    text: str
    tokens: int = 0
    logprobs: tuple[tuple[str, float], ...] = ()
    top: tuple[Mapping[str, float], ...] = ()
    end: Literal["", "stop", "length"] = ""
    read: int = 0
    cut: bool = False


class Talker(Protocol):
    """Answers conversations in words, piece by piece."""

    @property
    def name(self) -> str:
        """What computes, for people: `torch`, `llama.cpp Q8_0`."""

    @property
    def context(self) -> int:
        """Tokens of question and answer together, at most."""

    def prompt_ids(self, example: Example) -> list[int]:
        """What the model reads to answer a row, as numbers of tokens, cut as it cuts.

        Raises:
            DataError: It cannot be read, as an engine behind an address does not tell.
        """

    def talk(self, example: Example, sampling: Sampling) -> Iterator[Piece]:
        """Answer the last turn of a conversation; the pieces' texts together are the answer.

        To stop early, close the iterator.

        Args:
            example: The row; `target` and a last turn of the assistant are not looked at.
            sampling: How to write.
        """

    def complete(self, prompt: str, sampling: Sampling) -> Iterator[Piece]:
        """Go on with a text as it stands, without the template of conversations."""
