"""Threads that compute on one core each."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

__all__ = ["count", "processors", "run", "start"]


Given = TypeVar("Given")
Made = TypeVar("Made")


def processors() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@contextmanager
def start(count: int = 0) -> Iterator[ThreadPoolExecutor]:
    """Start worker threads, one core each; 0 means one a core, or one where a GPU computes.

    Two threads with one core each measured 1.8 to 2.0 times one thread; one with two cores 1.5
    to 1.9, and far worse on a busy machine. Denormal numbers are flushed to zero: a sure model
    makes them, and they cost ten times as much.
    The same holds for the linear algebra of scikit-learn: left to start its own threads in each
    of ours, ten floors took 23 s instead of 1.3 s.
    """
    from threadpoolctl import threadpool_limits

    count = count or (1 if torch.cuda.is_available() else processors())
    with threadpool_limits(1), ThreadPoolExecutor(count, initializer=_prepare) as pool:
        yield pool


def _prepare() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def run(
    pool: ThreadPoolExecutor, job: Callable[[Given], Made], work: Sequence[Given]
) -> Iterator[Made]:
    """Do each piece of work in a thread of the pool; a single piece here, on all their cores."""
    if len(work) != 1:
        yield from pool.map(job, work)
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count(pool))
    try:
        yield job(work[0])
    finally:
        torch.set_num_threads(before)


def count(pool: ThreadPoolExecutor) -> int:
    """How many threads a pool has; it does not tell it in public."""
    return pool._max_workers
