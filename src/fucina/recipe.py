"""Read a recipe: YAML, presets, overrides and the names other tools use, with exact errors."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError, create_model

from fucina.config import ALIASES, Recipe, task_sections
from fucina.errors import RecipeError, nearest
from fucina.settings_file import explain, known, lines, plain, put, read_yaml, write_yaml

__all__ = ["PRESETS", "dump", "load", "parse", "recipe_of", "schema"]

# What a preset changes; what the recipe or the command line says wins.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {"adapter": {"layers": 1}, "training": {"epochs": 2}},
    "balanced": {},
    "quality": {
        "adapter": {"layers": "all"},
        "training": {"epochs": 6},
        "folds": {"count": 5},
    },
}

# Values of other tools that are called otherwise here.
OPTIMIZERS = {"adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw_bnb_8bit": "adamw_8bit"}
VALUES: dict[str, dict[Any, str]] = {
    "load_in_4bit": {True: "nf4", False: "none"},
    "optim": OPTIMIZERS,
    "optimizer": OPTIMIZERS,
    "quantization_bit": {4: "nf4"},
    "use_unsloth": {True: "unsloth", False: "fucina"},
}


def load(path: Path, overrides: Sequence[str] = ()) -> tuple[Recipe, list[str]]:
    """Read a recipe file.

    Args:
        path: A YAML file.
        overrides: `section.key=value`, as on the command line; they win over the file.

    Returns:
        The recipe, and one sentence for every name of another tool that was mapped.

    Raises:
        RecipeError: The file is missing, is not YAML, or holds a wrong key or value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except IsADirectoryError as error:
        raise RecipeError(f"{path} is a folder.", fix="Name the YAML file in it.") from error
    except FileNotFoundError as error:
        near = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        raise RecipeError(
            f"no recipe {path}.",
            fix=f"Use {nearest(path.name, near)}" if near else "Make one: fucina new DIR.",
        ) from error
    except (UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path} cannot be read: {error}.", fix="Save it as UTF-8.") from error
    return parse(text, overrides, name=str(path))


def parse(
    text: str, overrides: Sequence[str] = (), *, name: str = "recipe"
) -> tuple[Recipe, list[str]]:
    """Read a recipe from text; see `load`.

    Example:
        >>> recipe, mapped = parse(
        ...     "{task: classification, name: a, data: {train: a.csv}, lora_r: 8}",
        ...     ["training.learning_rate=1e-4"],
        ... )
        >>> recipe.adapter.rank, recipe.training.learning_rate, mapped
        (8, 0.0001, ['lora_r is read as adapter.rank'])
    """
    tree = read_yaml(text, name)
    if not isinstance(tree, Mapping):
        raise RecipeError(
            f"{name} holds no settings.", fix="Start with task:, name: and data: (fucina new DIR)."
        )
    places = lines(tree)
    given = plain(tree)
    kind = recipe_of(str(given.get("task")))
    settings, mapped = _canonical(given, kind)
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            raise RecipeError(
                f"{override!r} is not an override.", fix="Write section.key=value, without spaces."
            )
        content = plain(read_yaml(value, override))
        section, _, last = key.rpartition(".")
        if last in ALIASES and last not in known(Recipe, [section] if section else []):
            content = _alias(key, last, content, mapped)
            key = ALIASES[last]
        put(settings, key.split("."), content, override)
    if any(section.brings_rows for section in task_sections(str(given.get("task"))).values()):
        settings = _merge({"data": {"train": ""}}, settings)
    preset = settings.get("preset", "balanced")
    if preset in PRESETS:
        settings = _merge(PRESETS[preset], settings)
    try:
        return kind.model_validate(settings), mapped
    except ValidationError as error:
        raise explain(error, places, name, kind) from error


def dump(recipe: Recipe) -> str:
    """Write a recipe with every setting, as YAML that `load` reads back.

    Example:
        >>> recipe, _ = parse("{task: classification, name: a, data: {train: à.csv}}")
        >>> parse(dump(recipe))[0] == recipe
        True
    """
    return write_yaml(recipe)


def schema() -> dict[str, Any]:
    """The JSON schema of a recipe, for editors."""
    return recipe_of(None).model_json_schema()


@cache
def recipe_of(task: str | None) -> type[Recipe]:
    """The recipe with the section of a task, where that has one; of None with those of all tasks.

    Example:
        >>> recipe, _ = parse("{task: text_to_sql, name: a, data: {train: a}}")
        >>> recipe.text_to_sql.sample_rows
        3
    """
    sections = task_sections(task)
    if not sections:
        return Recipe
    own: dict[str, Any] = {name: (kind, kind()) for name, kind in sections.items()}
    return create_model("Recipe", __base__=Recipe, __doc__=Recipe.__doc__, **own)


def _canonical(settings: dict[str, Any], kind: type[Recipe]) -> tuple[dict[str, Any], list[str]]:
    """Move names of other tools to where they live here."""
    result: dict[str, Any] = {}
    mapped: list[str] = []
    for key, value in settings.items():
        if isinstance(value, dict) and key in kind.model_fields:
            own = known(kind, [key])
            for inner, content in value.items():
                if inner in own or inner not in ALIASES:
                    put(result, [key, inner], content, key)
                else:
                    content = _alias(f"{key}.{inner}", inner, content, mapped)
                    put(result, ALIASES[inner].split("."), content, inner)
            result.setdefault(key, {})
        elif key in ALIASES:
            value = _alias(key, key, value, mapped)
            put(result, ALIASES[key].split("."), value, key)
        else:
            result[key] = value
    return result, mapped


def _alias(given: str, name: str, value: Any, mapped: list[str]) -> Any:
    """Note that a name of another tool was read as ours; returns its value as it is called here."""
    ours = VALUES.get(name, {}).get(value, value) if isinstance(value, str | int) else value
    said = "" if ours is value else f"={ours}"
    mapped.append(f"{given} is read as {ALIASES[name]}{said}")
    return ours


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            merged[key] = {**below[key], **above[key]}
    return merged
