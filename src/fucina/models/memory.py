"""Tell that memory ran out, whoever says so and however."""

import gc

import torch

__all__ = ["free", "ran_out"]


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
