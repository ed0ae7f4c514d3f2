"""Write rows to learn from as the recipe reads them, and say the command that trains on them."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import data, run
from fucina.errors import DataError
from fucina.records import Dataset

if TYPE_CHECKING:
    from fucina.config import DataConfig, Recipe

__all__ = ["next_command", "refuse_existing", "write_training_file"]

# Overrides that the rows come from, or that the command sets anew.
REPLACED = ("augment", "synthesis", "data.train=", "data.group=", "data.format=")


def refuse_existing(path: Path) -> None:
    """Stop before any work is done if a new file could not be written there.

    Raises:
        DataError: There is something already, or the suffix is not .jsonl.
    """
    if path.suffix.lower() not in {".jsonl", ".ndjson"}:
        raise DataError(f"{path} is not a .jsonl file.", fix="Give --out a name that ends so.")
    if path.exists():
        raise DataError(
            f"{path} exists already.", fix="Give --out a new file, or delete the old one."
        )


def write_training_file(rows: Dataset, path: Path, config: "DataConfig") -> None:
    """Write the rows with their group and origin as JSON Lines, whole or not at all.

    They are conversations where one of them was read as one. Columns and encoding are those of the
    recipe, so that its test file is still read beside it.
    """
    group = _group(config)
    letters = config.encoding.lower().replace("_", "-") in {"utf-8", "utf8"}
    lines = []
    for example, row in zip(
        rows.examples, data.to_rows(rows, config.named, path.parent), strict=True
    ):
        whole = {**row, group: example.group}
        whole.setdefault("origin", example.origin)
        lines.append(json.dumps(whole, ensure_ascii=not letters, default=str) + "\n")
    run.write_bytes(path, "".join(lines).encode(config.encoding))


def next_command(
    recipe: "Recipe", recipe_path: Path, written: Path, overrides: Sequence[str] = ()
) -> str:
    """The command that trains on a written file, with the paths as the recipe sees them.

    Args:
        recipe: What the rows were made with.
        recipe_path: Its file.
        written: The file of rows.
        overrides: As on the command line; those that still count are repeated.
    """
    root = recipe_path.resolve().parent
    path = written.resolve()
    name = path.relative_to(root) if path.is_relative_to(root) else path
    group = _group(recipe.data)
    words = ["fucina", "train", str(recipe_path), f"data.train={name}"]
    words += [] if recipe.data.group == group else [f"data.group={group}"]
    words += [] if recipe.data.format in {"auto", "jsonl"} else ["data.format=auto"]
    words += [one for one in overrides if not one.startswith(REPLACED)]
    return shlex.join(words)


def _group(config: "DataConfig") -> str:
    """The column of groups; the recipe's own where it names one."""
    taken = set(config.named.values())
    return config.group or next(n for n in ("group", "base", "row_group") if n not in taken)
