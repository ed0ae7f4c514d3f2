"""What one answer costs: milliseconds alone, and the peak of memory."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from fucina.models.memory import peak_memory_mib

__all__ = ["cost_of"]

TIMED = 50
WARM_UP = 3

Asked = TypeVar("Asked")


def cost_of(answer: Callable[[Asked], object], asked: Sequence[Asked]) -> dict[str, float]:
    """Time the first of some rows one by one, tokenizing included: mean, p50, p95.

    Example:
        >>> sorted(cost_of(len, ["ciao"]))
        ['latency_mean_ms', 'latency_p50_ms', 'latency_p95_ms', 'peak_memory_mib']
    """
    times: list[float] = []
    for row in [*asked[:WARM_UP], *asked[:TIMED]]:
        began = time.perf_counter()
        answer(row)
        times.append(1000 * (time.perf_counter() - began))
    times = times[min(WARM_UP, len(asked)) :] or [0.0]
    return {
        "latency_mean_ms": float(np.mean(times)),
        "latency_p50_ms": float(np.quantile(times, 0.5)),
        "latency_p95_ms": float(np.quantile(times, 0.95)),
        "peak_memory_mib": peak_memory_mib(),
    }
