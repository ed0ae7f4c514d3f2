"""One process at a time in a run folder: two would write over each other's checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fucina.errors import RunError

__all__ = ["hold"]

NAME = "in_use.lock"


@contextmanager
def hold(folder: Path, *, following: str = "go on with --resume") -> Iterator[None]:
    """Keep every other process out of a folder, which is made if need be.

    The system lets go of the lock when its process ends, however it ends; a file that is left by a
    killed one keeps nobody out.

    Args:
        folder: What is held.
        following: What to do once the other process has ended, for the message.

    Raises:
        RunError: Another process holds it.

    Example:
        >>> with hold(Path(".")):
        ...     pass
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / NAME, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{folder} is in use: another process writes there.",
            fix=f"Wait until it ends, or stop it; then {following}.",
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows: it goes when the lock does
            (folder / NAME).unlink()  # while it is held, so that it is nobody else's
        lock.release()
