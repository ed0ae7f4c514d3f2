"""How many rows are computed at once: fewer where memory runs out."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from fucina.errors import ResourceError
from fucina.models import memory
from fucina.records import silent

__all__ = ["Pace"]

T = TypeVar("T")


@dataclass
class Pace:
    """Remembers how many rows fit in memory, and says when it must be fewer.

    Attributes:
        rows: At most at once; halved where memory runs out.
        doing: What is done with them, to end a sentence that begins with "while".
        tell: Takes a sentence for people.
    """

    rows: int
    doing: str = "writing answers"
    tell: Callable[[str], None] = silent

    def each(
        self, run: Callable[[np.ndarray], T], parts: Sequence[np.ndarray], threads: Executor
    ) -> Iterator[tuple[np.ndarray, T]]:
        """Parts of rows with what is made of them; one that does not fit comes again in halves.

        Args:
            run: Rows to what is made of them.
            parts: The rows.
            threads: Where parts run.

        Raises:
            ResourceError: A single row does not fit in memory.

        Example:
            >>> from concurrent.futures import ThreadPoolExecutor
            >>> def run(rows):
            ...     if len(rows) > 2:
            ...         raise MemoryError
            ...     return rows.tolist()
            >>> with ThreadPoolExecutor(1) as threads:
            ...     [found for _, found in Pace(4).each(run, [np.arange(5)], threads)]
            [[0, 1], [2, 3], [4]]
        """
        waiting = self._divided(parts)
        while waiting:
            short: list[tuple[int, BaseException]] = []

            def attempt(part: np.ndarray, short: list[Any] = short) -> tuple[T] | None:
                if short:
                    return None  # another one ran out of memory; it waits for the next turn
                try:
                    return (run(part),)
                except Exception as error:
                    if not memory.ran_out(error):
                        raise
                    # Its frames would hold the memory that is to be freed.
                    short.append((len(part), error.with_traceback(None)))
                    return None

            left = []
            for part, found in zip(waiting, threads.map(attempt, waiting), strict=True):
                if found is None:
                    left.append(part)
                else:
                    yield part, found[0]
            if short:
                self._halve(*min(short, key=lambda failed: failed[0]))
            waiting = self._divided(left)

    def _divided(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [
            part[begin : begin + self.rows]
            for part in parts
            for begin in range(0, len(part), self.rows)
        ]

    def _halve(self, rows: int, error: BaseException) -> None:
        memory.free()
        if rows == 1:
            raise ResourceError(
                f"one single row at a time does not fit in memory while {self.doing}.",
                fix="Lower chat.max_new_tokens or model.max_length_tokens, use fewer folds, or set "
                "model.quantize=nf4.",
            ) from error
        self.rows = -(-rows // 2)
        self.tell(f"out of memory while {self.doing}: {self.rows} rows at once from here on.")
