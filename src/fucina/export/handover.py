"""What is handed over, what becomes of it, and what comes back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["Adopted", "Bundle", "Handover", "Look", "Meaning", "Row", "Target"]

Row = Mapping[str, Any]
Look = Callable[[str], Any]


@dataclass(frozen=True)
class Handover:
    """A recipe and its rows, divided as Fucina divides them.

    Attributes:
        recipe: The settings.
        train: Rows to learn from, as chat messages with the system's turn.
        validation: Rows to choose the best epoch on.
        test: Rows to judge on; never to be trained on.
        template: The source of `chat.template`, where that is a file.
        layers: How many layers the base has; None where its folder is not at hand.
    """

    recipe: "Recipe"
    train: Sequence[Row]
    validation: Sequence[Row]
    test: Sequence[Row]
    template: str | None = None
    layers: int | None = None

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        batch = self.recipe.training.batch_size * self.recipe.training.accumulation
        return max(1, -(-len(self.train) // batch))


@dataclass(frozen=True)
class Bundle:
    """What is written for another tool.

    Attributes:
        main: The name of the file that the tool is started with.
        files: Name to content; `main` is among them.
        command: Starts the training, in the folder of the files.
        lost: Settings without an equivalent, a sentence each; `main` says them too.
    """

    main: str
    files: Mapping[str, str]
    command: str
    lost: tuple[str, ...]


@dataclass(frozen=True)
class Meaning:
    """What one key of another tool's file means here.

    Attributes:
        settings: Setting to value; empty where it has no place.
        guess: Why the settings are only near; empty where they mean the same.
        left: Why it has no place here; empty where it has one.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    guess: str = ""
    left: str = ""


@dataclass(frozen=True)
class Adopted:
    """A file of another tool, read.

    Attributes:
        keys: Its keys to what they mean, in the order of the file.
        assumed: Keys that it leaves out to what the tool's default means.
    """

    keys: Mapping[str, Meaning]
    assumed: Mapping[str, Meaning]


@dataclass(frozen=True)
class Target:
    """Another tool.

    Attributes:
        title: As its makers write it.
        summary: What is written, in one line.
        write: Recipe and rows to its files.
        read: Its configuration, and a function that reads a JSON file beside it (None where there
            is none), to what it means here; None where it has no configuration to read.
        marks: Keys that its configuration always has, by which it is recognized.
    """

    title: str
    summary: str
    write: Callable[[Handover], Bundle]
    read: Callable[[Mapping[str, Any], Look], Adopted] | None = None
    marks: frozenset[str] = frozenset()
