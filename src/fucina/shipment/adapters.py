"""Adapters in the layout of PEFT, one of a member, of all, or one that is their exact mean."""

import logging
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fucina import export, run
from fucina.errors import RecipeError
from fucina.export import gguf, heads
from fucina.export.beside import headed, write_beside
from fucina.models.ensemble import Ensemble
from fucina.models.peft_format import adapter_config, mean_of, to_tensors
from fucina.models.source import ALIASES, locate, read
from fucina.models.sums import write_sums
from fucina.records import Check
from fucina.shipment.files import file_of, write_file
from fucina.shipment.heads import (
    checks_of,
    engine_of,
    mean_head,
    open_headed,
    require_plain,
    usage_of,
)
from fucina.shipment.job import BASE, Made
from fucina.shipment.picking import keep, mean_table, members_of, picked
from fucina.shipment.reference import Reference, open_writer, reference
from fucina.shipment.scoring import scored
from fucina.shipment.writing import LIKELIEST, checks_of_merged, merge, opened
from fucina.tasks.settings import learnt_as

if TYPE_CHECKING:
    from fucina.export.heads import Heard
    from fucina.models.stack import Stack
    from fucina.shipment.job import Job

__all__ = ["write_adapter_file", "write_adapters"]

CONFIG, WEIGHTS, HEAD = "adapter_config.json", "adapter_model.safetensors", "head.safetensors"
CLOSE = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 1.5e-1}  # of log odds of first tokens


@dataclass(frozen=True)
class Written:
    """Adapters of one export.

    Attributes:
        folders: Of each, in the layout of PEFT.
        parts: Members that each stands for: one, or several whose mean it is.
    """

    folders: tuple[Path, ...]
    parts: "tuple[list[tuple[Stack, int]], ...]"

    def names(self, place: Path) -> list[str]:
        """The folders inside that of the export; empty for its own."""
        return ["" if own == place else own.name for own in self.folders]


def write_adapters(job: "Job", place: Path) -> Made:
    """Write adapters for PEFT and what builds on it, such as vLLM.

    Args:
        job: The export.
        place: An empty folder.

    Raises:
        RecipeError: The run has no adapter, or its mean is none.
    """
    _require_lora(job)
    writes = learnt_as(job.recipe) == "text"
    return _of_writer(job, place) if writes else _of_heads(job, place)


def write_adapter_file(job: "Job", place: Path) -> Made:
    """Write the base as one GGUF file and the adapter as another, for llama.cpp or Ollama.

    Args:
        job: The export.
        place: An empty folder.

    Raises:
        RecipeError: The run has no adapter, or several.
        ModelError: llama.cpp has no such network or adapter.
    """
    _require_lora(job)
    if job.wanted == "together" and job.members > 1:
        raise RecipeError(
            "members=together: llama.cpp would add the adapters up.",
            fix="Say members=best, averaged or distilled.",
        )
    held = reference(job, open_writer(job))
    template: Any = held.writer.template
    network, tokenizer = read(job.recipe.model.base, locate(job.recipe.model.base), "text")
    export.unpack(network, held.writer.base)
    weights, adapter = place / ".base", place / ".adapter"
    export.write_folder(network, tokenizer, template, weights, "float32")
    _write(job, held.model, adapter)
    checks = write_file(job, held, weights, place, adapter)
    for folder in (weights, adapter):
        shutil.rmtree(folder)
    return Made(tuple(checks), held.trained.answers, held.usage("", file=file_of(job)))


def _require_lora(job: "Job") -> None:
    kind = job.recipe.adapter.kind
    if kind != "lora":
        what = "all weights" if kind == "full" else "a head alone"
        raise RecipeError(
            f"the run trained {what} (adapter.kind: {kind}), so there is no adapter.",
            fix="Export it with --to merged.",
        )
    if job.recipe.adapter.dora and job.wanted == "averaged" and job.members > 1:
        raise RecipeError(
            "the mean of DoRA adapters is no adapter: each has lengths of its own.",
            fix="Say --to merged, whose weights are the exact mean; or members=best or distilled.",
        )


def _write(job: "Job", model: Any, place: Path) -> Written:
    """The adapters of the members of a model: in folders of their own where they are several."""
    every = members_of(model)
    if len(every) == 1 or job.wanted == "averaged":
        parts, folders = [every], [place]
    else:
        parts = [[member] for member in every]
        folders = [place / f"member-{number}" for number in range(1, len(every) + 1)]
    for members, folder in zip(parts, folders, strict=True):
        stack = members[0][0]
        rows = [own.adapters[at] for own, at in members]
        tensors = to_tensors(stack, rows[0]) if len(rows) == 1 else mean_of(stack, rows)
        run.write_tensors(folder / WEIGHTS, tensors, {})
        config = adapter_config(stack, job.recipe.adapter, members=len(rows))
        run.write_json(folder / CONFIG, config | {"base_model_name_or_path": job.base_of_adapters})
    return Written(tuple(folders), tuple(parts))


def _network(job: "Job", place: Path, answer: str, base: Any) -> Any:
    """The base as others load it, in float32; one that others cannot get is written first."""
    from fucina.models.source import writer_class

    name = job.recipe.model.base
    network, tokenizer = read(name, locate(name), answer)
    export.unpack(network, base)
    if name not in ALIASES:
        if "precision" in job.config.model_fields_set:
            job.say("precision= changes nothing: adapters name their base, which is not written")
        return network.eval()
    template: Any = base.template
    export.write_folder(network, tokenizer, template, place / BASE, job.config.precision)
    import transformers

    kind = writer_class(network.config) if answer == "text" else transformers.AutoModel
    return kind.from_pretrained(
        place / BASE, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    ).eval()


