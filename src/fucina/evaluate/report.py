"""The report of a run: one page."""

from typing import Any

__all__ = ["report"]


def report(facts: dict[str, Any], events: list[dict[str, Any]], recipe: dict[str, Any]) -> str:
    """Write the page."""
    return f"{facts['verdict']} {len(events)} {recipe['name']}"
