"""fucina new DIR --task T: a recipe and sample data to start from."""

import shutil
from collections.abc import Callable
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
    hidden = ("*.py", "__pycache__", "golden.jsonl")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*hidden), dirs_exist_ok=True)
    _bring(source, folder, shutil.ignore_patterns(*hidden, "recipe.yaml"))
    if as_json:
        print_json({"recipe": str(folder / "recipe.yaml")})
    else:
        typer.echo(f"next: fucina train {folder / 'recipe.yaml'}")


def _bring(source: Path, folder: Path, hidden: Callable[[str, list[str]], set[str]]) -> None:
    """Put the samples that a recipe takes from other tasks below the new folder."""
    from fucina import reading
    from fucina.recipe import load

    files = [
        Path(name)
        for place in reading.sources(load(source / "recipe.yaml")[0])
        for name in place.files.values()
    ]
    others = {path.parts[1] for path in files if path.parts[0] == ".."}
    for other in others:
        shutil.copytree(source.parent / other, folder / other, ignore=hidden)
    for name in ("recipe.yaml", "README.md") if others else ():
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("../", ""), encoding="utf-8")