def _adapted(network: Any, folders: tuple[Path, ...]) -> Any:
    """A network with all adapters of an export, as PEFT loads them."""
    told = logging.getLogger("bitsandbytes")  # of a kernel that nothing here calls
    told.setLevel(logging.ERROR)
    from peft import PeftModel

    names = [f"member_{number}" for number in range(1, len(folders) + 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses names that transformers will rename
        adapted: Any = PeftModel.from_pretrained(
            network, str(folders[0]), adapter_name=names[0], local_files_only=True
        )
        for name, folder in zip(names[1:], folders[1:], strict=True):
            adapted.load_adapter(str(folder), adapter_name=name, local_files_only=True)
    return adapted.eval()


def _of_writer(job: "Job", place: Path) -> Made:
    held = reference(job, open_writer(job))
    base = held.writer.base
    network = _network(job, place, "text", base)
    written = _write(job, held.model, place)
    template: Any = held.writer.template if base.halves is None else None
    export.write_words(base.tokenizer, template, place)
    if template is not None:
        network.generation_config.eos_token_id = template.end_id
        network.generation_config.save_pretrained(place)  # vLLM is told what ends an answer
    adapted = _adapted(network, written.folders)
    limit = CLOSE[job.config.precision if (place / BASE).is_dir() else "float32"]
    choir = _Choir(adapted)
    if len(written.folders) == 1 and len(members_of(held.model)) > 1:
        checks = _of_mean(job, held, choir, place, limit)
    else:
        compared = export.compare_logits(choir, held.trained, limit, LIKELIEST, "peft")
        checks = [compared, *_reread(job, held, written)]
    usage = held.usage(job.base_of_adapters, written.names(place))
    return Made(tuple(checks), (), usage)


def _of_mean(
    job: "Job", held: Reference, choir: "_Choir", place: Path, limit: float
) -> list[Check]:
    """Hold the mean adapter against the weights that are the mean, and those against the run."""
    merged = place / ".merged"
    merge(job, held, merged, "float32")
    mean = opened(job, held, merged)
    trained = gguf.trained_on(mean, held.cases, progress=job.progress)
    checks = [
        export.compare_logits(choir, trained, limit, LIKELIEST, "peft"),
        *checks_of_merged(job, held, merged, "float32"),
    ]
    shutil.rmtree(merged)
    return checks


class _Choir:
    """Remembers a network with several adapters, whose odds are averaged.

    Args:
        adapted: As PEFT loads it.
    """

    def __init__(self, adapted: Any) -> None:
        self._adapted, self.config = adapted, adapted.config
        self.generation_config = adapted.generation_config

    def __call__(self, **given: Any) -> Any:
        """What a network of transformers gives, with the log of the mean odds as its logits."""
        odds = []
        for name in self._adapted.peft_config:
            self._adapted.set_adapter(name)
            out = self._adapted(**given)
            odds.append(torch.softmax(out.logits.double(), dim=-1))
        out.logits = torch.stack(odds).mean(dim=0).log()
        return out


def _reread(job: "Job", held: Reference, written: Written) -> list[Check]:
    """What the files say, read back, and what the test set makes of it."""
    rows, worst = held.rows, 0.0
    for folder, members in zip(written.folders, written.parts, strict=True):
        (stack, at) = members[0]
        own = run.read_tensors(folder / WEIGHTS)
        known = to_tensors(stack, stack.adapters[at].detach().cpu())
        worst = max(worst, *(float((own[name] - known[name]).abs().max()) for name in known))
    check = Check("weights", "safetensors", len(written.folders), worst, 0.0, worst == 0.0,
                  "largest difference, read back")  # fmt: skip
    if isinstance(held.model, Ensemble):
        found: Any = held.model.predict(rows.prompts, threads=job.threads, progress=job.progress)
    else:
        found = held.model.predict(rows.examples, threads=job.threads, progress=job.progress)
    return [check, *scored(job, found, rows, "torch")]


def _of_heads(job: "Job", place: Path) -> Made:
    model = keep(open_headed(job), picked(job))
    network = _network(job, place, "label", model.base)
    require_plain(job, model, network)
    written = _write(job, model, place)
    lexicon, tables = headed(model)[1:]
    if len(written.folders) == 1:
        tables = (mean_table(tables),)
    lexicon = lexicon if any(table is not None for table in tables) else None
    write_beside(model, place, len(written.folders), lexicon, tables)
    for folder, members in zip(written.folders, written.parts, strict=True):
        weight, bias = mean_head(members)
        run.write_tensors(folder / HEAD, {"weight": weight.t().contiguous(), "bias": bias}, {})
    write_sums(place)
    session = _session(_adapted(network, written.folders), written.folders, model)
    checks = checks_of(job, engine_of(place, session), model, "peft")
    return Made(tuple(checks), (), usage_of(job, model, written.names(place)))


def _session(adapted: Any, folders: tuple[Path, ...], model: Any) -> "Heard":
    """Adapters and heads of an export, as they lie there, as one thing that scores."""
    read_heads = [run.read_tensors(folder / HEAD) for folder in folders]
    labels = isinstance(model, Ensemble)

    def scores(ids: Tensor, mask: Tensor) -> Tensor:
        found = []
        for name, head in zip(adapted.peft_config, read_heads, strict=True):
            adapted.set_adapter(name)
            states = adapted(input_ids=ids, attention_mask=mask).last_hidden_state
            found.append(heads.weigh(states, mask, model.base, head, pooled=labels))
        return torch.stack(found)

    return heads.Heard(scores)
