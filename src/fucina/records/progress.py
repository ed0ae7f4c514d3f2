"""How a stage reports."""

from collections.abc import Callable

__all__ = ["Progress", "silent"]


Progress = Callable[[str, int, int], None]
"""How a stage reports: what it does now, steps done, steps in all (0 when unknown)."""


def silent(*_: object) -> None:
    """Tell nobody: the default of every function that reports or saves."""
