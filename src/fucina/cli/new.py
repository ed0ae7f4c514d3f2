"""fucina new DIR --task T: a recipe and sample data to start from."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    task: Annotated[str, typer.Option(help="The kind of job.")] = "classification",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a recipe and sample data to start from."""
    from fucina import tasks
    from fucina.cli.screen import print_json
    from fucina.errors import RecipeError

    tasks.get(task)
    source = tasks.folder(task)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RecipeError(f"{folder} exists already.", fix="Choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    hidden = shutil.ignore_patterns("*.py", "__pycache__", "golden.jsonl")
    shutil.copytree(source, folder, ignore=hidden, dirs_exist_ok=True)
    if as_json:
        print_json({"recipe": str(folder / "recipe.yaml")})
    else:
        typer.echo(f"next: fucina train {folder / 'recipe.yaml'}")
