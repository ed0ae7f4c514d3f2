"""Classifiers and taggers: merged into their base, or as graphs."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fucina import export, run
from fucina.errors import RecipeError
from fucina.export import heads
from fucina.export.beside import headed, write_beside
from fucina.export.comparing import equal, near, same_tokens
from fucina.models.ensemble import Ensemble
from fucina.models.sums import write_sums
from fucina.models.tags import tag_names
from fucina.opening import answer, load_as, load_wide
from fucina.records import Check, Predictions, Spans
from fucina.shipment.job import Made
from fucina.shipment.picking import keep, mean_table, members_of, picked
from fucina.shipment.scoring import scored
from fucina.using import test_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from fucina.engines.onnx import OnnxLabeller, OnnxMarks
    from fucina.export.heads import Heard
    from fucina.models.marker import Marker
    from fucina.models.stack import Stack
    from fucina.shipment.job import Job

    Headed = Ensemble | Marker
    Engine = OnnxLabeller | OnnxMarks

__all__ = ["asked", "checks_of", "engine_of", "mean_head", "open_headed",
           "require_plain", "usage_of", "write_graphs", "write_heads"]  # fmt: skip

# The largest difference of a probability that is the rounding of weights.
CLOSE = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 1.5e-1}
EQUAL = {"float32": 0.995, "float16": 0.98, "bfloat16": 0.9}


def write_graphs(job: "Job", place: Path) -> Made:
    """Write all picked members as one ONNX graph, and in eight bits where that answers alike.

    Args:
        job: The export.
        place: An empty folder.

    Raises:
        RecipeError: Its members cannot be one graph so.
    """
    from fucina.engines.onnx import open_engine
    from fucina.export import onnx

    if job.wanted == "averaged":
        raise RecipeError(
            "members=averaged: a graph holds all members, whose probabilities it gives.",
            fix="Leave members out, or say best or a number.",
        )
    model = keep(open_headed(job), picked(job))
    rows = test_set(job.folder)
    told = rows.prompts if job.config.int8 else ()
    checks = list(onnx.fill(model, place, int8_rows=told, progress=job.progress))
    cases = rows.prompts[: job.config.cases]
    # All rows: 99 % of few is all of them.
    checks += onnx.prove(place, model, rows.prompts, threads=job.threads, progress=job.progress)
    _keep_rules(job, place)
    engine = open_engine(place)
    checks += scored(job, asked(engine, rows.prompts), rows, engine.name)
    answers = tuple(asked(engine, cases).answers)
    return Made(tuple(checks), answers, usage_of(job, model), onnx.facts_of(place))


def write_heads(job: "Job", place: Path) -> Made:
    """Write one member, or the mean of several, into the weights of the base, with its head.

    Args:
        job: The export.
        place: An empty folder.

    Raises:
        RecipeError: It is no single network.
    """
    members = picked(job)
    if job.wanted == "together" and len(members) > 1:
        raise RecipeError(
            f"members=together: {job.to} weights are those of one network.",
            fix="Say --to onnx or --to adapter, which hold all; or members=best, averaged or "
            "distilled.",
        )
    model = keep(open_headed(job), members)
    network = _plain(job, model)
    every = members_of(model)
    export.merge(network, every)
    mean = mean_table(headed(model)[2])
    lexicon = headed(model)[1] if mean else None
    write_beside(model, place, 1, lexicon, (mean,))
    head, bias = mean_head(every)
    precision = job.config.precision
    if isinstance(model, Ensemble):
        heads.write_labeller(network, model.base, head, bias, place, precision)
    else:
        heads.write_tagger(network, head, bias, tag_names(model.types), place, precision)
    _keep_rules(job, place)
    write_sums(place)
    engine = engine_of(place, _merged(place, model))
    checks = checks_of(job, engine, model, "transformers")
    return Made(tuple(checks), (), usage_of(job, model))


def mean_head(members: "list[tuple[Stack, int]]") -> "tuple[Tensor, Tensor]":
    """Weights d x c and biases c of one head that scores as the mean of several."""
    weights = [stack.head[place].detach().cpu().float() for stack, place in members]
    biases = [stack.bias[place, 0].detach().cpu().float() for stack, place in members]
    return torch.stack(weights).mean(dim=0), torch.stack(biases).mean(dim=0)


def _merged(place: Path, model: "Headed") -> "Heard":
    """The written weights, as transformers loads them."""
    import transformers

    options: Any = {"dtype": torch.float32, "use_safetensors": True, "trust_remote_code": False}
    if isinstance(model, Ensemble):
        network = transformers.AutoModel.from_pretrained(place, **options).eval()
        dense = run.read_tensors(place / heads.DENSE / "model.safetensors")
        return heads.open_labeller(network, model.base, dense)
    kind = transformers.AutoModelForTokenClassification
    return heads.open_tagger(kind.from_pretrained(place, **options).eval())


def open_headed(job: "Job") -> "Headed":
    """The trained model, in float32 whatever it was trained in: rounding would hide errors."""
    from fucina.models import threads

    base = load_wide(job.folder, job.recipe)
    model: Any = load_as(job.folder, job.recipe, threads.count(job.threads), base=base)
    headed(model)  # refuses others
    return model


def _plain(job: "Job", model: "Headed") -> Any:
    """The base as transformers alone loads it, in float32."""
    from fucina.models.source import locate, read

    base = job.recipe.model.base
    network, _ = read(base, locate(base))
    require_plain(job, model, network)
    export.unpack(network, model.base)
    return network


def require_plain(job: "Job", model: "Headed", network: Any) -> None:
    """Refuse a base that other programs would read otherwise than it was trained.

    Args:
        job: The export.
        model: As trained.
        network: Its base as transformers alone loads it.

    Raises:
        RecipeError: It is half of a network, or one that was made to see what follows.
    """
    from fucina.models.source import has_halves

    halves = has_halves(network.config)
    if not halves and not model.base.look_ahead:
        return
    what = "half of an encoder-decoder" if halves else "a decoder that was made to see what follows"
    raise RecipeError(
        f"{job.recipe.model.base} is read as {what}, which other programs would not do.",
        fix="Export it with --to onnx: the graph holds how it is read.",
    )


def engine_of(place: Path, session: Any) -> "Engine":
    """What answers from the files of an export and a network that is open."""
    from fucina.engines.onnx import OnnxLabeller, OnnxMarks
    from fucina.engines.onnx_folder import Exported, Words, read_facts, read_lexical

    facts = read_facts(place)
    words = Words(place / "tokenizer.json", facts)
    # One after the other: adapters of PEFT are switched between.
    opened = Exported(facts, words, session, "float32", *read_lexical(place, facts), threads=1)
    return OnnxLabeller(opened) if facts.kind == "labels" else OnnxMarks(opened)


def asked(engine: "Engine", prompts: "Sequence[str]") -> "Predictions | Spans":
    """What it answers to texts."""
    from fucina.engines.onnx import OnnxLabeller

    return engine.label(prompts) if isinstance(engine, OnnxLabeller) else engine.mark(prompts)


def checks_of(job: "Job", engine: "Engine", model: "Headed", by: str) -> list[Check]:
    """Hold an export against the trained model: tokens, probabilities, answers, scores.

    Args:
        job: The export.
        engine: Of the written files.
        model: The members that they were made of; of several their mean is another model, so that
            differences are told and not judged.
        by: What computed the export's side.
    """
    rows = test_set(job.folder)
    cases = rows.examples[: job.config.cases]
    prompts = [row.prompt for row in cases]
    wanted: Any = answer(model, cases, threads=job.threads, progress=job.progress)
    found = asked(engine, prompts)
    judged = len(members_of(model)) == 1 or engine.export.facts.members > 1
    most, least = CLOSE[job.config.precision], EQUAL[job.config.precision]
    return [
        same_tokens(by, engine.export, model, prompts),
        near(by, wanted, found, most if judged else None),
        equal(by, wanted, found, least if judged else None),
        *scored(job, asked(engine, rows.prompts), rows, by),
    ]


def usage_of(job: "Job", model: "Headed", members: "Sequence[str]" = ("",)) -> dict[str, Any]:
    """What the page needs, to say how an export of a classifier or tagger is used."""
    lexicon, tables = headed(model)[1:]
    return {
        "kind": "labels" if isinstance(model, Ensemble) else "spans",
        "types": ", ".join(model.labels if isinstance(model, Ensemble) else model.types),
        "members": list(members), "pooling": model.base.pooling,
        "base": job.base_of_adapters, "halves": False, "file": "",
        "how": model.how if isinstance(model, Ensemble) else "average",
        "ngrams": lexicon is not None and any(table is not None for table in tables),
    }  # fmt: skip


def _keep_rules(job: "Job", place: Path) -> None:
    """The rules that answer where the model is not sure go with it."""
    rules = run.rules_of(job.folder)
    if rules.is_file():
        shutil.copy(rules, place / rules.name)
