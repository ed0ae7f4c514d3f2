"""Rows of many requests, answered together: whatever waits when the model is free is one batch.

Nothing waits for a batch to fill: a row that comes alone is answered at once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from fucina.records import silent
from fucina.serve.interface import BusyError, Failure
from fucina.serve.worker import Workers

__all__ = ["Batcher"]

Given = TypeVar("Given")
Made = TypeVar("Made")

SPARES = 2  # threads that take over from one that hangs; a third hangs for the same reason
MOST = 32  # rows of a batch


class Batcher(Generic[Given, Made]):
    """Remembers what waits for a model.

    Args:
        answer: n rows to n answers; called in threads of its own, in as many at once as `lanes`.
        name: Of the thread.
        waiting: Rows that may wait.
        timeout_s: Until a row counts as not answered, its wait included.
        told: Told the size of each batch.
        lanes: Batches that may be under way at once; a model that computes on one core leaves the
            others to a second batch, and to what is done before and after.
    """

    def __init__(
        self,
        answer: Callable[[list[Given]], Sequence[Made | Failure]],
        *,
        name: str,
        waiting: int,
        timeout_s: float,
        told: Callable[[int], None] = silent,
        lanes: int = 1,
    ) -> None:
        self._answer, self._waiting, self._timeout_s, self._told = answer, waiting, timeout_s, told
        self._queue: deque[tuple[Given, asyncio.Future[Made | Failure]]] = deque()
        self._workers, self._lanes, self._spares = Workers(lanes, name), lanes, SPARES
        self._began: dict[int, float] = {}  # batches under way: number to when they began
        self._batches = 0

    @property
    def waiting(self) -> int:
        """Rows that wait now."""
        return len(self._queue)

    async def ask(self, rows: Sequence[Given]) -> list[Made | Failure]:
        """Answer rows, each by itself: one that fails leaves the others alone.

        Raises:
            BusyError: Too many wait already.
        """
        if self._queue and len(self._queue) + len(rows) > self._waiting:
            raise BusyError(max(1, round(self._timeout_s)))
        if not self._goes_on():
            return [Failure("timeout", "the model hangs")] * len(rows)
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in rows]
        self._queue.extend(zip(rows, futures, strict=True))
        loop.call_soon(self._go_on)
        try:
            await asyncio.wait(futures, timeout=self._timeout_s)
            late = Failure("timeout", f"no answer in {self._timeout_s:g} s")
            return [future.result() if future.done() else late for future in futures]
        finally:
            for future in futures:  # nobody waits for these any more
                future.cancel()

    def close(self) -> None:
        """Let the thread end."""
        self._workers.close()

    def _goes_on(self) -> bool:
        """Give the lanes that hang another thread, if one is left; whether any goes on."""
        late = time.monotonic() - self._timeout_s
        for number in [number for number, began in self._began.items() if began < late]:
            if self._spares == 0:
                break
            self._spares -= 1
            self._workers.grow()
            del self._began[number]
        return len(self._began) < self._lanes or any(
            began >= late for began in self._began.values()
        )

    def _go_on(self) -> None:
        """Begin batches where lanes are free: each takes its share of what waits."""
        while self._queue and (free := self._lanes - len(self._began)) > 0:
            self._begin(min(MOST, -(-len(self._queue) // free)))

    def _begin(self, most: int) -> None:
        """Begin a batch of the rows that waited longest."""
        batch = []
        while self._queue and len(batch) < most:
            row, future = self._queue.popleft()
            if not future.done():
                batch.append((row, future))
        if not batch:
            return
        self._batches += 1
        number = self._batches
        self._began[number] = time.monotonic()
        loop = asyncio.get_running_loop()
        rows = [row for row, _ in batch]
        futures = [future for _, future in batch]

        def work() -> None:
            made = self._each(rows)
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._deliver, number, futures, made)

        self._told(len(batch))
        self._workers.do(work)

    def _deliver(
        self,
        number: int,
        futures: Sequence[asyncio.Future[Made | Failure]],
        made: Sequence[Made | Failure],
    ) -> None:
        for future, one in zip(futures, made, strict=True):
            if not future.done():
                future.set_result(one)
        if self._began.pop(number, None) is not None:  # else another thread has taken over
            self._go_on()

    def _each(self, rows: list[Given]) -> Sequence[Made | Failure]:
        """The answers; where all together fail, those of each row by itself."""
        try:
            made = self._answer(rows)
            if len(made) != len(rows):
                raise RuntimeError(f"{len(made)} answers to {len(rows)} rows")
            return made
        except Exception as error:  # whatever a model raises, the server stays up
            if len(rows) > 1:
                return [self._each([row])[0] for row in rows]
            return [Failure("error", type(error).__name__)]
