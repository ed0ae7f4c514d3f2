"""The components of an assistant: what their files say, and where each belongs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import advise
from fucina.errors import DataError
from fucina.records import Component
from fucina.retrieval import find_sources, formats

if TYPE_CHECKING:
    from fucina.config import AdviseConfig, Recipe

__all__ = ["Components", "read_components"]

LETTERS = 3  # a token, as Italian has about, where there is no tokenizer of a model that writes


@dataclass(frozen=True)
class Components:
    """What an assistant has to know.

    Attributes:
        matrix: Where each belongs.
        texts: Name to what it says.
        paths: Name to its files and folders.
        stable: Whether who the assistant is has stopped to change, and a sentence on that.
    """

    matrix: tuple[Component, ...]
    texts: Mapping[str, str]
    paths: Mapping[str, tuple[Path, ...]]
    stable: tuple[bool | None, str]

    def text(self, approaches: Collection[str]) -> str:
        """What components of these approaches say, one after the other."""
        return "\n\n".join(
            self.texts[part.name] for part in self.matrix if part.approach in approaches
        )

    @property
    def documents(self) -> tuple[Path, ...]:
        """What is looked up."""
        looked_up = [part.name for part in self.matrix if part.approach == "retrieval"]
        return tuple(path for name in looked_up for path in self.paths[name])


def read_components(recipe: "Recipe", config: "AdviseConfig", root: Path) -> Components:
    """Read the files of `advise.components` and say where each belongs.

    Args:
        recipe: Its base counts tokens where it writes.
        config: Names them.
        root: The folder that paths are relative to.

    Raises:
        DataError: A file is missing or cannot be read.
    """
    texts, paths = {}, {}
    for one in config.components:
        paths[one.name] = tuple(root / file for file in one.files)
        texts[one.name] = "\n\n".join(
            text for path in paths[one.name] for text in _texts(path, one.name)
        )
    versions = [_text(root / name, "advise.versions") for name in config.versions]
    stable = advise.steady(versions)
    tokens = [tokens_of(recipe, texts[one.name]) for one in config.components]
    matrix = advise.decide(config.components, tokens, stable=stable[0])
    return Components(tuple(matrix), texts, paths, stable)


def tokens_of(recipe: "Recipe", text: str) -> int:
    """How many tokens a text has for the base of a recipe, or by a rule of thumb."""
    from fucina.models import source
    from fucina.tasks.settings import learnt_as

    if learnt_as(recipe) != "text":
        return len(text) // LETTERS
    name = recipe.model.base
    tokenizer = source.read_tokenizer(name, source.locate(name))
    return len(tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"])


def _texts(path: Path, component: str) -> Sequence[str]:
    """What a file says, or those of a folder."""
    if not path.exists():
        raise DataError(
            f"advise.components: {path} of {component} is not there.",
            fix="Name files or folders relative to the recipe.",
        )
    if path.is_file() and path.suffix.lower() not in formats.READERS:
        return [_text(path, f"advise.components: {component}")]
    found = []
    for place in find_sources([path]):
        document = formats.read(place.path, most_mib=64)
        said = [
            "\n".join(filter(None, (" › ".join(part.headings), part.text.strip())))
            for part in document.sections
        ]
        found.append("\n\n".join(said))
    return found


def _text(path: Path, setting: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{setting}: {path} cannot be read ({error}).", fix="Give a text file in UTF-8."
        ) from error
