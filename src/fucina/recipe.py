"""Read a recipe: YAML, presets, overrides and the names other tools use, with exact errors."""

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML, YAMLError

from fucina.config import Recipe, section
from fucina.errors import RecipeError, nearest

__all__ = ["ALIASES", "PRESETS", "dump", "load", "parse", "schema"]

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

# Names of Hugging Face, PEFT, Axolotl and LLaMA-Factory, and where they live here.
ALIASES = {
    "base_model": "model.base",
    "cutoff_len": "model.max_length_tokens",
    "early_stopping_patience": "stopping.patience",
    "gradient_accumulation_steps": "training.accumulation",
    "label_column": "data.label",
    "lora_alpha": "adapter.alpha",
    "lora_dropout": "adapter.dropout",
    "lora_r": "adapter.rank",
    "lora_rank": "adapter.rank",
    "lora_target": "adapter.target_modules",
    "lora_target_modules": "adapter.target_modules",
    "lr_scheduler_type": "training.schedule",
    "max_grad_norm": "training.max_gradient_norm",
    "max_length": "model.max_length_tokens",
    "max_seq_length": "model.max_length_tokens",
    "micro_batch_size": "training.batch_size",
    "model_name_or_path": "model.base",
    "num_epochs": "training.epochs",
    "num_train_epochs": "training.epochs",
    "output_dir": "output",
    "per_device_train_batch_size": "training.batch_size",
    "r": "adapter.rank",
    "sequence_len": "model.max_length_tokens",
    "text_column": "data.text",
    "warmup_ratio": "training.warmup",
    "warmup_steps": "training.warmup",
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
    tree = _yaml(text, name)
    if not isinstance(tree, Mapping):
        raise RecipeError(
            f"{name} holds no settings.", fix="Start with task:, name: and data: (fucina new DIR)."
        )
    lines = _lines(tree)
    settings, mapped = _canonical(_plain(tree))
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            raise RecipeError(
                f"{override!r} is not an override.", fix="Write section.key=value, without spaces."
            )
        if key in ALIASES:
            mapped.append(f"{key} is read as {ALIASES[key]}")
            key = ALIASES[key]
        _put(settings, key.split("."), _plain(_yaml(value, override)), override)
    preset = settings.get("preset", "balanced")
    if preset in PRESETS:
        settings = _merge(PRESETS[preset], settings)
    try:
        return Recipe.model_validate(settings), mapped
    except ValidationError as error:
        raise _explain(error, lines, name) from error


def dump(recipe: Recipe) -> str:
    """Write a recipe with every setting, as YAML that `load` reads back.

    Example:
        >>> recipe, _ = parse("{task: classification, name: a, data: {train: à.csv}}")
        >>> parse(dump(recipe))[0] == recipe
        True
    """
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    yaml.dump(recipe.model_dump(mode="json"), stream)
    return stream.getvalue()


def schema() -> dict[str, Any]:
    """The JSON schema of a recipe, for editors."""
    return Recipe.model_json_schema()


def _yaml(text: str, name: str) -> Any:
    try:
        return YAML(typ="rt").load(text)
    except YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise RecipeError(
            f"{name}{line} is not YAML: {problem}.",
            fix="Check indentation, colons and quotes on that line.",
        ) from error


def _plain(tree: Any) -> Any:
    """Drop the round-trip types of ruamel, which pydantic need not know."""
    if isinstance(tree, Mapping):
        return {str(key): _plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_plain(value) for value in tree]
    for kind in (bool, int, float, str):
        if isinstance(tree, kind):
            return kind(tree)
    return tree


def _lines(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """Where each key and each item of a list stands in the file, counted from 1."""
    found: dict[tuple[str, ...], int] = {}
    where = tree.lc  # ruamel keeps line and column of every key and item here
    if isinstance(tree, Mapping):
        inner = [(str(key), value, where.key(key)) for key, value in tree.items()]
    else:
        inner = [(str(place), value, where.item(place)) for place, value in enumerate(tree)]
    for key, value, (line, _) in inner:
        found[(*path, key)] = line + 1
        if isinstance(value, Mapping | list):
            found |= _lines(value, (*path, key))
    return found


def _canonical(settings: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Move names of other tools to where they live here."""
    result: dict[str, Any] = {}
    mapped: list[str] = []
    for key, value in settings.items():
        if isinstance(value, dict) and key in Recipe.model_fields:
            own = _known([key])
            for inner, content in value.items():
                if inner in own or inner not in ALIASES:
                    _put(result, [key, inner], content, key)
                else:
                    _put(result, ALIASES[inner].split("."), content, inner)
                    mapped.append(f"{key}.{inner} is read as {ALIASES[inner]}")
            result.setdefault(key, {})
        elif key in ALIASES:
            _put(result, ALIASES[key].split("."), value, key)
            mapped.append(f"{key} is read as {ALIASES[key]}")
        else:
            result[key] = value
    return result, mapped


def _known(path: Sequence[str]) -> Mapping[str, FieldInfo]:
    """The settings that can be written at a place of the recipe; none where there is no section."""
    kind: type[BaseModel] | None = Recipe
    for part in path:
        if kind is not None and not part.isdigit():
            field = kind.model_fields.get(part)
            kind = section(field.annotation) if field else None
    return kind.model_fields if kind else {}


def _put(tree: dict[str, Any], path: Sequence[str], value: Any, given: str) -> None:
    *parents, last = path
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise RecipeError(f"{given}: {parent} is not a section.", fix="Use section.key=value.")
    tree[last] = value


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            merged[key] = {**below[key], **above[key]}
    return merged


INNER = (
    "literal[",
    "constrained-",
    "union[",
    "tuple[",
    "dict[",
    "[key]",
)  # parts of a place that pydantic adds


def _explain(
    error: ValidationError, lines: Mapping[tuple[str, ...], int], name: str
) -> RecipeError:
    """One sentence for every wrong setting, with its line and the nearest known name."""
    problems: list[str] = []
    fixes: list[str] = []
    for wrong in error.errors():
        path = tuple(str(part) for part in wrong["loc"])
        line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 0)
        key = _shown(wrong["loc"])
        where = f" (line {line})" if line else ""
        if wrong["type"] == "extra_forbidden":
            problems.append(f"unknown setting {key}{where}")
            fixes.append(f"{key}: {nearest(path[-1], _known(path[:-1]) or Recipe.model_fields)}")
        elif wrong["type"] in {"model_type", "dict_type"} and _known(path):
            problems.append(f"{key}{where} is a section, not {wrong['input']!r}")
            fixes.append(f"{key}: write settings below it: {', '.join(sorted(_known(path)))}")
        elif wrong["type"] == "missing":
            problems.append(f"{key} is missing{where}")
            fixes.append(f"add {key}")
        elif wrong["type"] == "value_error":
            problems.append(f"{key}{where}: {wrong['ctx']['error']}")
            fixes.append(f"{key}: {_description(path)}")
        else:
            message = wrong["msg"].lower().replace("tuple", "list")  # YAML has lists
            problems.append(f"{key}{where}: {message}, not {wrong['input']!r}")
            fixes.append(f"{key}: {_description(path)}")
    return RecipeError(
        f"{name}: {'; '.join(dict.fromkeys(problems))}.", fix=f"{'; '.join(dict.fromkeys(fixes))}"
    )


def _shown(place: Sequence[str | int]) -> str:
    """A place of the recipe as people write it; items of lists are counted from 1."""
    parts = [str(part + 1) if isinstance(part, int) else part for part in place]
    return ".".join(part for part in parts if not part.startswith(INNER))


def _description(path: Sequence[str]) -> str:
    for end in range(len(path), 0, -1):  # the innermost setting says most about a wrong value
        field = _known(path[: end - 1]).get(path[end - 1])
        if field is not None and field.description:
            choices = [c for c in get_args(field.annotation) if isinstance(c, str)]
            return field.description + (f" One of: {', '.join(choices)}." if choices else "")
    return "see the reference"
