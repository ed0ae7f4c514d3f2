"""Answers that are written piece by piece, a few at once, and passed on as they come."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator

from fucina.engines import Piece
from fucina.errors import DataError, FucinaError, RecipeError
from fucina.serve.answers import NO_NUMBER
from fucina.serve.interface import BusyError, Failure
from fucina.serve.worker import Workers

__all__ = ["Scribes"]

Coming = Piece | Failure | FucinaError | None
SPARES = 2  # threads that take over from those that hang


class Scribes:
    """Remembers who writes and who waits.

    Args:
        name: Of the threads.
        at_once: Answers that are written at once.
        waiting: Requests that may wait beside.
        timeout_s: Until a piece counts as not coming, the wait for a thread included.
    """

    def __init__(self, *, name: str, at_once: int, waiting: int, timeout_s: float) -> None:
        self._workers, self._spares = Workers(at_once, name), SPARES
        self._most, self._timeout_s = at_once + waiting, timeout_s
        self._open = 0

    @property
    def waiting(self) -> int:
        """Answers that are written or waited for now."""
        return self._open

    async def write(
        self, begin: Callable[[], Iterator[Piece]]
    ) -> AsyncGenerator[Piece | Failure | FucinaError]:
        """Give the pieces of an answer; a failure, or what is wrong with the question, ends them.

        Args:
            begin: Begins to write, in another thread.

        Raises:
            BusyError: Too many wait already.
        """
        if self._open >= self._most:
            raise BusyError(max(1, round(self._timeout_s)))
        self._open += 1
        loop, left = asyncio.get_running_loop(), threading.Event()
        pieces: asyncio.Queue[Coming] = asyncio.Queue()

        def put(piece: Coming) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        self._workers.do(lambda: _write(begin, put, left))
        try:
            while True:
                try:
                    piece = await asyncio.wait_for(pieces.get(), self._timeout_s)
                except TimeoutError:
                    self._replace()
                    piece = Failure("timeout", f"no words in {self._timeout_s:g} s")
                if piece is None:
                    return
                yield piece
                if not isinstance(piece, Piece):
                    return
        finally:
            left.set()  # the client may have gone
            self._open -= 1

    def close(self) -> None:
        """Let the threads end."""
        self._workers.close()

    def _replace(self) -> None:
        """A thread may hang: another one takes its place, as long as some are left."""
        if self._spares:
            self._spares -= 1
            self._workers.grow()


def _write(
    begin: Callable[[], Iterator[Piece]], put: Callable[[Coming], None], left: threading.Event
) -> None:
    """Pass pieces on until there are no more, or nobody reads them; then None."""
    try:
        for piece in begin() if not left.is_set() else ():
            put(piece)
            if left.is_set():
                break
    except (DataError, RecipeError) as error:  # of the question, or what it is held to
        put(error)
    except FloatingPointError:
        put(NO_NUMBER)
    except Exception as error:  # whatever a model raises, the server stays up
        put(Failure("error", type(error).__name__))
    put(None)
