"""What the server is told of a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fucina.engines import Labeller, Marks, Talker
from fucina.records import Example
from fucina.rules import Rules

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BusyError", "Failure", "Kind", "Served"]

Kind = Literal["label", "spans", "text"]


@dataclass(frozen=True)
class Served:
    """A model that is served.

    Attributes:
        name: What requests call it.
        kind: Of its answers, which says what `engine` is.
        engine: Labels, marks or talks.
        created: When it was trained, in seconds of Unix.
        facts: For people: task, base, run.
        row: A text and further fields to a row of its task; raises DataError.
        threshold: Least confidence of a label.
        rules: Answer where the model does not.
        elsewhere: A conversation to the answer of another model; None for no such.
        embed: n texts to vectors of length 1, n x d; None where it has none.
        explain: A text and options to which of its words decided, as JSON has it.
        lanes: Batches of rows that its engine computes at once.
    """

    name: str
    kind: Kind
    engine: Labeller | Marks | Talker
    created: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    row: Callable[[str, Mapping[str, str]], Example] = lambda text, _: Example(text, "")
    threshold: float = 0.0
    rules: Rules | None = None
    elsewhere: Callable[[Example], str] | None = None
    embed: "Callable[[Sequence[str]], np.ndarray] | None" = None
    explain: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] | None = None
    lanes: int = 1


@dataclass(frozen=True)
class Failure:
    """A model did not answer.

    Attributes:
        reason: `timeout`, `error`, or `nan` where it computed what is no number.
        note: For people; nothing of what was asked.
    """

    reason: Literal["timeout", "error", "nan"]
    note: str = ""


class BusyError(Exception):
    """More is waiting than may; the request should come again later."""

    def __init__(self, retry_s: int) -> None:
        super().__init__(f"come again in {retry_s} s")
        self.retry_s = retry_s
