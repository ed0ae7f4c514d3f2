"""Tell how much memory was held, and that it ran out, whoever says so and however."""

import gc
from threading import Event, Thread
from types import TracebackType

import psutil
import torch

__all__ = ["Watch", "free", "held_mib", "peak_memory_mib", "peak_vram_mib", "ran_out"]


def ran_out(error: BaseException) -> bool:
    """Whether an error means that there was no memory left.

    On CPU the allocator of PyTorch raises a RuntimeError, which only its words tell apart.

    Example:
        >>> ran_out(MemoryError()), ran_out(ValueError("no such label"))
        (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("can't allocate memory", "not enough memory", "could not create a memory object")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def free() -> None:
    """Give back what a failed pass left behind."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def held_mib() -> float:
    """What this process holds now, in MiB: of the GPU where there is one, else of RAM."""
    if torch.cuda.is_available():
        return torch.cuda.memory_reserved() / 2**20
    return psutil.Process().memory_info().rss / 2**20


def peak_memory_mib() -> float:
    """The most memory this process has held, in MiB."""
    try:
        import resource
    except ImportError:  # Windows counts for itself
        return getattr(psutil.Process().memory_info(), "peak_wset", 0) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux tells KiB, macOS bytes.
    return peak / 2**10 if psutil.LINUX else peak / 2**20


def peak_vram_mib() -> float:
    """The most memory of the GPU that PyTorch has held, in MiB; 0 without a GPU."""
    return torch.cuda.max_memory_reserved() / 2**20 if torch.cuda.is_available() else 0.0


class Watch:
    """Remembers the most memory that the process held while it watched, in MiB.

    The peak of a process never falls; looked at twenty times a second, each of several jobs one
    after the other has its own. On a GPU what PyTorch reserved is counted.

    Attributes:
        peak_mib: The most so far.

    Example:
        >>> with Watch() as watch:
        ...     held = bytearray(2**20)
        >>> watch.peak_mib > 1
        True
    """

    EVERY_S = 0.05

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._over = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self.peak_mib = held_mib()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self.peak_mib = max(self.peak_mib, held_mib())

    def _look(self) -> None:
        while not self._over.wait(self.EVERY_S):
            self.peak_mib = max(self.peak_mib, held_mib())
