"""Does the written folder answer as the trained model does?"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fucina.engines.onnx import OnnxLabeller, open_labeller, open_marker
from fucina.engines.onnx_folder import GRAPHS, Precision
from fucina.export.comparing import equal, near, same_tokens
from fucina.models.ensemble import Ensemble
from fucina.models.sums import read_sums
from fucina.records import Check, Example, Progress, silent

if TYPE_CHECKING:
    from fucina.models.marker import Marker

__all__ = ["facts_of", "prove"]

CLOSE = 1e-3  # of a probability; sums in another order measured 1e-5 and less
EQUAL = 0.995  # of rows: two labels may be equally likely
EQUAL_COARSELY = 0.97  # against a model that was trained in bfloat16, which rounds to 3 digits
EQUAL_INT8 = 0.985  # it is held to 99 % of the graph in float32, which is held to 99.5 %


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
            checks.append(same_tokens(engine.name, engine.export, model, prompts))
        exact = model.base.precision == "float32" and kind == "float32"
        checks.append(near(engine.name, wanted, found, CLOSE if exact else None))
        least = EQUAL if exact else EQUAL_INT8 if model.base.precision == "float32" else None
        checks.append(equal(engine.name, wanted, found, least or EQUAL_COARSELY))
        progress("answering with ONNX Runtime", done, len(kinds))
    return tuple(checks)


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
