"""Where runs live: make, find and reopen their folders."""

import os
import platform
import shutil
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import __version__
from fucina.errors import ResourceError, RunError
from fucina.recipe import dump, parse
from fucina.records import Predictions, Split
from fucina.run.files import read_json, write_json, write_text
from fucina.run.tables import read_predictions, write_rows

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = [
    "begin",
    "find",
    "find_complete",
    "grammar_of",
    "keep_grammar",
    "keep_rules",
    "keep_template",
    "latest",
    "latest_out_of_fold",
    "read_recipe",
    "refuse_pickle",
    "reopen",
    "rules_of",
    "template_of",
]

TEMPLATE = "chat_template.jinja"
PICKLED = {".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib"}
GRAMMAR = "grammar"
PACKAGES = ("torch", "transformers", "peft", "numpy", "scikit-learn", "tokenizers")


def begin(recipe: "Recipe", split: Split, *, precision: str, root: Path) -> Path:
    """Make a run folder that says what is asked, on which data, with what."""
    folder = _create(Path(recipe.output), recipe.name)
    try:
        write_text(folder / "recipe.yaml", dump(recipe))
        write_json(folder / "data.json", _describe(split))
        write_rows(folder / "development.parquet", split)
        facts = {**_environment(), "precision": precision, "root": str(root.resolve())}
        write_json(folder / "environment.json", facts)
    except ResourceError as error:
        shutil.rmtree(folder, ignore_errors=True)  # there is nothing to resume yet
        raise ResourceError(
            error.problem, fix="Free disk space or set output: to another disk."
        ) from error
    return folder


def reopen(recipe: "Recipe", split: Split) -> Path:
    """Find the newest run of a recipe's name, which must be unfinished and of this recipe.

    Raises:
        RunError: There is none, or recipe or data changed since.
    """
    parent = Path(recipe.output) / recipe.name
    folder = latest(parent)
    if folder is None:
        raise RunError(
            f"nothing to resume in {parent}.", fix="Start a new run: leave out --resume."
        )
    if (folder / "metrics.json").is_file():
        raise RunError(
            f"nothing to resume: {folder} is complete.",
            fix="Use it as it is, or start a new run: leave out --resume.",
        )
    before = read_recipe(folder)
    if before != recipe:
        old, new = before.model_dump(mode="json"), recipe.model_dump(mode="json")
        changed = [key for key in new if old.get(key) != new[key]]
        raise RunError(
            f"{folder} belongs to another recipe: {', '.join(changed)} differ.",
            fix="Undo the change, or start a new run: leave out --resume.",
        )
    if read_json(folder / "data.json") != _describe(split):
        raise RunError(
            f"the data changed since {folder} was started.",
            fix="Put the old files back, or start a new run: leave out --resume.",
        )
    return folder


def read_recipe(folder: Path) -> "Recipe":
    """The recipe a run was made with."""
    path = folder / "recipe.yaml"
    if not path.is_file():
        raise RunError(f"{path} is missing.", fix="Give a run folder made by fucina train.")
    return parse(path.read_text(encoding="utf-8"), name=str(path))[0]


def find(path: Path) -> Path:
    """Accept a run folder, or the folder of a name, whose latest run is meant.

    Raises:
        RunError: There is no run.
    """
    if (path / "recipe.yaml").is_file() and (path / "environment.json").is_file():
        return path
    newest = latest(path)
    if newest is None:
        known = sorted(str(p.parent) for p in Path().glob("runs/*/*/environment.json"))[-5:]
        raise RunError(
            f"{path} is not a run folder.",
            fix=f"Give one of: {', '.join(known)}." if known else "Make one: fucina train RECIPE.",
        )
    return newest


def find_complete(path: Path) -> Path:
    """The same for a run that is complete: of a name, the newest that is.

    Raises:
        RunError: There is none, or the run that is named is not complete.
    """
    finished = sorted(path.glob("*/metrics.json"))
    folder = finished[-1].parent if finished else find(path)
    if not (folder / "metrics.json").is_file():
        raise RunError(f"{folder} is not complete.", fix="Finish it: fucina train RECIPE --resume.")
    return folder


