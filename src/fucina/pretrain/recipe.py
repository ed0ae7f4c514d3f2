"""Read a recipe of `fucina pretrain`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from fucina.errors import RecipeError
from fucina.pretrain.settings import PretrainRecipe
from fucina.settings_file import explain, lines, plain, put, read_yaml

__all__ = ["load", "parse"]


def load(path: Path, overrides: Sequence[str] = ()) -> PretrainRecipe:
    """Read a file.

    Args:
        path: YAML.
        overrides: `section.key=value`; they win over the file.

    Raises:
        RecipeError: It is missing, no YAML, or holds a wrong key or value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {error}.", fix="Check its path.") from error
    return parse(text, overrides, name=str(path))


def parse(text: str, overrides: Sequence[str] = (), *, name: str = "recipe") -> PretrainRecipe:
    """Read a recipe from text; see `load`.

    Example:
        >>> text = "{name: a, corpus: [{path: a.jsonl, language: it, domain: novels}]}"
        >>> parse(text, ["training.tokens=1000"]).training.tokens
        1000
    """
    tree = read_yaml(text, name)
    if not isinstance(tree, Mapping):
        raise RecipeError(f"{name} holds no settings.", fix="Start with name:, corpus: and tokens.")
    settings = plain(tree)
    for override in overrides:
        key, sign, value = override.partition("=")
        if not sign:
            raise RecipeError(
                f"{override!r} is not an override.", fix="Write section.key=value, without spaces."
            )
        put(settings, key.split("."), plain(read_yaml(value, override)), override)
    try:
        return PretrainRecipe.model_validate(settings)
    except ValidationError as error:
        raise explain(error, lines(tree), name, PretrainRecipe) from error
