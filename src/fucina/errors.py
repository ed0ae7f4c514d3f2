"""Everything that can go wrong, in one tree: each error says what happened and what to do.

FucinaError              the root; catch this one
├── RecipeError          a setting that is unknown, out of range or contradicts another
├── DataError            a file or row that cannot be used as it is
├── ModelError           a base model, tokenizer or adapter that cannot be had or does not fit
├── TrainingError        a run that cannot go on (NaN loss, nothing to train)
├── RunError             a run folder that is missing, broken or belongs to something else
├── EndpointError        a server that refuses, or cannot be reached
├── ResourceError        no disk, no memory
└── MissingExtraError    an optional dependency that is not installed
"""

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "DataError",
    "EndpointError",
    "FucinaError",
    "MissingExtraError",
    "ModelError",
    "RecipeError",
    "ResourceError",
    "RunError",
    "TrainingError",
    "nearest",
]


class FucinaError(Exception):
    """A problem the user can mend: the command line prints it in two lines and exits with 2.

    Args:
        problem: What happened, with the offending value.
        fix: What to do about it, as an order.

    Example:
        >>> print(FucinaError("no file data.csv.", fix="Check data.train in the recipe."))
        no file data.csv. Fix: Check data.train in the recipe.
    """

    def __init__(self, problem: str, *, fix: str) -> None:
        super().__init__(problem, fix)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem} Fix: {self.fix}"


class RecipeError(FucinaError):
    """A setting is unknown, out of range or contradicts another."""


class DataError(FucinaError):
    """A file or row cannot be used as it is."""


class ModelError(FucinaError):
    """A base model, tokenizer or adapter cannot be had, or does not fit."""


class TrainingError(FucinaError):
    """A run cannot go on."""


class RunError(FucinaError):
    """A run folder is missing, broken or belongs to something else."""


class EndpointError(FucinaError):
    """A server refuses what was asked, or cannot be reached."""


class ResourceError(FucinaError):
    """The machine has too little disk or memory for what was asked."""


class MissingExtraError(FucinaError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            f"{package} is not installed.", fix=f"Install it: pip install 'fucina[{extra}]'"
        )


def nearest(name: str, known: "Iterable[str]") -> str:
    """Say which known name was probably meant, or list them all.

    Example:
        >>> nearest("learning_rat", ["learning_rate", "epochs"])
        "did you mean 'learning_rate'?"
        >>> nearest("zzz", ["a", "b"])
        'known: a, b.'
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}."
