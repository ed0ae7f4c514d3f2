"""fucina clean [RUNS]: free disk, never the best."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    runs: Annotated[Path, typer.Argument(help="A run folder, or a folder of runs.")] = Path("runs"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, remove nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Remove checkpoints and weights of single epochs; the best models stay."""
    from fucina import run
    from fucina.cli.screen import console, print_json

    found = run.removable(runs) if dry_run else run.clean(runs)
    freed = sum(size for _, size in found)
    if as_json:
        print_json(
            {
                "removed": not dry_run,
                "bytes": freed,
                "paths": [{"path": str(path), "bytes": size} for path, size in found],
            }
        )
        return
    for path, size in found:
        console.print(f"{size / 2**20:8.1f} MiB  {path}", markup=False, soft_wrap=True)
    word = "could be freed" if dry_run else "freed"
    console.print(f"{freed / 2**20:.1f} MiB {word}")
