"""Free disk: what a run needed while it trained, and what killed processes left half-written."""

import re
import shutil
from pathlib import Path

import psutil

from fucina.errors import ResourceError, RunError
from fucina.run.folder import latest

__all__ = ["clean", "removable"]

# The weights of every epoch and the state to resume from; best_model_* is never among them.
SPARE = ("checkpoint", "epochs")


def removable(output: Path) -> list[tuple[Path, int]]:
    """List what can go below a folder of runs, with its size in bytes.

    Checkpoints and weights of single epochs go where a run is complete, or can no longer be
    resumed because a newer one of its name was started. The newest run of a name that is not
    complete is left alone: it may be running, and can be resumed.

    Raises:
        RunError: The folder does not exist.
    """
    if not output.is_dir():
        raise RunError(f"no folder {output}.", fix="Name the folder of runs: fucina clean runs.")
    found: list[Path] = []
    for folder in sorted({path.parent for path in output.glob("**/environment.json")}):
        complete = (folder / "metrics.json").is_file()
        if complete or latest(folder.parent) != folder:
            found += [folder / name for name in SPARE if (folder / name).is_dir()]
    inside = tuple(found)
    for path in sorted(output.glob("**/.*.tmp")):
        if not any(path.is_relative_to(folder) for folder in inside) and _abandoned(path):
            found.append(path)
    return [(path, _size(path)) for path in found]


def clean(output: Path) -> list[tuple[Path, int]]:
    """Remove what `removable` lists; returns it.

    Raises:
        RunError: The folder does not exist.
        ResourceError: Something cannot be removed.
    """
    found = removable(output)
    for path, _ in found:
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise ResourceError(
                f"cannot remove {path}: {error.strerror}.", fix="Give yourself the right to it."
            ) from error
    return found


def _abandoned(path: Path) -> bool:
    """Whether the process that was writing `.name.pid.tmp` is gone."""
    match = re.fullmatch(r"\..+\.(\d+)\.tmp", path.name)
    return match is not None and not psutil.pid_exists(int(match[1]))


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())