def refuse_pickle(folder: Path) -> None:
    """Refuse a folder with a file of Python's pickle, which runs code where it is read.

    Nothing of this program reads such a file; but whoever put it there meant it to be read.

    Raises:
        RunError: There is one.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (path.suffix.lower() in PICKLED or _is_pickle(path)):
            raise RunError(
                f"{path} is a pickle, which can run code.",
                fix="Delete it: a run needs safetensors, Parquet and JSON alone.",
            )


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        begins = file.read(2)
    return begins[:1] == b"\x80" and begins[1:] in {b"\x02", b"\x03", b"\x04", b"\x05"}


def keep_template(folder: Path, source: str) -> None:
    """Keep the chat template of a run; one that is resumed must still have the same.

    Raises:
        RunError: It was changed since the run began.
    """
    path = folder / TEMPLATE
    if path.is_file() and path.read_text(encoding="utf-8") != source:
        raise RunError(
            f"the chat template changed since {folder} was started.",
            fix="Put the old one back, or start a new run: leave out --resume.",
        )
    write_text(path, source)


def template_of(folder: Path) -> Path:
    """The chat template that a run keeps.

    Raises:
        RunError: It is missing.
    """
    path = folder / TEMPLATE
    if not path.is_file():
        raise RunError(f"{path} is missing.", fix="Restore the run folder, or train again.")
    return path


def keep_grammar(folder: Path, path: Path) -> None:
    """Keep the grammar file that answers of a run are held to."""
    write_text(folder / f"{GRAMMAR}{path.suffix}", path.read_text(encoding="utf-8"))


def keep_rules(folder: Path, path: Path) -> None:
    """Keep the rules that a run is judged beside, which answer where its model does not."""
    write_text(rules_of(folder), path.read_text(encoding="utf-8"))


def rules_of(folder: Path) -> Path:
    """Where a run keeps the rules that it was judged beside, if it was."""
    return folder / "rules.yaml"


def grammar_of(folder: Path, name: str) -> Path:
    """Where a run keeps the grammar that its recipe calls by a name."""
    return folder / f"{GRAMMAR}{Path(name).suffix}"


def latest(parent: Path) -> Path | None:
    """The newest run below `parent`; None when there is none."""
    runs = sorted(path.parent for path in parent.glob("*/environment.json"))
    return runs[-1] if runs else None


def latest_out_of_fold(recipe: "Recipe") -> Predictions | None:
    """The answers of the newest complete run with folds of this recipe's name."""
    finished = sorted((Path(recipe.output) / recipe.name).glob("*/metrics.json"), reverse=True)
    for folder in (path.parent for path in finished):
        if read_json(folder / "data.json")["folds"] > 1:
            return read_predictions(folder / "out_of_fold.parquet")
    return None


def _create(output: Path, name: str) -> Path:
    """Make an empty run folder with a name that sorts by time.

    Raises:
        ResourceError: The folder cannot be written.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        folder = output / name / f"{stamp}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue  # another run began in the same second
        except OSError as error:
            raise ResourceError(
                f"cannot make the run folder {folder}: {error.strerror}.",
                fix="Free the path or set output: to a folder that can be written.",
            ) from error
        return folder
    raise RunError(f"too many runs in one second in {output}.", fix="Try again.")


def _environment() -> dict[str, Any]:
    """Versions and machine, to explain a difference later."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "fucina": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processors": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "packages": versions,
    }


def _describe(split: Split) -> dict[str, Any]:
    """Counts and fingerprints of the rows; the test set's is checked by every later verb."""
    return {
        "development": {"rows": len(split.development), "sha256": split.development.fingerprint},
        "test": {"rows": len(split.test), "sha256": split.test.fingerprint},
        "labels": list(split.labels),
        "folds": len(split.folds),
    }
