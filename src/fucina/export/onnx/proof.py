"""Does the written folder answer as the trained model does?"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.engines.onnx import OnnxLabeller, OnnxMarks, open_labeller, open_marker
from fucina.engines.onnx_folder import GRAPHS, Precision
from fucina.models.ensemble import Ensemble
from fucina.models.sums import read_sums
from fucina.models.tokenize import encode
from fucina.records import Check, Example, Predictions, Progress, Spans, silent

if TYPE_CHECKING:
    from fucina.models.marker import Marker

    Engine = OnnxLabeller | OnnxMarks

__all__ = ["facts_of", "prove"]

CLOSE = 1e-3  # of a probability; sums in another order measured 1e-5 and less
EQUAL = 0.995  # of rows: two labels may be equally likely
EQUAL_COARSELY = 0.97  # against a model that was trained in bfloat16, which rounds to 3 digits
EQUAL_INT8 = 0.99


def prove(
    folder: Path,
    model: "Ensemble | Marker",
    prompts: Sequence[str],
    *,
    threads: ThreadPoolExecutor,
    progress: Progress = silent,
) -> tuple[Check, ...]:
    """Hold each graph of a folder against the trained model: tokens, probabilities, answers.

    Args:
        folder: As `write` wrote it.
        model: What it was written from.
        prompts: Texts; held-out ones tell most.
        threads: Where the trained model computes.
        progress: Told after each graph.
    """
    labels = isinstance(model, Ensemble)
    wanted = (
        model.predict(prompts, threads=threads)
        if isinstance(model, Ensemble)
        else model.predict([Example(prompt, "") for prompt in prompts], threads=threads)
    )
    checks: list[Check] = []
    kinds: list[Precision] = [kind for kind in GRAPHS if (folder / GRAPHS[kind]).is_file()]
    for done, kind in enumerate(kinds, start=1):
        engine = (open_labeller if labels else open_marker)(folder, precision=kind)
        found = engine.label(prompts) if isinstance(engine, OnnxLabeller) else engine.mark(prompts)
        if not checks:
            checks.append(_tokens(engine, model, prompts))
        exact = model.base.precision == "float32" and kind == "float32"
        checks.append(_near(engine.name, wanted, found, CLOSE if exact else None))
        least = EQUAL if exact else EQUAL_INT8 if model.base.precision == "float32" else None
        checks.append(_equal(engine.name, wanted, found, least or EQUAL_COARSELY))
        progress("answering with ONNX Runtime", done, len(kinds))
    return tuple(checks)


def _tokens(engine: "Engine", model: "Ensemble | Marker", prompts: Sequence[str]) -> Check:
    most, base = engine.export.facts.max_length_tokens, model.base
    wanted = encode(prompts, base.tokenizer, max_length_tokens=most).ids
    found = encode(prompts, engine.export.words, max_length_tokens=most).ids
    same = [np.array_equal(one, other) for one, other in zip(wanted, found, strict=True)]
    share = float(np.mean(same)) if same else 1.0
    return Check("prompt tokens", engine.name, len(same), share, 1.0, share == 1.0, _rows(same))


def _near(
    name: str, wanted: Predictions | Spans, found: Predictions | Spans, most: float | None
) -> Check:
    """The largest difference of probabilities; of taggers, where they mark the same."""
    worst, note = 0.0, ""
    if isinstance(wanted, Predictions) and isinstance(found, Predictions):
        if len(wanted.probabilities):
            worst = float(np.abs(wanted.probabilities - found.probabilities).max())
    elif isinstance(wanted, Spans) and isinstance(found, Spans):
        note = "of spans that both mark"
        for row, own in enumerate(wanted.answers):
            theirs = dict(zip(found.answers[row], found.confidences[row], strict=True))
            for span, sure in zip(own, wanted.confidences[row], strict=True):
                worst = max(worst, abs(sure - theirs.get(span, sure)))
    cases, passed = len(wanted.prompts), most is None or worst <= most
    return Check("probabilities", name, cases, worst, most, passed, note)


def _equal(
    name: str, wanted: Predictions | Spans, found: Predictions | Spans, least: float
) -> Check:
    pairs = zip(wanted.answers, found.answers, strict=True)
    same = [one == other for one, other in pairs]
    share = float(np.mean(same)) if same else 1.0
    return Check("answers", name, len(same), share, least, share >= least, _rows(same))


def _rows(same: Sequence[bool]) -> str:
    others = [number for number, equal in enumerate(same, start=1) if not equal]
    more = "" if len(others) <= 5 else f" and {len(others) - 5} more"
    return f"rows that differ: {', '.join(map(str, others[:5]))}{more}" if others else ""


def facts_of(folder: Path) -> Mapping[str, Any]:
    """What a proof is of: the files, and the libraries that wrote and read them.

    Args:
        folder: As `write` wrote it.
    """
    sums = read_sums(folder)
    return {
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": own}
            for name, own in sums.items()
        },
        **{name: version(name) for name in ("onnx", "onnxruntime", "tokenizers", "torch")},
    }
