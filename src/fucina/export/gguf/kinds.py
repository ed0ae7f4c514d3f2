"""Number types of GGUF files: which are written here, and which llama.cpp makes."""

import ctypes
import os
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from fucina.engines import llama_library
from fucina.errors import MissingExtraError, ModelError, nearest

__all__ = ["KINDS", "MADE_BY_LLAMA", "by_llama", "kind_of", "packed", "place", "require"]

# Of most bits a number to fewest. Those of the second list want llama.cpp itself.
WRITTEN_HERE = ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")
MADE_BY_LLAMA = (
    "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K",
)  # fmt: skip
KINDS = (*WRITTEN_HERE, *MADE_BY_LLAMA)
BLOCK = 32  # numbers that share a scale in the types written here


def require() -> Any:
    """The gguf library.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import gguf
    except ImportError as error:
        raise MissingExtraError("gguf", extra="gguf") from error
    return gguf


def kind_of(name: str) -> str:
    """Find a type by its name in any case.

    Raises:
        ModelError: There is none.
        MissingExtraError: It wants llama.cpp, which is not installed.

    Example:
        >>> kind_of("q8_0")
        'Q8_0'
    """
    found = name.upper()
    if found not in KINDS:
        raise ModelError(f"there is no GGUF type {name!r}.", fix=nearest(found, KINDS))
    if found in MADE_BY_LLAMA:
        _llama(found)
    return found


def _llama(kind: str) -> Any:
    try:
        return llama_library.load()
    except MissingExtraError as error:
        error.problem = f"{kind} is made by llama.cpp: {error.problem}"
        error.fix = f"{error.fix}, or take Q8_0 or Q4_0, which are written without it."
        raise


def place(writer: Any, name: str, shape: tuple[int, ...], kind: str) -> None:
    """Say what tensor will follow in a file.

    Args:
        writer: Of gguf.
        name: In the file.
        shape: Of the tensor.
        kind: Of the file; one that is written here.
    """
    from gguf import GGMLQuantizationType, quant_shape_to_byte_shape

    own = GGMLQuantizationType[_finest(name, shape, kind)]
    size = prod(quant_shape_to_byte_shape(shape, own))
    writer.add_tensor_info(name, shape, np.dtype(np.float32), size, own)


def packed(name: str, tensor: np.ndarray, kind: str) -> np.ndarray:
    """One tensor in the type of a file, or in a finer one where that type would spoil it.

    Args:
        name: In the file.
        tensor: In float32.
        kind: Of the file; one that is written here.
    """
    from gguf import GGMLQuantizationType, quants

    return quants.quantize(tensor, GGMLQuantizationType[_finest(name, tensor.shape, kind)])


def _finest(name: str, shape: tuple[int, ...], kind: str) -> str:
    if len(shape) < 2 or "norm" in name or name.startswith(("position_embd", "rope_freqs")):
        return "F32"  # a few numbers, on which all others hang
    if kind in ("F32", "F16", "BF16"):
        return kind
    if shape[-1] % BLOCK:
        return "F16"
    # What words are and which comes next suffers most from few bits.
    return "Q8_0" if name in ("token_embd.weight", "output.weight") else kind


def by_llama(source: Path, out: Path, kind: str) -> None:
    """Let llama.cpp write a file in another type.

    Args:
        source: A GGUF file in full precision.
        out: What is written.
        kind: One of those that llama.cpp makes.

    Raises:
        MissingExtraError: llama.cpp is not installed.
        ModelError: It could not.
    """
    library = _llama(kind)
    settings = library.llama_model_quantize_default_params()
    settings.ftype = getattr(library, f"LLAMA_FTYPE_MOSTLY_{kind}")
    settings.nthread = os.cpu_count() or 1
    code = library.llama_model_quantize(
        os.fsencode(source), os.fsencode(out), ctypes.byref(settings)
    )
    if code:
        raise ModelError(
            f"llama.cpp could not write {kind}: {llama_library.last_error()}.",
            fix="Take Q8_0 or Q4_0, which are written without it.",
        )
