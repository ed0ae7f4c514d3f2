"""A graph that ONNX Runtime runs."""

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fucina.errors import MissingExtraError, ModelError
from fucina.models.tokenize import Encoded, pad

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["AGAIN", "cores", "open_graph", "run_graph"]

AGAIN = "Export the run again: fucina export RUN --to onnx."


def open_graph(path: Path) -> "InferenceSession":
    """A graph that is ready to run, in several threads at once, each on one core.

    Raises:
        ModelError: It is no graph, or needs what this build does not have.
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", extra="onnx") from error
    options = onnxruntime.SessionOptions()
    # One thread for a run and several runs at once: threads that share one run wait for each other
    # at every step, and turn on the spot meanwhile, which takes the cores from whoever asks.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    if _cuts_sums():
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3  # errors; they are raised as well
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )  # fmt: skip
    # It has a class for each kind of failure, and none that they share.
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise ModelError(f"{path} cannot be opened ({first}).", fix=AGAIN) from error


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _cuts_sums() -> bool:
    """Whether products of bytes must be asked for exact, which takes them half as long again.

    x86 processors without VNNI add two of them in 16 bits, and cut off what is larger.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return False
    told = Path("/proc/cpuinfo")
    flags = told.read_text(encoding="utf-8", errors="replace") if told.is_file() else ""
    return "avx512_vnni" not in flags and "avx_vnni" not in flags


def run_graph(
    session: "InferenceSession", encoded: Encoded, rows: np.ndarray, pad_id: int
) -> np.ndarray:
    """Scores that a graph gives of some rows.

    Args:
        session: The graph.
        encoded: All texts.
        rows: b indices into them.
        pad_id: The token that fills up.

    Returns:
        k x b x c, or k x b x L x c, in float64.
    """
    ids, mask = pad(encoded, rows, pad_id)
    found: Any = session.run(["scores"], {"ids": ids, "mask": mask})[0]
    return found.astype(np.float64)
