"""llama.cpp, an optional library that prints: loaded once, and kept silent."""

import ctypes
import importlib
from collections import deque
from functools import cache
from typing import Any

from fucina.errors import MissingExtraError

__all__ = ["last_error", "load"]

ERROR = 4  # GGML_LOG_LEVEL_ERROR
_errors: deque[str] = deque(maxlen=20)


def load() -> Any:
    """The library, which says nothing from now on.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        library = importlib.import_module("llama_cpp")
    except (ImportError, OSError) as error:  # OSError: a build for another machine
        raise MissingExtraError("llama-cpp-python", extra="llama") from error
    _listen(library)
    return library


@cache
def _listen(library: Any) -> Any:
    """The function that hears what the library says, which must live as long as it."""

    def hear(level: int, text: bytes, _: Any) -> None:
        if level == ERROR:
            _errors.append(" ".join(text.decode("utf-8", "replace").split()).rstrip("."))

    heard = library.llama_log_callback(hear)
    library.llama_log_set(heard, ctypes.c_void_p(0))
    library.llama_backend_init()
    return heard


def last_error() -> str:
    """What it complained of last."""
    return _errors[-1] if _errors else "it did not say why"
