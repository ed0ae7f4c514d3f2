"""The trained model of a recipe: a run that is there already, or one made now."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import run
from fucina.errors import RunError
from fucina.flow import forge
from fucina.records import Finding, Progress, Split

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["learnt", "learnt_already", "require_same_rows", "seconds_of"]

TELLS_NOTHING = ("advise", "output")  # settings with which a run is the same


def learnt(
    recipe: "Recipe",
    root: Path,
    split: Split,
    *,
    findings: Sequence[Finding],
    keys: Mapping[str, str],
    progress: Progress,
    say: Callable[[str], None],
) -> Path:
    """A run of a recipe on these rows: the newest complete one, else it is trained now.

    Raises:
        FucinaError: Whatever is wrong with recipe, data or model.
    """
    folder = learnt_already(recipe, split)
    if folder is not None:
        say(f"trained already: {folder}")
        return folder
    say(f"training {recipe.name}: {len(split.development)} rows")
    outcome = forge(recipe, root, split, findings=findings, progress=progress, say=say, keys=keys)
    return Path(outcome.folder)


def learnt_already(recipe: "Recipe", split: Split) -> Path | None:
    """The newest complete run of a recipe on these rows; None where there is none."""
    for path in sorted((Path(recipe.output) / recipe.name).glob("*/metrics.json"), reverse=True):
        folder = path.parent
        if _settings(run.read_recipe(folder)) == _settings(recipe) and _same_rows(folder, split):
            return folder
    return None


def _settings(recipe: "Recipe") -> dict[str, Any]:
    found = recipe.model_dump(mode="json")
    return {name: value for name, value in found.items() if name not in TELLS_NOTHING}


def _same_rows(folder: Path, split: Split) -> bool:
    facts = run.read_json(folder / "data.json")
    own = {"development": split.development.fingerprint, "test": split.test.fingerprint}
    return all(facts[side]["sha256"] == fingerprint for side, fingerprint in own.items())


def require_same_rows(folder: Path, split: Split) -> Path:
    """A run that was judged on these test rows.

    Raises:
        RunError: It is not complete, or has seen other rows.
    """
    folder = run.find(folder)
    if not (folder / "metrics.json").is_file():
        raise RunError(f"{folder} is not complete.", fix="Finish it: fucina train RECIPE --resume.")
    if not _same_rows(folder, split):
        raise RunError(
            f"{folder} was trained or judged on other rows than the recipe has.",
            fix="Give a run of this recipe, or leave out --run: it is trained then.",
        )
    return folder


def seconds_of(folder: Path) -> float:
    """How long the training of a run took, in seconds; all of its stages."""
    plan = folder / "plan.json"
    truth = run.read_json(plan).get("truth") if plan.is_file() else None
    return float(sum(truth["seconds"].values())) if truth else 0.0
