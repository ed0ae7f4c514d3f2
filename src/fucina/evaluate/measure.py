"""Judge a model as a user meets it: its answers, how long one takes, how much memory it needs."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from fucina.evaluate.judge import judge
from fucina.models.ensemble import Ensemble
from fucina.models.memory import peak_memory_mib
from fucina.records import Dataset, Evaluation, Predictions, Progress, silent

if TYPE_CHECKING:
    from fucina.config import EvaluationConfig

__all__ = ["latency", "measure", "peak_memory_mib"]

TIMED_PROMPTS = 50
WARM_UP = 3


def measure(
    model: Ensemble,
    rows: Dataset,
    config: "EvaluationConfig",
    *,
    seed: int,
    threads: ThreadPoolExecutor,
    name: str,
    progress: Progress = silent,
) -> tuple[Evaluation, Predictions]:
    """Answer and judge all rows, and time single prompts."""
    predictions = model.predict(
        rows.prompts, threads=threads, targets=rows.targets, progress=progress
    )
    cost = latency(model, rows.prompts[:TIMED_PROMPTS], threads=threads)
    cost["peak_memory_mib"] = peak_memory_mib()
    return judge(predictions, config, name=name, seed=seed, cost=cost), predictions


def latency(
    model: Ensemble, prompts: list[str], *, threads: ThreadPoolExecutor
) -> dict[str, float]:
    """Milliseconds for one prompt at a time, tokenizing included: mean, p50, p95."""
    times: list[float] = []
    for prompt in [*prompts[:WARM_UP], *prompts]:
        began = time.perf_counter()
        model.predict([prompt], threads=threads)
        times.append(1000 * (time.perf_counter() - began))
    times = times[WARM_UP:] or [0.0]
    return {
        "latency_mean_ms": float(np.mean(times)),
        "latency_p50_ms": float(np.quantile(times, 0.5)),
        "latency_p95_ms": float(np.quantile(times, 0.95)),
    }
