"""Threads that compute on one core each."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar, cast

import torch

__all__ = ["across", "across_cores", "count", "processors", "release", "start"]


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

    # PyTorch keeps 1,024 compiled products a thread, one for each shape; texts have many lengths,
    # and 64 measured as quick with 400 MiB less.
    os.environ.setdefault("LRU_CACHE_CAPACITY", "64")
    count = count or (1 if torch.cuda.is_available() else processors())
    with threadpool_limits(1), ThreadPoolExecutor(count, initializer=_prepare) as pool:
        yield pool


def release() -> None:
    """Give freed memory back to the system; the C library of Linux keeps it otherwise.

    Tensors of many sizes leave holes: ten folds measured 2.3 GiB without, 1.8 GiB with.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _prepare() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def across(
    pool: ThreadPoolExecutor, job: Callable[[Given], Made], work: Sequence[Given]
) -> Iterator[Made]:
    """Do each piece of work in a thread of the pool; a single piece here, on all their cores."""
    if len(work) != 1:
        yield from pool.map(job, work)
        return
    with across_cores(pool):
        yield job(work[0])


@contextmanager
def across_cores(pool: Executor) -> Iterator[None]:
    """Compute here on as many cores as the pool has, while its threads wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(count(pool))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def count(pool: Executor) -> int:
    """How many threads a pool has; it does not tell it in public."""
    return cast("ThreadPoolExecutor", pool)._max_workers
