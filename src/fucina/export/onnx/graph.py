"""A network as an ONNX graph."""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fucina.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from fucina.export.onnx.network import Together

__all__ = ["OPSET", "as_graph", "save_graph"]

OPSET = 17  # the oldest that has layer norms in one piece
MOST_BYTES = 2_000_000_000  # of one file; the format ends at 2 GiB


def as_graph(network: "Together", *, vocabulary: int) -> Any:
    """Write down what a network does with 2 x 5 tokens, for any number of rows and tokens.

    Args:
        network: Token ids and mask to scores.
        vocabulary: How many tokens there are.

    Returns:
        An `onnx.ModelProto` with inputs `ids` and `mask` (b x L) and output `scores`.

    Raises:
        MissingExtraError: onnx is not installed.
        ModelError: The network does what has no place in a graph.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", extra="onnx") from error
    ids = (torch.arange(10).view(2, 5) + 3) % vocabulary
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    axes = {0: "texts", 1: "tokens"}
    out = {1: "texts", 2: "tokens"} if network.tokens else {1: "texts"}
    told = logging.getLogger("torch.onnx")
    before = told.level
    told.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as beside, warnings.catch_warnings(), torch.no_grad():
            # It warns of every shape that it takes for fixed; which are, is tested by running it.
            warnings.simplefilter("ignore")
            place = Path(beside) / "model.onnx"  # a file, as more than 2 GiB need several
            torch.onnx.export(
                network, (ids, mask), str(place), dynamo=False, opset_version=OPSET,
                input_names=["ids", "mask"], output_names=["scores"],
                dynamic_axes={"ids": axes, "mask": axes, "scores": out},
            )  # fmt: skip
            return onnx.load(str(place))
    except OSError:
        raise
    # Whatever a network of others does that has no counterpart, in whichever words.
    except Exception as error:
        raise ModelError(
            f"{network.base.name} ({type(network.base.network).__name__}) cannot be written as "
            f"ONNX ({_first_line(error)}).",
            fix="Export it with --to merged, or train an encoder such as favilla-encoder.",
        ) from error
    finally:
        told.setLevel(before)


def save_graph(graph: Any, path: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Write a graph as one file, or with its weights in a second one where they are many.

    Args:
        graph: An `onnx.ModelProto`.
        path: Where it goes; the weights lie beside it, with `.data` behind the name.
        most_bytes: Of one file.
    """
    import onnx

    weights = sum(len(tensor.raw_data) for tensor in graph.graph.initializer)
    apart = weights > most_bytes
    onnx.save_model(
        graph, str(path), save_as_external_data=apart, all_tensors_to_one_file=True,
        location=f"{path.name}.data",
    )  # fmt: skip


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200].rstrip(".")
