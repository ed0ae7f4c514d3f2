"""A model that writes, as a folder that transformers loads, and what proves that it is the same."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fucina.export.gguf import Trained
from fucina.records import Check, Example

if TYPE_CHECKING:
    from fucina.models.template import Template

__all__ = [
    "check_answers",
    "check_logits",
    "check_prompts",
    "check_sources",
    "compare_logits",
    "standalone",
    "sums_of",
    "write_folder",
    "write_words",
]

# The largest difference of the log odds of two tokens that is rounding: of float32 in another
# order of sums, and of weights that were cut to 16 bits.
LOGITS = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 1.5e-1}
ANSWERS = {"float32": 0.99, "float16": 0.95, "bfloat16": 0.8}
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SHARD = "5GB"


def write_folder(
    network: Any, tokenizer: Any, template: "Template | None", folder: Path, precision: str
) -> None:
    """Write network and tokenizer as `from_pretrained` reads them, with the run's template.

    Args:
        network: With the members in its weights.
        tokenizer: Of the base.
        template: How the run wrote conversations; None where it has none, as encoders do.
        folder: A new one.
        precision: Of the weights.
    """
    network = network.to(DTYPES[precision])
    network.config.use_cache = True
    network.config.dtype = DTYPES[precision]
    if template is not None:
        network.generation_config.eos_token_id = template.end_id
    if network.can_generate():
        network.generation_config.do_sample = False
    network.save_pretrained(folder, max_shard_size=SHARD)
    write_words(tokenizer, template, folder)


def write_words(tokenizer: Any, template: "Template | None", folder: Path) -> None:
    """Write a tokenizer as transformers reads it, with the template of a run; None for none."""
    if template is not None:
        tokenizer.chat_template = standalone(template)
    tokenizer.save_pretrained(folder)


def standalone(template: "Template") -> str:
    """A chat template as other programs can use it: what it is told here is set in it."""
    told = {"END": template.end, "enable_thinking": False}
    sets = [
        f"{{%- set {name} = {json.dumps(value)} -%}}\n"
        for name, value in told.items()
        if re.search(rf"\b{name}\b", template.source)
    ]
    return "".join([*sets, template.source])


def check_prompts(folder: Path, trained: Trained, system: str | None) -> Check:
    """Whether transformers alone reads the questions as the trained model did.

    Args:
        folder: As `write_folder` left it.
        trained: What the trained model made of rows.
        system: What the system says where a row does not say it itself.
    """
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    others, told = [], 0
    for number, (row, expected) in enumerate(zip(trained.rows, trained.prompts, strict=True), 1):
        turns = [{"role": t.role, "content": t.content} for t in row.messages[:-1]]
        turns = turns or [{"role": "user", "content": row.prompt}]
        if system is not None and turns[0]["role"] != "system":
            turns = [{"role": "system", "content": system}, *turns]
        if any(turn.tool_calls for turn in row.messages) or row.tools:
            continue
        found = tokenizer.apply_chat_template(turns, add_generation_prompt=True)
        ids = list(found["input_ids"] if not isinstance(found, list) else found)
        if len(ids) != len(expected) and len(expected) < len(ids):
            continue  # it was cut as in training
        told += 1
        others += [] if ids == expected else [number]
    share = 1 - len(others) / told if told else 1.0
    note = f"rows that differ: {', '.join(map(str, others[:5]))}" if others else ""
    return Check("prompt tokens", "transformers", told, share, 1.0, share == 1.0, note)


def check_sources(folder: Path, trained: Trained, read: Callable[[Example], str]) -> Check:
    """Whether transformers alone reads what an encoder-decoder was given as it did.

    Args:
        folder: As `write_folder` left it.
        trained: What the trained model made of rows.
        read: A row to the text that is read.
    """
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    pairs = zip(trained.rows, trained.prompts, strict=True)
    whole = [(tokenizer(read(row))["input_ids"], given) for row, given in pairs]
    told = [ids == given for ids, given in whole if len(ids) <= len(given)]  # others were cut
    share = sum(told) / len(told) if told else 1.0
    return Check("prompt tokens", "transformers", len(told), share, 1.0, share == 1.0)


def check_logits(folder: Path, trained: Trained, precision: str, pick: int) -> Check:
    """How far the odds of the first token are from those of the trained model, in transformers.

    Args:
        folder: As `write_folder` left it.
        trained: What the trained model made of rows.
        precision: Of the weights.
        pick: So many of the likeliest tokens are compared.
    """
    from fucina.models.source import read_config, writer_class

    kind = writer_class(read_config(folder.name, str(folder)))
    network: Any = kind.from_pretrained(
        folder, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
    ).eval()
    return compare_logits(network, trained, LOGITS[precision], pick, "transformers")


def compare_logits(network: Any, trained: Trained, limit: float, pick: int, by: str) -> Check:
    """The same of a network that is open.

    Args:
        network: Of transformers, or with an adapter of PEFT, in float32.
        trained: What the trained model made of rows.
        limit: What the largest difference is held to.
        pick: So many of the likeliest tokens are compared.
        by: Whose program computes.
    """
    from fucina.models.halves import start_of

    begun = {}
    if network.config.is_encoder_decoder:
        begun = {"decoder_input_ids": torch.tensor([[start_of(network)]])}
    worst = 0.0
    for prompt, expected in zip(trained.prompts, trained.logs, strict=True):
        with torch.no_grad():
            out = network(input_ids=torch.tensor([prompt]), **begun)
            scores = out.logits[0, -1].double()
        found = torch.log_softmax(scores, dim=-1).numpy()
        best = np.argsort(-expected)[:pick]
        worst = max(worst, float(np.abs(found[best] - expected[best]).max()))
    most = limit if trained.exact else None
    return Check(
        "logits", by, len(trained.prompts), worst, most, most is None or worst <= most,
        f"largest difference of the log odds of the {pick} likeliest first tokens",
    )  # fmt: skip


def check_answers(trained: Trained, found: Sequence[str], precision: str, engine: str) -> Check:
    """The share of rows that the export answers word by word as the trained model did."""
    answers = found[: len(trained.answers)]
    pairs = enumerate(zip(trained.answers, answers, strict=True), start=1)
    others = [number for number, (one, two) in pairs if one != two]
    share = 1 - len(others) / len(trained.answers) if trained.answers else 1.0
    least = ANSWERS[precision] if trained.exact else None
    note = f"rows that differ: {', '.join(map(str, others[:5]))}" if others else ""
    passed = least is None or share >= least
    return Check("answers", engine, len(trained.answers), share, least, passed, note)


def sums_of(folder: Path) -> dict[str, str]:
    """Name to SHA-256 of each file of an export."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(
                    file, "sha256"
                ).hexdigest()
    return found
