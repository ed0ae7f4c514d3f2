"""Threads that may hang: nobody waits for them, neither a request nor the end of the program."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["Workers"]

Job = Callable[[], None]


class Workers:
    """Remembers threads that do jobs in the order in which they come.

    The standard pool waits at the end of the program for jobs that never end; these do not keep
    anything alive.

    Args:
        count: How many threads.
        name: Of the threads, for people who look at them.
    """

    def __init__(self, count: int, name: str) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._name, self._count = name, 0
        for _ in range(count):
            self.grow()

    def grow(self) -> None:
        """One thread more."""
        self._count += 1
        name = f"{self._name}-{self._count}"
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def do(self, job: Job) -> None:
        """Do a job, which must not raise, as soon as a thread is free."""
        self._jobs.put(job)

    def close(self) -> None:
        """Let every thread end after what it does now."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
