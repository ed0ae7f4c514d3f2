"""The targets of an export: a file each, found by looking, never listed."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from fucina.errors import RecipeError, nearest
from fucina.export.handover import Target

__all__ = ["get", "names", "recognize"]


def names() -> list[str]:
    """All targets.

    Example:
        >>> names()
        ['axolotl', 'llamafactory', 'unsloth']
    """
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def get(name: str) -> Target:
    """Load one target.

    Raises:
        RecipeError: There is no such target; the nearest name is offered.
    """
    if name not in names():
        raise RecipeError(f"no target {name!r}.", fix=f"Set --to: {nearest(name, names())}")
    return import_module(f"{__name__}.{name}").TARGET


def recognize(config: Mapping[str, Any]) -> Target:
    """Find the tool that a configuration was written for, by the keys it must have.

    Raises:
        RecipeError: It has the keys of none.
    """
    found = {name: target for name in names() if (target := get(name)).read is not None}
    for target in found.values():
        if target.marks <= config.keys():
            return target
    wanted = "; ".join(f"{t.title}: {', '.join(sorted(t.marks))}" for t in found.values())
    raise RecipeError(
        "this is the configuration of no tool that is known here.",
        fix=f"Give a YAML file with the keys that its tool needs ({wanted}).",
    )
