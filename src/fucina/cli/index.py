"""fucina index DIR|FILE…: make documents findable, and keep them so."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fucina.retrieval import Indexed

__all__ = ["command"]

PAUSE_S = 2.0  # between two looks at the files
SHOWN = 20  # files of a kind that are named


def command(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DIR|FILE|KEY=VALUE]...",
            help="Files and folders, more than before or none; embedder=…, chunk_tokens=… and the "
            "other settings of an index.",
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder of the index; else indexes/NAME of the first.")
    ] = None,
    forget: Annotated[
        list[Path] | None, typer.Option(help="A file or folder that it is to be of no more.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Embed everything again.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on and follow what changes, until stopped.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Index documents; again, only what changed is read and embedded."""
    import os
    import time

    from fucina.cli.screen import console, print_json, reporting
    from fucina.errors import DataError
    from fucina.library import index_documents

    paths, words = _divided(given or [])
    if to is None and not paths:
        raise DataError(
            "nothing to index.", fix="Give files or folders, or --to an index to look through."
        )
    folder = to or Path("indexes") / paths[0].resolve().stem

    def again(done: "Indexed") -> bool:
        if watch:
            if done.added or done.changed or done.removed:
                _show(done, folder)
            time.sleep(PAUSE_S)
        return watch

    with reporting(quiet=as_json) as (progress, _):
        done = index_documents(
            folder, paths, words, keys=os.environ, forget=forget or [], anew=anew,
            progress=progress, again=again,
        )  # fmt: skip
    if as_json:
        print_json(_facts(done, folder))
    else:
        _show(done, folder)
        console.print(f'next: fucina ask {folder} "…"', markup=False, soft_wrap=True)
    named = {path.name for path in paths if path.is_file()}
    if not done.documents or named & set(done.refused):
        raise typer.Exit(2)


def _divided(given: list[str]) -> tuple[list[Path], list[str]]:
    """Paths, and settings: a word with = that is no file."""
    words = [word for word in given if "=" in word and not Path(word).exists()]
    return [Path(word) for word in given if word not in words], words


def _facts(done: "Indexed", folder: Path) -> dict[str, object]:
    return {
        "index": str(folder.resolve()),
        "documents": done.documents,
        "chunks": done.chunks,
        "added": list(done.added),
        "changed": list(done.changed),
        "removed": list(done.removed),
        "unchanged": done.unchanged,
        "refused": {
            name: {"problem": error.problem, "fix": error.fix}
            for name, error in done.refused.items()
        },
        "notes": {name: list(notes) for name, notes in done.notes.items()},
    }


def _show(done: "Indexed", folder: Path) -> None:
    from fucina.cli.screen import console

    for sign, names in (("+", done.added), ("~", done.changed), ("-", done.removed)):
        for name in names[:SHOWN]:
            notes = done.notes.get(name, ())
            console.print(f"{sign} {name}{''.join(f' ({n})' for n in notes)}", markup=False)
        if len(names) > SHOWN:
            console.print(f"{sign} and {len(names) - SHOWN:,} more")
    for error in done.refused.values():
        told = f"not read: {error.problem}\n  fix: {error.fix}"
        console.print(told, markup=False, soft_wrap=True)
    left = f", {done.unchanged:,} unchanged" if done.unchanged else ""
    console.print(
        f"{folder}: {done.documents:,} documents, {done.chunks:,} chunks{left}",
        markup=False,
        soft_wrap=True,
    )
