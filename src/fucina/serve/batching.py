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
        answer: n rows to n answers; called in a thread of its own, never twice at once.
        name: Of the thread.
        waiting: Rows that may wait.
        timeout_s: Until a row counts as not answered, its wait included.
        told: Told the size of each batch.
    """

    def __init__(
        self,
        answer: Callable[[list[Given]], Sequence[Made | Failure]],
        *,
        name: str,
        waiting: int,
        timeout_s: float,
        told: Callable[[int], None] = silent,
    ) -> None:
        self._answer, self._waiting, self._timeout_s, self._told = answer, waiting, timeout_s, told
        self._queue: deque[tuple[Given, asyncio.Future[Made | Failure]]] = deque()
        self._workers, self._spares = Workers(1, name), SPARES
        self._turn, self._began = 0, 0.0  # of the batch under way; its turn is 0 where none is
        self._turns = 0

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
        if self._hangs() and not self._take_over():
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

    def _hangs(self) -> bool:
        return self._turn > 0 and time.monotonic() - self._began > self._timeout_s

    def _take_over(self) -> bool:
        """Go on with another thread than the one that hangs, if one is left."""
        if self._spares == 0:
            return False
        self._spares -= 1
        self._workers.grow()
        self._turn = 0
        return True

    def _go_on(self) -> None:
        """Begin the next batch where none is under way."""
        if self._turn:
            return
        batch = []
        while self._queue and len(batch) < MOST:
            row, future = self._queue.popleft()
            if not future.done():
                batch.append((row, future))
        if not batch:
            return
        self._turns += 1
        turn = self._turn = self._turns
        self._began = time.monotonic()
        loop = asyncio.get_running_loop()
        rows = [row for row, _ in batch]
        futures = [future for _, future in batch]

        def work() -> None:
            made = self._each(rows)
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._deliver, turn, futures, made)

        self._told(len(batch))
        self._workers.do(work)

    def _deliver(
        self,
        turn: int,
        futures: Sequence[asyncio.Future[Made | Failure]],
        made: Sequence[Made | Failure],
    ) -> None:
        for future, one in zip(futures, made, strict=True):
            if not future.done():
                future.set_result(one)
        if turn == self._turn:  # else another thread has taken over
            self._turn = 0
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
