"""What proves that a GGUF file answers as the trained model did."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.engines import Sampling
from fucina.engines.odds import log_odds
from fucina.export.gguf.checkpoint import open_checkpoint
from fucina.export.gguf.layouts import layout_of
from fucina.export.gguf.writing import names_of
from fucina.records import Check, Example, Progress, silent

if TYPE_CHECKING:
    from fucina.engines.llama import LlamaTalker
    from fucina.models.writer import Writer

__all__ = ["Trained", "check_weights", "facts_of", "prove", "trained_on"]

# The largest difference of two scores, as a share of their range. llama.cpp keeps what it has read
# in float16 and adds in another order; measured on favilla: F32 1e-4, F16 2e-4, BF16 1e-3, Q8_0
# 9e-3, Q4_K_M 4e-2. Of types with fewer bits it is told and not judged.
LOGITS = {"F32": 3e-3, "F16": 1e-2, "BF16": 2e-2}
# Shares of equal answers. One word that is as likely as another changes all that follows it, so
# that of types with fewer bits the words are judged one by one, each after those of training.
ANSWERS = {"F32": 0.95, "F16": 0.95, "BF16": 0.9}
# Measured on an adapter of favilla: Q8_0 0.993, Q5_K_M 0.980, Q4_K_M 0.970, Q4_0 0.966.
TOKENS = {"F32": 0.99, "F16": 0.99, "BF16": 0.98, "Q8_0": 0.97, "Q6_K": 0.95}
FEW = {"Q5": 0.93, "Q4": 0.9}  # of all types that begin so; of those with fewer bits it is told
# Errors of a tensor, as a share of its size: of the rounding of one number.
WEIGHTS = {"F32": 0.0, "F16": 1e-3, "BF16": 4e-3, "Q8_0": 1e-2}
LEAST = 1e-300  # a probability that float64 cannot hold


@dataclass(frozen=True)
class Trained:
    """What the trained model made of n rows.

    Attributes:
        rows: The rows.
        prompts: What it read of each.
        logs: Logarithms of the probabilities of the first token of each answer.
        tokens: What it wrote, without the end.
        answers: The same as text.
        max_tokens: Of an answer at most.
        exact: It computed in float32. In bfloat16 its own rounding is a hundred times that of
            llama.cpp, so that a difference says nothing, and is told and not judged.
    """

    rows: tuple[Example, ...]
    prompts: tuple[list[int], ...]
    logs: tuple[np.ndarray, ...]
    tokens: tuple[tuple[int, ...], ...]
    answers: tuple[str, ...]
    max_tokens: int
    exact: bool


def trained_on(
    writer: "Writer", rows: Sequence[Example], *, progress: Progress = silent
) -> Trained:
    """Let the trained model answer rows, to hold an export against it.

    Args:
        writer: The model, best of all opened in float32, whatever it was trained in.
        rows: Held-out rows.
        progress: Told after each answer.
    """
    from fucina.models.constrain import likeliest

    prompts = [writer.asked(row) for row in rows]
    logs, tokens = [], []
    for done, (row, prompt) in enumerate(zip(rows, prompts, strict=True), start=1):
        choose = writer.held.begin([row]) if writer.held else likeliest
        steps = list(writer.steps(prompt, choose))
        logs.append(np.log(np.maximum(steps[0][1].cpu().numpy(), LEAST)))
        tokens.append(tuple(token for token, _ in steps if token != writer.template.end_id))
        progress("answering as the run does", done, len(rows))
    decode = writer.base.tokenizer.decode
    return Trained(
        tuple(rows), tuple(prompt.tolist() for prompt in prompts), tuple(logs), tuple(tokens),
        tuple(decode(list(own), skip_special_tokens=True).strip() for own in tokens),
        writer.max_new_tokens, exact=_is_exact(writer),
    )  # fmt: skip


def _is_exact(writer: "Writer") -> bool:
    import torch

    return next(writer.base.network.parameters()).dtype == torch.float32


def prove(
    talker: "LlamaTalker",
    trained: Trained,
    kind: str,
    *,
    least_equal: float | None = None,
    progress: Progress = silent,
) -> tuple[Check, ...]:
    """Hold a GGUF file against the trained model: prompts, logits, tokens one by one, answers.

    Args:
        talker: The file in llama.cpp, opened with the system and the lengths of the run.
        trained: What the trained model made of held-out rows.
        kind: Type of the file.
        least_equal: Share of answers that must be equal; None for that of the type, which is
            none for types of few bits.
        progress: Told after each row.
    """
    prompts = [talker.prompt_ids(row) for row in trained.rows]
    answers = []
    for done, row in enumerate(trained.rows, start=1):
        pieces = talker.talk(row, Sampling(max_tokens=trained.max_tokens))
        answers.append("".join(piece.text for piece in pieces).strip())
        progress("answering with llama.cpp", done, len(trained.rows))
    judged = trained.exact
    least = ANSWERS.get(kind) if judged and least_equal is None else least_equal
    return (
        _equal("prompt tokens", talker.name, trained.prompts, prompts, 1.0),
        _logits(talker, trained, LOGITS.get(kind) if judged else None),
        _tokens(talker, trained, TOKENS.get(kind, FEW.get(kind[:2])) if judged else None),
        _equal("answers", talker.name, trained.answers, answers, least),
    )


def _tokens(talker: "LlamaTalker", trained: Trained, least: float | None) -> Check:
    """The share of the trained answers' tokens that llama.cpp would write in their place."""
    same, count = 0, 0
    for prompt, written in zip(trained.prompts, trained.tokens, strict=True):
        for place, token in enumerate(written):
            same += int(talker.scores([*prompt, *written[:place]]).argmax()) == token
            count += 1
    share = same / count if count else 1.0
    return Check(
        "tokens", talker.name, count, share, least, least is None or share >= least,
        "each after the words of training",
    )  # fmt: skip


