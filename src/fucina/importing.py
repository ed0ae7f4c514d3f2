"""Make a recipe of another tool's configuration, and say what became of each of its keys."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fucina import export, run
from fucina.errors import RecipeError
from fucina.export import Adopted, Meaning
from fucina.recipe import parse
from fucina.settings_file import plain, read_yaml
from fucina.tasks.settings import refuse_idle

__all__ = ["Imported", "import_config"]

FILES = ("data.train", "data.validation", "chat.template")
NO_FILES = ("auto", "chatml")  # templates that are not files


@dataclass(frozen=True)
class Imported:
    """A recipe made of another tool's configuration.

    Attributes:
        title: The tool's name.
        recipe: The file that was written.
        mapped: Key of the tool to the settings it became.
        assumed: Defaults of the tool to the settings they became.
        guessed: What is near but not the same, a sentence each.
        left: Key to why it has no place.
    """

    title: str
    recipe: str
    mapped: Mapping[str, Mapping[str, Any]]
    assumed: Mapping[str, Mapping[str, Any]]
    guessed: tuple[str, ...]
    left: Mapping[str, str]


def import_config(path: Path, output: Path | None = None) -> Imported:
    """Write a recipe that says what a configuration of Axolotl or LLaMA-Factory says.

    Args:
        path: A YAML file of that tool.
        output: The recipe; by default recipe.yaml beside the configuration.

    Raises:
        RecipeError: The file cannot be read, is of no known tool, or names no rows; or there is a
            recipe already. Nothing is written then.
    """
    config = _config(path)
    written = output or path.parent / "recipe.yaml"
    if written.exists():
        raise RecipeError(f"{written} exists already.", fix="Give --output a new file.")
    tool = export.recognize(config)
    if tool.read is None:
        raise RecipeError(f"{tool.title} has no configuration to read.", fix="Give a YAML file.")
    adopted, refused = _allowed(tool.read(config, partial(_beside, path.parent)))
    settings = _settings(adopted)
    if "data.train" not in settings:
        raise RecipeError(
            f"{path} names no rows to learn from.", fix="Add its data set: datasets, or dataset."
        )
    guesses = [
        f"{key}: {meaning.guess}"
        for key, meaning in [*adopted.keys.items(), *adopted.assumed.items()]
        if meaning.guess
    ]
    guesses.insert(0, "task: chat, an assistant; another task has scores of its own")
    guesses += _located(settings, path.parent, written.resolve().parent)
    found = Imported(
        tool.title,
        str(written),
        {key: meaning.settings for key, meaning in adopted.keys.items() if meaning.settings},
        {key: meaning.settings for key, meaning in adopted.assumed.items() if meaning.settings},
        tuple(guesses),
        {key: meaning.left for key, meaning in adopted.keys.items() if meaning.left} | refused,
    )
    text = _as_recipe(found, settings, path)
    refuse_idle(parse(text, name=str(written))[0])
    run.write_text(written, text)
    return found


def _config(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path} cannot be read: {error}.", fix="Give a YAML file of Axolotl or LLaMA-Factory."
        ) from error
    tree = plain(read_yaml(text, str(path)))
    if not isinstance(tree, dict):
        raise RecipeError(f"{path} holds no settings.", fix="Give a file of keys and values.")
    return tree


def _beside(folder: Path, name: str) -> Any:
    """A JSON file, looked for as the configuration names it and beside the configuration."""
    for path in (folder / name, Path(name), folder / Path(name).name):
        if path.is_file():
            return run.read_json(path)
    return None


def _allowed(adopted: Adopted) -> tuple[Adopted, dict[str, str]]:
    """Leave out the values that a recipe cannot hold, with the reason of each."""
    refused: dict[str, str] = {}

    def kept(meanings: Mapping[str, Meaning]) -> dict[str, Meaning]:
        found = {}
        for key, meaning in meanings.items():
            try:
                _parsed(meaning.settings)
                found[key] = meaning
            except RecipeError as error:
                refused[key] = error.problem.partition(": ")[2]
        return found

    return Adopted(kept(adopted.keys), kept(adopted.assumed)), refused


def _parsed(settings: Mapping[str, Any]) -> None:
    whole = {"task": "chat", "name": "a", "data.train": "a", **settings}
    parse(export.as_yaml(_nested(whole)), name="value")


def _settings(adopted: Adopted) -> dict[str, Any]:
    """All settings together; what is written wins over what is assumed."""
    found: dict[str, Any] = {}
    for meaning in [*adopted.assumed.values(), *adopted.keys.values()]:
        found |= meaning.settings
    return found


def _located(settings: dict[str, Any], source: Path, home: Path) -> list[str]:
    """Name files as the recipe will find them; say which are not there."""
    missing = []
    for setting in FILES:
        name = settings.get(setting)
        if name is None or (setting == "chat.template" and name in NO_FILES):
            continue
        places = [source / name, Path(name), source / Path(name).name]
        there = next((place for place in places if place.is_file()), None)
        if there is None:
            missing.append(f"{setting}: there is no file {name}; a data set of a hub must be saved")
        elif not Path(name).is_absolute():
            settings[setting] = os.path.relpath(there.resolve(), home)
    return missing


def _as_recipe(found: Imported, settings: Mapping[str, Any], path: Path) -> str:
    """A recipe with a head that says what is not in it."""
    lines = [f"{found.title}'s {path.name} as a recipe of Fucina."]
    for title, sentences in (
        ("Guessed:", found.guessed),
        ("Left out:", [f"{key}: {why}" for key, why in found.left.items()]),
    ):
        lines += ["", title, *(f"  {sentence}" for sentence in sentences)] if sentences else []
    head = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    return head + export.as_yaml(_nested({"task": "chat", "name": _name(path), **settings}))


def _name(path: Path) -> str:
    """A name for runs: that of the file, or of its folder where the file's says nothing."""
    usual = path.stem in ("config", "train", "recipe", "sft")
    given = path.resolve().parent.name if usual else path.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", given).strip("-._")[:64] or "imported"


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for setting, value in settings.items():
        *sections, last = setting.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = json.loads(json.dumps(value))  # tuples become lists
    return tree
