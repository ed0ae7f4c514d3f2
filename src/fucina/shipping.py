"""Export the model of a run for others to load, with proof that it answers as the run does."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fucina import export, run, tasks
from fucina.config import ShipConfig
from fucina.errors import RecipeError, RunError, nearest
from fucina.records import Progress, Proof, silent
from fucina.shipment import Shipment

if TYPE_CHECKING:
    from fucina.config import Recipe

__all__ = ["TARGETS", "Shipped", "ship"]

TARGETS = ("merged", "gguf", "ollama")


@dataclass(frozen=True)
class Shipped:
    """What was written.

    Attributes:
        folder: Where it is.
        files: Their names.
        proof: What was compared.
        next: A command that uses it.
    """

    folder: str
    files: tuple[str, ...]
    proof: Proof
    next: str


def ship(
    path: Path,
    to: str,
    output: Path | None = None,
    *,
    config: ShipConfig | None = None,
    progress: Progress = silent,
    say: Callable[[str], None] = silent,
) -> Shipped:
    """Export the model of a run.

    Nothing is left behind where it cannot be; where the proof fails, the folder is called
    NAME.failed, so that nobody takes it for the model.

    Args:
        path: A run, or a recipe's name, whose newest complete run is meant.
        to: One of `TARGETS`.
        output: A new folder; by default NAME-TARGET.
        config: How; None for the defaults.
        progress: Shows steps.
        say: Shows messages.

    Raises:
        RunError: The run is broken, the folder is there already, or the proof fails.
        RecipeError: This run has no such export.
        ModelError: Its network has none.
        MissingExtraError: A library is not installed.
    """
    folder, config = run.find_complete(path), config or ShipConfig()
    recipe = run.read_recipe(folder)
    _require_writer(recipe, to)
    place = output or Path(f"{recipe.name}-{to}")
    failed = place.with_name(f"{place.name}.failed")
    for there in (place, failed):
        if there.exists():
            raise RunError(
                f"{there} exists already.", fix="Give --output a new folder, or delete it."
            )
    beside = place.with_name(f".{place.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        proof = Shipment(folder, recipe, to, config, progress, say).write(beside)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    run.write_json(beside / "verify.json", {"passed": proof.passed, **asdict(proof)})
    run.write_text(beside / "README.md", export.card(folder, recipe, proof, to))
    run.move_whole(beside, place if proof.passed else failed)
    if not proof.passed:
        wrong = "; ".join(
            f"{check.name} ({check.engine}) {check.value:.4g}, held to {check.limit:.4g}"
            for check in proof.checks
            if not check.passed and check.limit is not None
        )
        raise RunError(
            f"the export does not answer as the run does: {wrong}.",
            fix=f"Look at {failed / 'verify.json'}; more bits (kind=F16, precision=float32) keep "
            "more.",
        )
    files = tuple(sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()))
    return Shipped(str(place), files, proof, _next(place, recipe, to, config.kind))


def _require_writer(recipe: "Recipe", to: str) -> None:
    if to not in TARGETS:
        raise RecipeError(f"no export is called {to!r}.", fix=nearest(to, TARGETS))
    if tasks.get(recipe.task).answer != "text":
        raise RecipeError(
            f"{recipe.name} answers with {tasks.get(recipe.task).answer}s; {to} is for runs that "
            "write.",
            fix="Serve it as it is: fucina serve RUN.",
        )


def _next(place: Path, recipe: "Recipe", to: str, kind: str) -> str:
    """The command that uses an export."""
    if to == "ollama":
        return f"cd {place} && ollama create {recipe.name} -f Modelfile"
    if to == "gguf":
        return f"fucina serve {place}/{recipe.name}-{kind}.gguf"
    return f"vllm serve {place} --served-model-name {recipe.name}"