def _equal(
    name: str, engine: str, expected: Sequence[Any], found: Sequence[Any], least: float | None
) -> Check:
    pairs = enumerate(zip(expected, found, strict=True), start=1)
    others = [number for number, (first, second) in pairs if first != second]
    share = 1 - len(others) / len(expected) if expected else 1.0
    note = ""
    if others:
        more = "" if len(others) <= 5 else f" and {len(others) - 5} more"
        note = f"rows that differ: {', '.join(map(str, others[:5]))}{more}"
    return Check(name, engine, len(expected), share, least, least is None or share >= least, note)


def _logits(talker: "LlamaTalker", trained: Trained, most: float | None) -> Check:
    """The largest difference of scores of the first token, after the tokens of training."""
    worst = 0.0
    for prompt, expected in zip(trained.prompts, trained.logs, strict=True):
        found = log_odds(talker.scores(prompt))
        worst = max(worst, float(np.abs(found - expected).max() / np.ptp(expected)))
    return Check(
        "logits", talker.name, len(trained.prompts), worst, most, most is None or worst <= most,
        "largest difference as a share of the range of all scores",
    )  # fmt: skip


def check_weights(folder: Path, path: Path, kind: str) -> Check:
    """Read a file back and hold its tensors against the checkpoint's; llama.cpp is not needed.

    Args:
        folder: The checkpoint.
        path: The GGUF file.
        kind: Its type.
    """
    import gguf

    checkpoint = open_checkpoint(folder)
    layout = layout_of(checkpoint.config)
    names = names_of(checkpoint, layout)
    worst, where, seen = 0.0, "", set()
    for tensor in gguf.GGUFReader(path).tensors:
        seen.add(tensor.name)
        name = names.get(tensor.name)
        if name is None:
            continue
        expected = layout.change(name, checkpoint.read(name))
        found = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(expected.shape)
        size = float(np.linalg.norm(expected)) or 1.0
        error = float(np.linalg.norm(found - expected)) / size
        if error > worst:
            worst, where = error, tensor.name
    missing = sorted({*names, *layout.more} - seen)
    most = WEIGHTS.get(kind)
    passed = not missing and (most is None or worst <= most)
    note = f"missing: {', '.join(missing)}" if missing else f"worst: {where}" if where else ""
    return Check("weights", "gguf", len(seen), worst, most, passed, note)


def facts_of(path: Path) -> Mapping[str, Any]:
    """What a proof is of: the file, and the libraries that wrote and read it.

    Args:
        path: The GGUF file.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": digest,
        **{name: _version(name) for name in ("gguf", "llama-cpp-python")},
    }


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
