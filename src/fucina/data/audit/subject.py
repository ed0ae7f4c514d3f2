"""What the checks look at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fucina.records import Dataset, Predictions

if TYPE_CHECKING:
    from fucina.models.template import Template

__all__ = ["SHOWN", "Subject", "shown"]

SHOWN = 5  # rows named in a message; the finding itself holds them all


@dataclass(frozen=True)
class Subject:
    """The rows of a recipe with what the checks need to know of it.

    Attributes:
        train: The rows to learn from.
        validation: The rows to choose the best epoch on, when they come from their own file.
        test: The rows to judge on, when they come from their own file.
        answer: The kind of answer of the task.
        folds: K, or 0.
        allow_duplicates: Rows of train may be in test.
        max_length_tokens: Longer texts are cut.
        count_tokens: Gives the token counts of n texts; None where no tokenizer is at hand.
        out_of_fold: Answers of a k-fold run on these rows; None where there is none.
        template: How the base model wants conversations; None where no tokenizer is at hand.
    """

    train: Dataset
    validation: Dataset | None = None
    test: Dataset | None = None
    answer: Literal["label", "text"] = "label"
    folds: int = 0
    allow_duplicates: bool = False
    max_length_tokens: int = 0
    count_tokens: Callable[[Sequence[str]], np.ndarray] | None = None
    out_of_fold: Predictions | None = None
    template: "Template | None" = None

    @property
    def sides(self) -> list[Dataset]:
        """Train, then validation and test where they have a file."""
        return [rows for rows in (self.train, self.validation, self.test) if rows is not None]


def shown(names: Sequence[str], separator: str = ", ") -> str:
    """The first few of many, and how many more there are.

    Example:
        >>> shown(["a", "b", "c", "d", "e", "f", "g"])
        'a, b, c, d, e and 2 more'
    """
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return separator.join(names[:SHOWN]) + more
