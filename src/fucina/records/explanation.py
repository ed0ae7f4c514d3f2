"""Which words decided an answer, and the proof that they did."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

__all__ = ["Curve", "Explanation", "Faithfulness", "Neighbor", "Weight"]

LEAST_GAIN = 0.02  # of how likely an answer is; less is no picture of anything
MOST_BETTER = 0.1  # of the drawn orders
Method = Literal["occlusion", "gradients"]


@dataclass(frozen=True)
class Weight:
    """A word of a text and what it did for the answer.

    Attributes:
        start: Its first character, counted from 0.
        end: The character behind its last.
        value: Above 0 it speaks for the answer, below against; None where the model did not read
            it.
    """

    start: int
    end: int
    value: float | None


@dataclass(frozen=True)
class Curve:
    """How likely the answer is while words are taken away, or given.

    Attributes:
        words: How many are away, or there, at each point; from none to all.
        own: How likely the answer is there, in 0..1, where the heaviest words come first.
        random: The same where their order is drawn, the mean of several draws.
    """

    words: tuple[int, ...]
    own: tuple[float, ...]
    random: tuple[float, ...]

    @property
    def area(self) -> float:
        """Under the curve of the heaviest words first, in 0..1.

        Example:
            >>> Curve((0, 1, 2), (1.0, 0.2, 0.0), (1.0, 0.6, 0.0)).area
            0.35
        """
        return _area(self.words, self.own)

    @property
    def random_area(self) -> float:
        """Under the curve of drawn orders."""
        return _area(self.words, self.random)


def _area(places: Sequence[int], heights: Sequence[float]) -> float:
    pairs = list(zip(places, heights, strict=True))
    whole = sum((right - left) * (low + high) / 2 for (left, low), (right, high) in pairwise(pairs))
    return whole / max(places[-1], 1)


@dataclass(frozen=True)
class Faithfulness:
    """Whether words that are said to weigh much matter more to the model than any others.

    Attributes:
        deletion: Words are taken away; the less area the better.
        insertion: Words are given to an empty text; the more area the better.
        orders: How many orders were drawn.
        better: Share of them whose areas together are better.
    """

    deletion: Curve
    insertion: Curve
    orders: int
    better: float

    @property
    def gain(self) -> float:
        """By how much both areas together are better than those of drawn orders."""
        deleted = self.deletion.random_area - self.deletion.area
        return deleted + self.insertion.area - self.insertion.random_area

    @property
    def holds(self) -> bool:
        """Whether the weights say more than chance: few drawn orders are better, and it shows."""
        return self.gain > LEAST_GAIN and self.better <= MOST_BETTER


@dataclass(frozen=True)
class Neighbor:
    """A training row that resembles a text.

    Attributes:
        likeness: Cosine of both texts as the base model sees them, before any training.
        text: Of the row.
        answer: Its true answer.
    """

    likeness: float
    text: str
    answer: str


@dataclass(frozen=True)
class Explanation:
    """Why a model gave an answer to a text.

    Attributes:
        text: What was asked.
        kind: `label`, `spans` or `text`.
        answer: What is explained: a label, the type of a span, or a text.
        answered: What the model itself answers.
        confidence: How sure the model is of `answer`, in 0..1; of a text that of its tokens, the
            geometric mean.
        words: All of the text, in order.
        method: How they were weighed.
        unit: What a weight of 1 is.
        members: Which members of the run are explained, for people: `all 4 members`.
        span: The words explained, where the answer is a span.
        steps: Points of the path that gradients were taken at; 0 for others.
        delta: What the weights miss of what they should add up to; None where they need not.
        total: What they should add up to.
        rest: What fell to no word, such as to spaces.
        converged: Whether `delta` is small.
        faithfulness: None where it was not asked for.
        neighbors: The most alike first.
        notes: What a reader must know, a sentence each.
    """

    text: str
    kind: Literal["label", "spans", "text"]
    answer: str
    answered: str
    confidence: float
    words: tuple[Weight, ...]
    method: Method
    unit: str
    members: str
    span: tuple[int, int] | None = None
    steps: int = 0
    delta: float | None = None
    total: float | None = None
    rest: float = 0.0
    converged: bool = True
    faithfulness: Faithfulness | None = None
    neighbors: tuple[Neighbor, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def heaviest(self) -> tuple[Weight, ...]:
        """The words that have a weight, the heaviest first, whichever way they pull."""
        weighed = [word for word in self.words if word.value is not None]
        return tuple(sorted(weighed, key=lambda word: -abs(word.value or 0.0)))

    def word(self, weight: Weight) -> str:
        """The word as it is written."""
        return self.text[weight.start : weight.end]

    def facts(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        found = asdict(self)
        found["words"] = [
            {"word": self.word(own), "start": own.start, "end": own.end, "weight": own.value}
            for own in self.words
        ]
        if self.span is not None:
            begin, end = self.span
            found["span"] = {"start": begin, "end": end, "text": self.text[begin:end]}
        if self.faithfulness is not None:
            for name in ("deletion", "insertion"):
                curve: Curve = getattr(self.faithfulness, name)
                found["faithfulness"][name] |= {
                    "area": curve.area,
                    "random_area": curve.random_area,
                }
            found["faithfulness"] |= {
                "gain": self.faithfulness.gain,
                "holds": self.faithfulness.holds,
            }
        return found
