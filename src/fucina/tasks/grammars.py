"""What a recipe holds answers to: a grammar that its task knows, or one of the user."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import tasks
from fucina.errors import RecipeError, nearest
from fucina.models.constrain import GrammarMaker, Held, check_grammar
from fucina.records import Example, Grammar

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.models.pairing import Pairing
    from fucina.models.template import Template

__all__ = ["FREE", "grammar_file", "open_grammars"]

FREE = "free"  # the model that writes what it likes, beside the one that is held to a grammar
KINDS = {".lark": "lark", ".json": "json"}


def open_grammars(
    recipe: "Recipe",
    path: Path,
    template: "Template | Pairing | None",
    train: Callable[[], Sequence[Example]],
) -> Held | None:
    """Make ready what a recipe holds answers to; None where they are free.

    Args:
        recipe: For its task and chat section.
        path: Of the file, where the recipe names one.
        template: How the base wants turns.
        train: Gives the rows that the model learns from.

    Raises:
        RecipeError: The task knows no such grammar, or a file cannot be read.
        MissingExtraError: The library that keeps answers to grammars is not installed.
    """
    if recipe.chat.constrain == "none" or template is None:
        return None
    return Held(_maker(recipe, path, train), template)


def _maker(recipe: "Recipe", path: Path, train: Callable[[], Sequence[Example]]) -> GrammarMaker:
    """Rows to the grammar of each of their answers."""
    wanted, known = recipe.chat.constrain, tasks.of(recipe).choices.grammars
    if grammar_file(recipe) is not None:
        own = _read(path)
        check_grammar(own)
        return lambda rows: [own] * len(rows)
    if wanted != "auto" and wanted not in known:
        names = ["none", *(["auto"] if known else []), *known]
        raise RecipeError(
            f"chat.constrain: {recipe.task} knows no grammar {wanted!r}.",
            fix=f"Give a file that ends in .lark or .json; or {nearest(wanted, names)}",
        )
    if not known:
        raise RecipeError(
            f"chat.constrain: {recipe.task} knows no grammar of its answers.",
            fix="Give a file that ends in .lark or .json, or leave it out.",
        )
    make, learned = known[next(iter(known)) if wanted == "auto" else wanted], train()
    for grammar in set(make(learned, learned[:1])):
        check_grammar(grammar)
    return lambda rows: make(learned, rows)


def grammar_file(recipe: "Recipe") -> str | None:
    """The file that a recipe names as a grammar; None where it names none.

    Example:
        >>> from fucina.recipe import parse
        >>> text = "{task: chat, name: a, data: {train: a}, chat: {constrain: own.lark}}"
        >>> grammar_file(parse(text)[0])
        'own.lark'
    """
    wanted = recipe.chat.constrain
    return wanted if Path(wanted).suffix in KINDS else None


def _read(path: Path) -> Grammar:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"chat.constrain: {path} cannot be read ({error}).",
            fix="Give a file relative to the recipe, auto, or none.",
        ) from error
    return Grammar("lark" if path.suffix == ".lark" else "json", text)
