"""The section that a task adds to a recipe, under its own name: looked for, not imported.

A task with settings has them in `fucina/tasks/NAME/settings.py` as `SETTINGS`; a task of another
package names its class in the entry-point group `fucina.settings`.
"""

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from fucina.config.settings import Settings

__all__ = ["task_sections"]

TASKS = Path(__file__).parents[1] / "tasks"


def task_sections(task: str | None = None) -> dict[str, type[Settings]]:
    """The sections of one task, or of all.

    Args:
        task: Its name; None for all.

    Example:
        >>> task_sections("classification"), list(task_sections("text_to_sql"))
        ({}, ['text_to_sql'])
    """
    own = sorted(path.parent.name for path in TASKS.glob("*/settings.py"))
    found = {
        name: import_module(f"fucina.tasks.{name}.settings").SETTINGS
        for name in own
        if task in (None, name)
    }
    for entry in entry_points(group="fucina.settings"):
        if task in (None, entry.name):
            found[entry.name] = entry.load()
    return found
