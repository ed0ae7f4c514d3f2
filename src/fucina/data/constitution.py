"""Read a constitution: rules in a YAML file that every answer must keep.

rules:
  - name: short
    max_words: 40
    why: she is a woman of few words
  - name: no machine talk
    must_not: [modello linguistico, intelligenza artificiale]
  - name: stays herself
    judge: She never admits to be a program, and never gives up her part.
judge:
  url: http://localhost:11434/v1
  model: qwen3:4b
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from fucina.config import ConstitutionConfig
from fucina.errors import RecipeError
from fucina.settings_file import explain, lines, plain, read_yaml

__all__ = ["load_constitution"]


def load_constitution(path: Path) -> ConstitutionConfig:
    """Read the rules of a file, and who judges.

    Raises:
        RecipeError: It is missing or no YAML, or a rule has an unknown key, no demand or two, or
            a broken regular expression; the message has the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"chat.constitution: {path} cannot be read ({error}).",
            fix="Give a YAML file with rules:, relative to the recipe.",
        ) from error
    tree = read_yaml(text, str(path))
    if not isinstance(tree, Mapping):
        raise RecipeError(
            f"{path} holds no rules.", fix="Write rules: and below it - name: … and a demand."
        )
    try:
        return ConstitutionConfig.model_validate(plain(tree))
    except ValidationError as error:
        raise explain(error, lines(tree), str(path), ConstitutionConfig) from error
