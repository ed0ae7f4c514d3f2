"""What one export is made with."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina.models.source import ALIASES
from fucina.records import Check, Progress

if TYPE_CHECKING:
    from fucina.config import Recipe, ShipConfig

__all__ = ["BASE", "Job", "Made"]

BASE = "base"  # the folder of a base that others cannot get by its name


@dataclass(frozen=True)
class Job:
    """One export.

    Attributes:
        folder: The run.
        recipe: Its recipe.
        to: The target.
        name: The folder that it will be in.
        config: How.
        original: The run that the price is told against: the same, or where the members were
            distilled that of the members.
        threads: Where models compute.
        progress: Shows steps.
        say: Shows messages.
    """

    folder: Path
    recipe: "Recipe"
    to: str
    name: str
    config: "ShipConfig"
    original: Path
    threads: ThreadPoolExecutor
    progress: Progress
    say: Callable[[str], None]

    @property
    def members(self) -> int:
        """How many members the run has."""
        return self.recipe.folds.count or 1

    @property
    def wanted(self) -> str:
        """Which of them are exported: a graph holds all of them, other files one."""
        if self.config.members:
            return self.config.members
        return "together" if self.to == "onnx" else "best"

    @property
    def base_of_adapters(self) -> str:
        """What adapters are loaded onto: the base beside them, if others cannot get it by name."""
        base = self.recipe.model.base
        return f"{self.name}/{BASE}" if base in ALIASES else base


@dataclass(frozen=True)
class Made:
    """What was written, and what shows that it is right.

    Attributes:
        checks: What was compared.
        answers: To the first rows of the test set: what a server of the files should give.
        usage: What the page needs to say how it is used; see `export.usage`.
        libraries: Versions of those that wrote and read it.
    """

    checks: tuple[Check, ...]
    answers: tuple[Any, ...]
    usage: Mapping[str, Any]
    libraries: Mapping[str, Any] = field(default_factory=dict)
