"""GGUF files, and what Ollama makes of them: of merged weights, or of a base and an adapter."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina import export
from fucina.errors import MissingExtraError
from fucina.export import gguf
from fucina.records import Check

if TYPE_CHECKING:
    from fucina.shipment.job import Job
    from fucina.shipment.reference import Reference

__all__ = ["file_of", "write_file"]


def file_of(job: "Job") -> str:
    """What the GGUF file of an export is called: of merged weights, or of the base alone."""
    of = "-base" if job.config.adapter else ""
    return f"{job.recipe.name}{of}-{job.config.kind}.gguf"


def write_file(
    job: "Job", held: "Reference", weights: Path, place: Path, adapter: Path | None = None
) -> list[Check]:
    """Write a GGUF file, run it by llama.cpp where that is installed, and a Modelfile for Ollama.

    Args:
        job: The export.
        held: What it is held against.
        weights: As `export.write_folder` left them: merged, or the base alone.
        place: Where the files go.
        adapter: In the layout of PEFT, to be put on the base; None for merged weights.

    Raises:
        ModelError: llama.cpp has no such network, or Ollama no such template.
        MissingExtraError: gguf is not installed.
    """
    template: Any = held.writer.template
    kind, name = job.config.kind, job.recipe.name
    path = place / file_of(job)
    written = gguf.write(weights, path, kind, template=export.standalone(template),
                         progress=job.progress)  # fmt: skip
    checks = [gguf.check_weights(weights, path, kind)]
    if adapter is not None:
        adapter = gguf.write_adapter(adapter, weights, place / f"{name}-adapter.gguf", name=name)
    with suppress(MissingExtraError):
        checks += _by_llama(job, held, path, adapter)
    if len(checks) == 1:
        job.say("llama.cpp is not installed, so the file was not run: pip install 'fucina[llama]'")
    if job.to == "ollama":
        checks.append(_for_ollama(job, held, written, adapter))
    return checks


def _for_ollama(
    job: "Job", held: "Reference", written: gguf.Written, adapter: Path | None
) -> Check:
    from fucina.export import ollama

    template: Any = held.writer.template
    made = ollama.modelfile(
        written, template, max_tokens=held.writer.max_new_tokens, rows=held.cases,
        license_text=export.license_of(job.recipe.model.base).text, adapter=adapter,
    )  # fmt: skip
    ollama.write_modelfile(made, written.path.parent)
    for note in made.notes:
        job.say(note)
    return made.check


def _by_llama(job: "Job", held: "Reference", path: Path, adapter: Path | None) -> Sequence[Check]:
    from fucina.engines.llama import LlamaTalker

    template: Any = held.writer.template
    talker = LlamaTalker(
        path, system=template.system, max_tokens=held.trained.max_tokens,
        reads=job.recipe.model.max_length_tokens, adapter=adapter,
    )  # fmt: skip
    try:
        return gguf.prove(talker, held.trained, job.config.kind, progress=job.progress)
    finally:
        talker.close()
