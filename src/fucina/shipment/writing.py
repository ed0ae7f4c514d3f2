"""Models that write: members merged into their base, for transformers, llama.cpp and Ollama."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fucina import export
from fucina.errors import RecipeError
from fucina.models import base as bases
from fucina.models import saved
from fucina.models.by_name import ByName
from fucina.models.ensemble import Ensemble
from fucina.models.pairing import Pairing
from fucina.models.writer import Writer
from fucina.records import Check
from fucina.shipment.files import file_of, write_file
from fucina.shipment.job import Made
from fucina.shipment.picking import members_of
from fucina.shipment.reference import Reference, open_writer, reference
from fucina.shipment.scoring import scored

if TYPE_CHECKING:
    from fucina.shipment.job import Job

__all__ = ["LIKELIEST", "checks_of_merged", "merge", "opened", "write_text"]

LIKELIEST = 20  # first tokens whose odds are compared


def write_text(job: "Job", place: Path) -> Made:
    """Write one member, or the mean of several, for transformers, llama.cpp or Ollama.

    Args:
        job: The export.
        place: An empty folder.

    Raises:
        RecipeError: It is no single network, or an encoder-decoder, which llama.cpp is not given.
        ModelError: Its network has no such export.
    """
    if job.wanted == "together" and job.members > 1:
        raise RecipeError(
            f"members=together: {job.to} weights are those of one network.",
            fix="Say --to adapter, which holds all; or members=best, averaged or distilled.",
        )
    held = reference(job, open_writer(job))
    if job.to != "merged" and held.writer.base.halves is not None:
        raise RecipeError(
            f"{held.writer.base.name} is an encoder-decoder, which is not written as GGUF here.",
            fix="Export it with --to merged, or serve the run: fucina serve RUN.",
        )
    if job.to == "merged":
        merge(job, held, place, job.config.precision)
        checks = checks_of_merged(job, held, place, job.config.precision)
        return Made(tuple(checks), held.trained.answers, held.usage(""))
    merged = place / ".merged"
    merge(job, held, merged, "float32")
    checks = checks_of_merged(job, held, merged, "float32")
    checks += write_file(job, held, merged, place)
    shutil.rmtree(merged)
    return Made(tuple(checks), held.trained.answers, held.usage("", file=file_of(job)))


def merge(job: "Job", held: Reference, place: Path, precision: str) -> None:
    """Write the base with the picked members, or their mean, in its weights.

    Args:
        job: The export.
        held: The members.
        place: A new folder.
        precision: Of the weights.
    """
    from fucina.models.source import locate, read

    job.progress("merging", 0, 1)
    base = job.recipe.model.base
    network, tokenizer = read(base, locate(base), "text")
    export.unpack(network, held.writer.base)
    export.merge(network, members_of(held.model))
    template: Any = held.writer.template
    if held.writer.base.halves is not None:
        template = None
    export.write_folder(network, tokenizer, template, place, precision)
    job.progress("merging", 1, 1)


def checks_of_merged(job: "Job", held: Reference, merged: Path, precision: str) -> list[Check]:
    """Hold merged weights against the members; arguments as above."""
    writer, rows = held.writer, held.rows
    found = opened(job, held, merged)
    by, trained = "torch merged", held.trained
    if isinstance(writer.template, Pairing):
        read = export.check_sources(merged, trained, writer.template.read)
    else:
        read = export.check_prompts(merged, trained, job.recipe.chat.system)
    checks = [read, export.check_logits(merged, trained, precision, pick=LIKELIEST)]
    if isinstance(held.model, Ensemble):
        prompts, named = rows.prompts, _by_name(held.model, found)
        answers: Any = named.predict(prompts, threads=job.threads, progress=job.progress)
        wanted = held.model.predict(prompts, threads=job.threads, progress=job.progress)
        trained = replace(trained, answers=tuple(wanted.answers), rows=rows.examples)
    else:
        answers = found.predict(rows.examples, threads=job.threads, progress=job.progress)
    checks.append(export.check_answers(trained, answers.answers, precision, by))
    return checks + scored(job, answers, rows, by)


def opened(job: "Job", held: Reference, merged: Path) -> Writer:
    """The exported weights in this program's own engine."""
    config = job.recipe.model.model_copy(update={"base": str(merged), "quantize": "none"})
    base = bases.load(config, "float32", "text")
    base = replace(base, template=held.writer.template)
    own = job.recipe.model_copy(update={"model": config})
    alone = saved.untrained_writer(own, base, workers=1, held=held.writer.held)
    return replace(alone, max_new_tokens=held.writer.max_new_tokens)


def _by_name(named: Ensemble, writer: Writer) -> Ensemble:
    """Exported weights that weigh labels by their names."""
    names = cast("ByName", named.weigher).names
    return replace(named, base=writer.base, weigher=ByName(writer.base, writer.stacks, names))
