"""Export the model of a run for others to load, with proof that it answers as the run does."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import export, run, tasks
from fucina.config import ShipConfig
from fucina.errors import RecipeError, RunError, nearest
from fucina.records import Progress, Proof, silent
from fucina.tasks.settings import learnt_as

if TYPE_CHECKING:
    from fucina.config import Recipe
    from fucina.shipment import Job, Made

__all__ = ["TARGETS", "Shipped", "require_used", "ship"]

TARGETS = ("adapter", "merged", "gguf", "ollama", "onnx")
FILE = {"members", "cases", "kind", "adapter"}
USED = {  # settings that change what is written
    "adapter": {"members", "cases", "precision"}, "merged": {"members", "cases", "precision"},
    "gguf": FILE, "ollama": FILE, "onnx": {"members", "cases", "int8"},
}  # fmt: skip


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
    _require(recipe, to, config)
    place = output or Path(f"{recipe.name}-{to}")
    failed = place.with_name(f"{place.name}.failed")
    for there in (place, failed):
        if there.exists():
            raise RunError(
                f"{there} exists already.", fix="Give --output a new folder, or delete it."
            )
    beside = run.make_beside(place)
    try:
        proof, usage = _write(folder, to, place, beside, config, progress, say)
        run.write_json(beside / "verify.json", {"passed": proof.passed, **asdict(proof)})
        page = export.card(folder, recipe, proof, str(place), to, usage)
        run.write_text(beside / "README.md", page)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    run.move_whole(beside, place if proof.passed else failed)
    if not proof.passed:
        raise _refused(proof, failed)
    files = tuple(sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()))
    return Shipped(str(place), files, proof, _next(place, recipe, to, config))


def _write(
    folder: Path, to: str, place: Path, beside: Path, config: ShipConfig, progress: Progress,
    say: Callable[[str], None],
) -> tuple[Proof, Mapping[str, Any]]:  # fmt: skip
    """Write the export into a folder beside its place, and prove it; how it is used."""
    from fucina import shipment
    from fucina.by_server import check_server
    from fucina.models import threads

    original = folder
    if config.members == "distilled":
        folder = shipment.distilled(folder, progress=progress, say=say)
    recipe = run.read_recipe(folder)
    with threads.start() as pool:
        job = shipment.Job(folder, recipe, to, str(place), config, original, pool, progress, say)
        made = _writer(job)(job, beside)
    checks = (*made.checks, *check_server(job, made, beside))
    facts = {
        "run": folder.name, "members": job.wanted, "task": recipe.task, "base": recipe.model.base,
        "files": export.sums_of(beside), **made.libraries,
    }  # fmt: skip
    return Proof(checks, facts), made.usage


def _writer(job: "Job") -> "Callable[[Job, Path], Made]":
    from fucina import shipment

    if job.to == "adapter":
        return shipment.write_adapters
    if learnt_as(job.recipe) != "text":
        return shipment.write_graphs if job.to == "onnx" else shipment.write_heads
    apart = job.config.adapter and job.to in ("gguf", "ollama")
    return shipment.write_adapter_file if apart else shipment.write_text


def _require(recipe: "Recipe", to: str, config: ShipConfig) -> None:
    """Refuse what has no meaning for a run before anything is read."""
    if to not in TARGETS:
        raise RecipeError(f"no export is called {to!r}.", fix=nearest(to, TARGETS))
    answers = {"label": "labels", "spans": "spans", "text": "text"}[tasks.get(recipe.task).answer]
    writes = learnt_as(recipe) == "text"
    if to in ("gguf", "ollama") and not writes:
        raise RecipeError(
            f"{recipe.name} answers with {answers}; {to} is for models that write.",
            fix="Export it with --to onnx or --to merged, or serve it: fucina serve RUN.",
        )
    if to == "onnx" and writes:
        how = "writes text" if answers == "text" else "weighs labels by their names"
        raise RecipeError(
            f"{recipe.name} {how}; an ONNX export has a head of classes.",
            fix="Export it with --to gguf or --to merged.",
        )
    if config.adapter:
        require_used(to, ("adapter",))


def require_used(to: str, names: Iterable[str]) -> None:
    """Refuse settings that change nothing of an export.

    Args:
        to: One of `TARGETS`.
        names: The settings that were said.

    Raises:
        RecipeError: This target has no use for one.
    """
    for name in sorted({*names} - USED[to]):
        others = [target for target in TARGETS if name in USED[target]]
        raise RecipeError(
            f"{name}= is for {' and '.join(others)}: --to {to} has no use for it.",
            fix=f"Leave it out; {to} takes {', '.join(sorted(USED[to]))}.",
        )


def _refused(proof: Proof, failed: Path) -> RunError:
    wrong = "; ".join(
        f"{check.name} ({check.engine}) {check.value:.4g}, held to {check.limit:.4g}"
        for check in proof.checks
        if not check.passed and check.limit is not None
    )
    return RunError(
        f"the export does not answer as the run does: {wrong}.",
        fix=f"Look at {failed / 'verify.json'}; more bits (kind=F16, precision=float32) keep more.",
    )


def _next(place: Path, recipe: "Recipe", to: str, config: ShipConfig) -> str:
    """The command that uses an export."""
    if to == "ollama":
        return f"cd {place} && ollama create {recipe.name} -f Modelfile"
    if to == "gguf" and not config.adapter:
        return f"fucina serve {place}/{recipe.name}-{config.kind}.gguf"
    if to == "gguf":
        return (
            f"llama-server -m {place}/{recipe.name}-base-{config.kind}.gguf "
            f"--lora {place}/{recipe.name}-adapter.gguf"
        )
    if to == "onnx":
        return f"fucina serve {place}"
    page = f"see {place}/README.md, which has the lines of Python that answer with it"
    words = place / "chat_template.jinja"
    if learnt_as(recipe) != "text" or not words.is_file():
        return page
    if to == "merged":
        return f"vllm serve {place} --served-model-name {recipe.name}"
    if recipe.adapter.dora or not (place / "adapter_config.json").is_file():
        return page  # vLLM has no DoRA, and one adapter for an answer
    base = f"{place}/base" if (place / "base").is_dir() else recipe.model.base
    rank = run.read_json(place / "adapter_config.json")["r"]
    return export.serve_command(base, {recipe.name: place}, rank=rank, template=words, ending=place)
